"""When a model version may replace another: no worse on the same questions, by their intervals.

No worse means: no figure lies beyond the worse end of the active version's 95 % interval. Both were
asked the same questions, so a figure inside it differs by no more than who happened to be a
customer in that window would move it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from twins.models import ModelVersion

Protocol = tuple[str, datetime, datetime, Any]


@dataclass(frozen=True, slots=True)
class GateFigure:
    """One figure that a version is judged by: where it stands in a report, and its better side."""

    title: str
    path: tuple[str, ...]
    higher_is_better: bool

    def of(self, version: ModelVersion) -> Mapping[str, float] | None:
        """Value, low and high; None where it was not measured."""
        found: Any = version.report.get("validation", {})
        for name in self.path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) and found.get("value") is not None else None


NLL = GateFigure("next item, NLL", ("next_item", "all_lines", "model", "nll"), False)
FIGURES = (
    NLL,
    GateFigure("next item, top-10", ("next_item", "all_lines", "model", "top_10"), True),
    GateFigure(
        "first line of an order, top-10", ("next_item", "first_of_order", "model", "top_10"), True
    ),
    GateFigure("time to the next order, log-likelihood", ("time_to_order", "model"), True),
    GateFigure("line total, error of the logarithm", ("line_total", "model"), False),
)


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of both versions; ``bound`` is the worst value that passes."""

    figure: GateFigure
    value: float
    active: float
    bound: float

    @property
    def is_worse(self) -> bool:
        """The value lies beyond the bound."""
        if self.figure.higher_is_better:
            return self.value < self.bound
        return self.value > self.bound

    def __str__(self) -> str:
        than = "less" if self.figure.higher_is_better else "more"
        return (
            f"{self.figure.title} is {self.value:.4f}, {than} than {self.bound:.4f}, where the "
            f"95 % interval of the active one's {self.active:.4f} ends"
        )


def protocol_of(version: ModelVersion) -> Protocol:
    """What figures depend on besides the model: events, window, and how they are measured."""
    measured = version.report.get("validation", {}).get("protocol")
    return version.events_sha256, version.validation_from, version.cut_off, measured


def compared(version: ModelVersion, active: ModelVersion) -> list[Compared]:
    """The figures that both reports hold."""
    found = []
    for figure in FIGURES:
        ours, theirs = figure.of(version), figure.of(active)
        if ours is not None and theirs is not None:
            bound = theirs["low"] if figure.higher_is_better else theirs["high"]
            found.append(Compared(figure, ours["value"], theirs["value"], bound))
    return found


def objection(version: ModelVersion, active: ModelVersion) -> str:
    """Why the version may not replace the active one without a reason; empty where it may."""
    if protocol_of(version) != protocol_of(active):
        return "it was validated on other events, another window or in another way than the active"
    if NLL.of(version) is None or NLL.of(active) is None:
        return "one of the two has no validation figure for the next item"
    lost = [f.title for f in FIGURES if f.of(active) is not None and f.of(version) is None]
    if lost:
        return f"its report lacks what the active one's holds: {', '.join(lost)}"
    return "; ".join(str(row) for row in compared(version, active) if row.is_worse)
