"""What all customers do with each item, as of the end of the day before."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ml.basket.likeness import likeness
from ml.basket.memory import Floats, Integers, Order

WINDOWS = (7, 14, 28, 90)
REFRESH_DAYS = 15  # how long an item-item matrix is used
NEVER = -1


@dataclass(slots=True)
class Market:
    """Counters over ``size`` items; ``note`` collects a day, ``open_day`` closes those before.

    All counts are of orders. ``windows`` (4, V) are the last 7, 14, 28 and 90 closed days.
    """

    size: int
    today: int = NEVER
    windows: Floats = field(init=False)
    ever: Floats = field(init=False)
    buyers: Floats = field(init=False)
    repeats: Floats = field(init=False)
    gap_days: Floats = field(init=False)
    units: Floats = field(init=False)
    prices: Floats = field(init=False)
    first_day: Floats = field(init=False)
    by_country: dict[int, Floats] = field(default_factory=dict)
    likeness: NDArray[np.float32] | None = None
    _ring: Floats = field(init=False)
    _noted: list[tuple[Order, Integers, Floats]] = field(default_factory=list)
    _baskets: list[Integers] = field(default_factory=list)
    _refreshed: int = NEVER
    _room: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        for name in ("ever", "buyers", "repeats", "gap_days", "units", "prices"):
            setattr(self, name, np.zeros(self.size))
        self.windows = np.zeros((len(WINDOWS), self.size))
        self.first_day = np.full(self.size, np.inf)
        self._ring = np.zeros((WINDOWS[-1] + 1, self.size))

    def note(self, order: Order, again: Integers, gaps: Floats) -> None:
        """Collect an order of today; ``again`` and ``gaps`` are what ``memory.fold`` returned."""
        self._noted.append((order, again, gaps))

    def open_day(self, day: int) -> None:
        """Close the days before ``day``: from now on they count."""
        if self.today == NEVER:
            self.today = day
        while self.today < day:
            self._close()
            self.today += 1
        if self.today - self._refreshed >= REFRESH_DAYS and self._baskets:
            self.likeness = likeness(self._matrix())
            self._refreshed = self.today

    def goes_with(self, items: Integers, weights: Floats) -> Floats:
        """Return the weighted likeness of these items to every item (V,)."""
        if self.likeness is None:
            return np.zeros(self.size)
        if self._room is None or len(self._room) < len(items):
            self._room = np.empty((2 * len(items), self.size), np.float32)
        rows = self._room[: len(items)]  # filled again and again: fresh memory is what takes time
        np.take(self.likeness, items, axis=0, out=rows, mode="clip")
        return np.asarray(weights.astype(np.float32) @ rows, dtype=np.float64)

    def _close(self) -> None:
        slot = self._ring[self.today % len(self._ring)]
        slot[:] = 0
        for order, again, gaps in self._noted:
            slot[order.items] += 1
            self._count(order, again, gaps)
        self._noted.clear()
        self.ever += slot
        for row, days in enumerate(WINDOWS):
            self.windows[row] += slot - self._ring[(self.today - days) % len(self._ring)]

    def _count(self, order: Order, again: Integers, gaps: Floats) -> None:
        items = order.items
        self.buyers[items] += 1
        self.buyers[again] -= 1
        self.repeats[again] += 1
        self.gap_days[again] += gaps
        self.units[items] += order.units
        self.prices[items] += order.prices
        self.first_day[items] = np.minimum(self.first_day[items], order.day)
        self.by_country.setdefault(order.country, np.zeros(self.size))[items] += 1
        self._baskets.append(items)

    def _matrix(self) -> sparse.csr_array:
        row = np.repeat(np.arange(len(self._baskets)), [len(items) for items in self._baskets])
        where = (row, np.concatenate(self._baskets))
        shape = (len(self._baskets), self.size)
        return sparse.csr_array((np.ones(len(row), np.float32), where), shape=shape)
