"""From figures to tables: what a protocol reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from ml.metrics import Figure

Methods = dict[str, dict[str, Figure]]  # method -> metric -> value, low, high, n
Advance = Callable[[int], None]
Stage = Callable[[str, str, int], AbstractContextManager[Advance]]
TWIN = "the twin"


@contextmanager
def quiet(title: str, unit: str, total: int) -> Iterator[Advance]:
    """Watch a stage of work without telling anybody."""
    yield lambda done: None


@dataclass(frozen=True, slots=True)
class Section:
    """Some columns of a report as one table."""

    title: str
    columns: Mapping[str, str]  # metric -> heading


@dataclass(frozen=True, slots=True)
class Grid:
    """A table that is not one of methods and metrics."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """One table ready to print: the first cell of each row names the method."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(slots=True)
class ProtocolReport:
    """What one protocol measured. A metric of a stratum is named ``stratum.metric``."""

    letter: str
    title: str
    sections: tuple[Section, ...]
    methods: Methods = field(default_factory=dict)
    grids: list[Grid] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, method: str, figures: Mapping[str, Figure]) -> None:
        """Take in more metrics of a method."""
        self.methods.setdefault(method, {}).update(figures)

    def tables(self) -> list[Table]:
        """Return every section that has figures, and the grids."""
        made = [self._table(section) for section in self.sections]
        grids = [Table(grid.title, grid.headings, grid.rows) for grid in self.grids]
        return [table for table in made if table.rows] + grids

    def as_dict(self) -> dict[str, Any]:
        """Return method -> metric -> figure, fit for JSON."""
        return {method: dict(figures) for method, figures in self.methods.items()}

    def _table(self, section: Section) -> Table:
        rows = tuple(
            (method, *(cell(figures.get(metric)) for metric in section.columns))
            for method, figures in self.methods.items()
            if any(figures.get(metric, {}).get("n") for metric in section.columns)
        )
        return Table(section.title, ("method", *section.columns.values()), rows)


def sections_of(strata: Mapping[str, str], metrics: Mapping[str, str]) -> tuple[Section, ...]:
    """Return one section per stratum; the first stratum's metrics carry no prefix."""
    named = enumerate(strata.items())
    return tuple(
        Section(title, {prefixed(stratum, metric, n == 0): h for metric, h in metrics.items()})
        for n, (stratum, title) in named
    )


def flat(nested: Mapping[str, Mapping[str, Figure]]) -> dict[str, Figure]:
    """Return stratum -> metric -> figure with one name per figure."""
    return {
        prefixed(stratum, metric, n == 0): figure
        for n, (stratum, figures) in enumerate(nested.items())
        for metric, figure in figures.items()
    }


def prefixed(stratum: str, metric: str, is_first: bool) -> str:
    return metric if is_first else f"{stratum}.{metric}"


def cell(figure: Figure | None) -> str:
    """Return such as ``.121 [.115, .130]``; a dash where there is nothing."""
    if not figure or not figure.get("n"):
        return "-"
    value, low, high = (figure[name] for name in ("value", "low", "high"))
    digits = decimals(max(abs(value), abs(low), abs(high)))
    return f"{short(value, digits)} [{short(low, digits)}, {short(high, digits)}]"


def decimals(largest: float) -> int:
    """Return how many decimals are worth reading."""
    return 4 if largest < 1 else 3 if largest < 10 else 1 if largest < 1000 else 0


def short(value: float, digits: int) -> str:
    """Return a number without the 0 before the point."""
    text = f"{value:,.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text
