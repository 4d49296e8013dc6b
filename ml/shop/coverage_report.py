"""What many runs of the coverage test say together: tables to print, and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from ml.protocols.tables import Table
from ml.shop.coverage import LEARNED, MEASURES, Run, Task

LEVEL = 0.95  # of the intervals of shares, which say how far so many runs may be off by chance


@dataclass(frozen=True, slots=True)
class Share:
    """How many of the runs, with a 95 % interval (Wilson) for the share."""

    count: int
    runs: int
    low: float
    high: float

    @staticmethod
    def of(held: Sequence[bool]) -> Share:
        """Return the share of True."""
        count, runs = sum(held), len(held)
        bounds = stats.binomtest(count, runs).proportion_ci(LEVEL, method="wilson")
        return Share(count, runs, float(bounds.low), float(bounds.high))

    @property
    def value(self) -> float:
        """The share, 0 to 1."""
        return self.count / self.runs

    def __str__(self) -> str:
        return f"{self.value:.1%} [{self.low:.1%}, {self.high:.1%}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How one method did at one measure. Means over runs, in units of the measure.

    ``too_low`` and ``too_high`` count forecasts whose whole interval lies below or above the
    expected uplift.
    """

    method: str
    measure: str
    expected: Share
    realised: Share
    zero: Share
    too_low: int
    too_high: int
    truth: float
    forecast: float
    width: float
    error: float  # root of the mean square


def figures_of(runs: Sequence[Run]) -> list[Figures]:
    """Return the figures of every method that all runs have, measure by measure."""
    methods = list(runs[0].forecasts)
    return [_figures(runs, method, measure) for measure in MEASURES for method in methods]


def nothing_is_zero(runs: Sequence[Run]) -> Share:
    """Return in how many runs an offer of depth 0 was forecast to bring exactly 0, surely."""
    ends = ("mean", "low", "high")
    return Share.of(
        [all(getattr(one, e) == 0 for one in run.nothing.values() for e in ends) for run in runs]
    )


def tables(task: Task, runs: Sequence[Run], placebo: Sequence[Run]) -> Iterator[Table]:
    """Return the tables in the order in which they are read."""
    title = (
        f"{task.depth:.0%} off for {task.offer_days} days, counted over {task.horizon_days}: "
        f"{len(runs)} shops of {task.customers} customers"
    )
    yield Table(title, HEADINGS, tuple(_row(one) for one in figures_of(runs)))
    if placebo:
        title = f"Placebo: {len(placebo)} shops whose customers do not answer to offers"
        learned = [one for one in figures_of(placebo) if one.method == LEARNED]
        yield Table(title, PLACEBO_HEADINGS, tuple(_placebo_row(one) for one in learned))


HEADINGS = (
    "uplift in", "method", "holds the expected", "holds the realised", "too low, too high",
    "mean truth", "mean forecast", "RMSE", "mean width",
)  # fmt: skip
PLACEBO_HEADINGS = ("uplift in", "holds 0", "holds the expected", "mean truth", "mean forecast")


def as_json(task: Task, runs: Sequence[Run], placebo: Sequence[Run]) -> dict[str, Any]:
    """Return all figures and all runs."""
    return {
        "task": asdict(task),
        "figures": [asdict(one) for one in figures_of(runs)],
        "placebo": [asdict(one) for one in figures_of(placebo)] if placebo else [],
        "depth_zero": asdict(nothing_is_zero([*runs, *placebo])),
        "runs": [asdict(run) for run in runs],
        "placebo_runs": [asdict(run) for run in placebo],
    }


def _figures(runs: Sequence[Run], method: str, measure: str) -> Figures:
    found = [run.forecasts[method][measure] for run in runs]
    expected = [run.expected[measure] for run in runs]
    realised = [run.realised[measure] for run in runs]
    pairs = list(zip(found, expected, strict=True))
    errors = np.array([one.mean - truth for one, truth in pairs])
    return Figures(
        method=method,
        measure=measure,
        expected=Share.of([one.holds(truth) for one, truth in pairs]),
        realised=Share.of([one.holds(t) for one, t in zip(found, realised, strict=True)]),
        zero=Share.of([one.holds(0.0) for one in found]),
        too_low=sum(one.high < truth for one, truth in pairs),
        too_high=sum(one.low > truth for one, truth in pairs),
        truth=float(np.mean(expected)),
        forecast=float(np.mean([one.mean for one in found])),
        width=float(np.mean([one.high - one.low for one in found])),
        error=float(np.sqrt((errors**2).mean())),
    )


def _row(one: Figures) -> tuple[str, ...]:
    amounts = (one.truth, one.forecast, one.error, one.width)
    return (
        one.measure, one.method, str(one.expected), str(one.realised),
        f"{one.too_low}, {one.too_high}", *(f"{amount:,.1f}" for amount in amounts),
    )  # fmt: skip


def _placebo_row(one: Figures) -> tuple[str, ...]:
    amounts = (one.truth, one.forecast)
    shares = (str(one.zero), str(one.expected))
    return (one.measure, *shares, *(f"{amount:,.1f}" for amount in amounts))
