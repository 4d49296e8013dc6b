"""What all customers do together: a fold over closed days, with one snapshot after each.

A prediction for day d reads the snapshot of the midnight before, which holds the lines of earlier
days only and never changes. A snapshot is a function of the days that were closed before it, in
order, so it can be made again from their counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ml.errors import MlError
from ml.events import Floats, Integers
from ml.mixture.days import DayCounts, packed, unpacked
from ml.mixture.demand import Demand, DemandCounter
from ml.mixture.tables import Matrix, Table, largest_of_each_row

FORMAT = 2
SMOOTHING = 0.1  # added to every item's count, so that nothing is ruled out
RECENT_DAYS = (28, 7)
TABLES = ("transitions", "recent_transitions", "skips", "neighbours")


class DayClosed(MlError):
    """Days are closed once, in order; what comes late for one is not counted."""

    code = "day-closed"
    template = (
        "day {day} comes after day {last} was closed, expected a later one: leave the late lines "
        "out or build the market again from its first day"
    )


class UnreadableMarket(MlError):
    """A snapshot is read by the code that knows its format."""

    code = "unreadable-market"
    template = "the snapshot has format {found}, expected {expected}: build the market again"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketConfig:
    """Sizes and rates. ``successors`` and ``neighbours`` bound each item's rows; ``countries`` is
    how many have a row of their own.

    ``shrinkage`` is how many common orders two items need until half of their likeness is believed.
    """

    items: int
    countries: int = 0
    half_life_days: float = 21.0
    refresh_days: int = 7
    successors: int = 1_000
    neighbours: int = 200
    shrinkage: float = 10.0
    least_weight: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Snapshot:
    """The market at one midnight: lines of days before ``day``. ``number`` counts closed days.

    ``popularity`` are the shares of all time, of the last 28 and of the last 7 days; ``demand``
    counts orders instead of lines.

    Shapes: ``popularity`` (3, V), the tables (V, V).
    """

    number: int
    day: int
    popularity: Floats
    demand: Demand
    transitions: Table
    recent_transitions: Table
    skips: Table
    neighbours: Table

    @property
    def items(self) -> int:
        """The size V of the vocabulary."""
        return len(self.popularity[0])

    def to_bytes(self) -> bytes:
        """Return the snapshot as a compressed archive of arrays."""
        columns: dict[str, NDArray[np.generic]] = {
            "head": np.array([FORMAT, self.number, self.day]),
            "popularity": self.popularity,
            **self.demand.columns(),
        }
        for name in TABLES:
            table: Table = getattr(self, name)
            columns |= {f"{name}_starts": table.starts, f"{name}_columns": table.columns}
            columns |= {f"{name}_values": table.values}
        return packed(columns)

    @staticmethod
    def from_bytes(data: bytes) -> Snapshot:
        """Return the snapshot that ``to_bytes`` wrote, equal to the bit.

        Raises:
            UnreadableMarket: it was written in another format.
        """
        columns = unpacked(data)
        found, number, day = columns["head"].tolist()
        if found != FORMAT:
            raise UnreadableMarket(found=found, expected=FORMAT)
        tables = {
            name: Table.build(
                columns[f"{name}_starts"],
                columns[f"{name}_columns"],
                columns[f"{name}_values"].astype(np.float32),
            )
            for name in TABLES
        }
        popularity = columns["popularity"].astype(np.float64)
        demand = Demand.of_columns(columns)
        return Snapshot(number=number, day=day, popularity=popularity, demand=demand, **tables)


class Snapshots(Protocol):
    """Where the fold finds the snapshot of a day."""

    def before(self, day: int) -> Snapshot:
        """Return the market of the midnight at which ``day`` begins."""


class Market:
    """Counters of all closed days; bounded by the vocabulary, not by the number of lines."""

    def __init__(self, config: MarketConfig) -> None:
        self.config = config
        self.number, self.last_day = 0, -1
        self.refreshed = -1
        self.counts = np.zeros(config.items)
        self.demand = DemandCounter(config.items, config.countries)
        self.days: deque[DayCounts] = deque()
        self.pending: list[DayCounts] = []
        empty = sparse.csr_array((config.items, config.items))
        self.transitions, self.recent, self.skips, self.together = (empty.copy() for _ in range(4))
        self.neighbours = Table.of(empty)

    def close(self, day: DayCounts) -> None:
        """Count a day that is over.

        Raises:
            DayClosed: this day or a later one was closed before.
        """
        if day.day <= self.last_day:
            raise DayClosed(day=day.day, last=self.last_day)
        faded = 0.5 ** ((day.day - self.last_day) / self.config.half_life_days)
        moved = self._matrix(day.transitions, day.transitions_n)
        self.transitions = self.transitions + moved
        self.recent = self.recent * faded + moved
        self.skips = self.skips + self._matrix(day.skips, day.skips_n)
        self.counts[day.items] += day.items_n
        self.demand.close(day)
        self.days.append(day)
        while self.days[0].day <= day.day - max(RECENT_DAYS):
            self.days.popleft()
        self.pending.append(day)
        self.number, self.last_day = self.number + 1, day.day
        self._refresh()

    def snapshot(self, day: int) -> Snapshot:
        """Return the market as ``day`` begins.

        Raises:
            DayClosed: the day is over already.
        """
        if day <= self.last_day:
            raise DayClosed(day=day, last=self.last_day)
        recent = [self._counts_since(day - days) for days in RECENT_DAYS]
        shares = np.stack([self.counts, *recent]) + SMOOTHING
        return Snapshot(
            number=self.number,
            day=day,
            popularity=shares / shares.sum(axis=1, keepdims=True),
            demand=self.demand.before(day),
            transitions=Table.of(self.transitions),
            recent_transitions=Table.of(self.recent),
            skips=Table.of(self.skips),
            neighbours=self.neighbours,
        )

    def _refresh(self) -> None:
        """Make the item-item matrix anew and cut the tables, once a week by the calendar."""
        week = (self.last_day + 1) // self.config.refresh_days
        if week == self.refreshed:
            return
        self.refreshed = week
        keys = np.concatenate([day.together for day in self.pending])
        times = np.concatenate([day.together_n for day in self.pending])
        self.together = self.together + self._matrix(keys, times)
        self.pending.clear()
        self.neighbours = Table.of(self._likeness())
        kept = self.config.successors
        self.transitions = largest_of_each_row(self.transitions, kept)
        self.skips = largest_of_each_row(self.skips, kept)
        self.recent.data[self.recent.data < self.config.least_weight] = 0.0
        self.recent.eliminate_zeros()
        self.recent = largest_of_each_row(self.recent, kept)

    def _likeness(self) -> Matrix:
        """Return the cosine of the orders of two items, shrunk by how few they share."""
        orders = np.maximum(self.together.diagonal(), 1.0)
        pairs = self.together.tocoo()
        apart = pairs.row != pairs.col
        row, column, common = pairs.row[apart], pairs.col[apart], pairs.data[apart]
        cosine = common / np.sqrt(orders[row] * orders[column])
        believed = cosine * common / (common + self.config.shrinkage)
        matrix = sparse.csr_array((believed, (row, column)), shape=self.together.shape)
        return largest_of_each_row(matrix, self.config.neighbours)

    def _counts_since(self, first_day: int) -> Floats:
        counts = np.zeros(self.config.items)
        for day in self.days:
            if day.day >= first_day:
                counts[day.items] += day.items_n
        return counts

    def _matrix(self, keys: Integers, times: Integers) -> Matrix:
        items = self.config.items
        shape = (items, items)
        return sparse.csr_array((times.astype(float), (keys // items, keys % items)), shape=shape)


class ReplayedMarket:
    """Snapshots made on the way through the days; cheap where days are asked for in order."""

    def __init__(self, config: MarketConfig, days: Iterable[DayCounts]) -> None:
        self.config = config
        self.days = sorted(days, key=lambda day: day.day)
        self.newest: Snapshot | None = None
        self._begin()

    def before(self, day: int) -> Snapshot:
        """Return the market of the midnight at which ``day`` begins."""
        if day <= self.market.last_day:
            self._begin()
        if self.newest is None or self.newest.day != day:
            while self.closed < len(self.days) and self.days[self.closed].day < day:
                self.market.close(self.days[self.closed])
                self.closed += 1
            self.newest = self.market.snapshot(day)
        return self.newest

    def _begin(self) -> None:
        self.market = Market(self.config)
        self.closed = 0
        self.newest = None
