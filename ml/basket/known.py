"""What a memory knows of a customer's orders at one moment, as arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.events import Floats, Integers
from ml.mixture.memory import Memory
from ml.mixture.tables import Table
from ml.timing import DAY_MS

ORDERS, FIRST_DAY, LAST_DAY, LAST_ORDER, LOG_QUANTITY, SLOW, FAST = range(7)
COLUMNS = 7
HISTORY_DECAY, LEAST_WEIGHT = 0.8, 0.05  # of an order, from order to order


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One customer before an order on ``day``, which is counted from 1970.

    ``distinct`` counts the items of all orders, ``repeats`` those that an earlier order had.
    Rows of ``table`` are ``items``, ascending: in how many orders, the days of the first and the
    last of these, the number of the last, the mean log quantity of a line, both decayed counts as
    of the last. ``country`` is a row of the frame.

    Shapes: P own items; ``items`` (P,), ``table`` (P, COLUMNS).
    """

    day: int
    country: int
    orders: int
    distinct: int
    repeats: int
    first_day: int
    last_day: int
    items: Integers
    table: Floats

    @staticmethod
    def of(memory: Memory, day: int) -> Known:
        """Return what the memory knows now, for an order on a day."""
        items = np.fromiter(memory.own, np.int64, len(memory.own))
        rows = [
            (i.orders, i.first_day, i.last_day, i.order, i.quantities / i.count, i.slow, i.fast)
            for i in memory.own.values()
        ]
        ascending = np.argsort(items)
        table = np.array(rows, np.float64).reshape(-1, COLUMNS)
        return Known(
            day=day, country=memory.country, orders=memory.orders,
            distinct=memory.kinds + memory.repeats, repeats=memory.repeats,
            first_day=memory.first_day, last_day=memory.at_ms // DAY_MS,
            items=items[ascending], table=table[ascending],
        )  # fmt: skip

    def rows(self, items: Integers) -> Floats:
        """Return the rows (N, COLUMNS) of items, zeros where one was never bought."""
        if not len(self.items):
            return np.zeros((len(items), COLUMNS))
        place = np.minimum(np.searchsorted(self.items, items), len(self.items) - 1)
        return np.where((self.items[place] == items)[:, None], self.table[place], 0.0)

    @property
    def repeat_share(self) -> float:
        """How much of what the customer orders was ordered before."""
        return self.repeats / max(self.distinct, 1)

    @property
    def log_orders(self) -> float:
        return math.log(max(self.orders, 1))

    @property
    def log_size(self) -> float:
        """The logarithm of how many items an order has."""
        return math.log(max(self.distinct / max(self.orders, 1), 1))

    @property
    def log_waited(self) -> float:
        return math.log1p(max(self.day - self.last_day, 0))

    @property
    def pace(self) -> float:
        """How long the customer has waited against the usual time between orders, as a log."""
        typical = (self.last_day - self.first_day) / max(self.orders - 1, 1)
        return self.log_waited - math.log1p(typical) if self.orders > 1 else 0.0


def likely(known: Sequence[Known], neighbours: Table) -> Floats:
    """Return how each item (B, V) goes with what customers ordered, later orders counting more."""
    found = np.zeros((len(known), neighbours.items))
    for row, one in zip(found, known, strict=True):
        weight = HISTORY_DECAY ** (one.orders - one.table[:, LAST_ORDER])
        kept = weight > LEAST_WEIGHT
        whose, columns, values = neighbours.gathered(one.items[kept])
        row += np.bincount(columns, weight[kept][whose] * values, neighbours.items)
    return found
