"""What one customer is remembered by: a few numbers per item ever bought, folded in O(lines)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

DECAYS = (0.9, 0.7)  # per order
COUNT, FIRST_DAY, LAST_DAY, LAST_ORDER, UNITS, SLOW, FAST = range(7)
COLUMNS = 7
ROOM = 16  # items that a new customer's table has room for


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Distinct ``items`` of one order with their units and mean prices; the day since 1970."""

    customer: int
    day: int
    country: int
    items: Integers
    units: Floats
    prices: Floats


@dataclass(slots=True)
class CustomerMemory:
    """Counts of own items and of orders; advanced by ``fold``, read by ``features``.

    Rows of ``table`` are the items in the order of their first purchase. ``SLOW`` and ``FAST`` are
    counts that decay per order, as they were at the item's last order.
    """

    place: dict[int, int] = field(default_factory=dict)
    table: Floats = field(default_factory=lambda: np.zeros((ROOM, COLUMNS)))
    orders: int = 0
    lines: int = 0
    repeats: int = 0
    first_day: int = 0
    last_day: int = 0
    last_size: int = 0

    @property
    def items(self) -> Integers:
        """Every item bought so far (P,)."""
        return np.fromiter(self.place, np.int64, len(self.place))

    @property
    def known(self) -> Floats:
        """The rows of the table that are in use (P, COLUMNS)."""
        return self.table[: len(self.place)]

    def fold(self, order: Order) -> tuple[Integers, Floats]:
        """Take in one order; return the items that were known already, and days since then."""
        places, fresh = self._places(order.items)
        self.orders += 1
        rows = self.table[places]
        passed = self.orders - rows[:, LAST_ORDER]
        again = ~fresh
        gaps = order.day - rows[again, LAST_DAY]
        for column, decay in zip((SLOW, FAST), DECAYS, strict=True):
            rows[:, column] = rows[:, column] * decay**passed + 1
        rows[fresh, FIRST_DAY] = order.day
        rows[:, COUNT] += 1
        rows[:, LAST_DAY], rows[:, LAST_ORDER] = order.day, self.orders
        rows[:, UNITS] += order.units
        self.table[places] = rows
        self.first_day = self.first_day or order.day
        self.last_day, self.last_size = order.day, len(order.items)
        self.lines += len(order.items)
        self.repeats += int(again.sum())
        return order.items[again], gaps

    def _places(self, items: Integers) -> tuple[Integers, NDArray[np.bool_]]:
        before = len(self.place)
        places = np.array([self.place.setdefault(i, len(self.place)) for i in items.tolist()])
        while len(self.place) > len(self.table):
            self.table = np.concatenate([self.table, np.zeros_like(self.table)])
        return places.astype(np.int64), places >= before
