"""Purchase days: on which days a customer bought anything, and for how much.

Days are counted from 1970, in the time of the events.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ml.events import EventKind, EventTable, Floats, Integers

DAY_MS = 86_400_000
HORIZON_DAYS = 90
NEVER = np.iinfo(np.int32).max
Mask = NDArray[np.bool_]


class Bought(Protocol):
    """Purchase lines by customer and then time. Shapes: (N,)."""

    @property
    def customer(self) -> Integers: ...
    @property
    def day(self) -> Integers: ...
    @property
    def total(self) -> Floats: ...


@dataclass(frozen=True)
class PurchaseDays:
    """One row per customer and purchase day, in that order. Shapes: (P,)."""

    customer: Integers
    day: Integers
    spend: Floats

    @staticmethod
    def of(lines: Bought) -> PurchaseDays:
        """Return the purchase days of the lines."""
        return _by_day(lines.customer, lines.day, lines.total)

    @staticmethod
    def of_events(events: EventTable) -> PurchaseDays:
        """Return the purchase days of a table; events that are no purchases do not count."""
        bought = events.kind == EventKind.PURCHASED
        cents = np.rint(events.quantity[bought] * events.unit_price[bought] * 100)
        return _by_day(
            events.customer[bought], events.occurred_at_ms[bought] // DAY_MS, cents / 100
        )

    @cached_property
    def is_first(self) -> Mask:
        """Whether it is the customer's first."""
        return np.asarray(np.diff(self.customer, prepend=-1) != 0)

    @cached_property
    def number(self) -> Integers:
        """How many purchase days the customer had before."""
        rows = np.arange(len(self.day))
        return rows - np.maximum.accumulate(np.where(self.is_first, rows, 0))

    @cached_property
    def first_day(self) -> Integers:
        """The customer's first purchase day."""
        return np.asarray(self.day[np.arange(len(self.day)) - self.number])

    @cached_property
    def next_day(self) -> Integers:
        """The customer's next purchase day; far in the future where there is none."""
        follows = np.append(~self.is_first[1:], False)
        return np.where(follows, np.append(self.day[1:], 0), NEVER)

    def rows(self, where: Mask) -> PurchaseDays:
        """Return some of the rows."""
        return PurchaseDays(self.customer[where], self.day[where], self.spend[where])


def _by_day(customer: Integers, day: Integers, total: Floats) -> PurchaseDays:
    fresh = np.ones(len(day), dtype=np.bool_)
    fresh[1:] = (customer[1:] != customer[:-1]) | (day[1:] != day[:-1])
    spend = np.bincount(np.cumsum(fresh) - 1, total, int(fresh.sum())).astype(np.float64)
    return PurchaseDays(customer[fresh], day[fresh], spend)
