"""Protocol C: when does a customer buy again, how often, for how much? The days and the targets.

A purchase day is a day on which a customer bought anything. Days are counted from 1970.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ml.events import Floats, Integers
from ml.protocols.data import Lines, Mask
from ml.protocols.next_line import NothingToPredict

HORIZON_DAYS = 90
WEEK, EPOCH_WEEKDAY = 7, 3  # 1970-01-01 was a Thursday; Monday is 0


@dataclass(frozen=True)
class PurchaseDays:
    """One row per customer and purchase day, in that order. Shapes: (P,)."""

    customer: Integers
    day: Integers
    spend: Floats

    @staticmethod
    def of(lines: Lines) -> PurchaseDays:
        """Return the purchase days of the lines."""
        pairs = np.stack([lines.customer, lines.day])
        (customer, day), inverse = np.unique(pairs, axis=1, return_inverse=True)
        spend = np.bincount(inverse, lines.total).astype(np.float64)
        return PurchaseDays(customer, day, spend)

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
        return np.where(follows, np.append(self.day[1:], 0), np.iinfo(np.int32).max)

    def rows(self, where: Mask) -> PurchaseDays:
        """Return some of the rows."""
        return PurchaseDays(self.customer[where], self.day[where], self.spend[where])


@dataclass(frozen=True)
class Spells:
    """Waiting times that begin on purchase days.

    ``end`` is the next purchase day where it was ``observed``, else the last day that was watched.
    ``number`` gaps of ``first`` to ``start`` are known when one begins. Shapes: (S,).
    """

    customer: Integers
    first: Integers
    start: Integers
    end: Integers
    observed: Mask
    number: Integers

    @staticmethod
    def of(days: PurchaseDays, begin: int, watched_until: int) -> Spells:
        """Return those that begin in [begin, watched_until), watched to that day inclusive."""
        chosen = (days.day >= begin) & (days.day < watched_until)
        return Spells(
            customer=days.customer[chosen],
            first=days.first_day[chosen],
            start=days.day[chosen],
            end=np.minimum(days.next_day[chosen], watched_until),
            observed=days.next_day[chosen] <= watched_until,
            number=days.number[chosen],
        )


@dataclass(frozen=True)
class Counts:
    """Customers seen before ``cut`` and what they do in the ``horizon`` days from it on.

    ``repeats`` purchase days after the first, ``last`` days from first to last, ``seen`` days from
    first to the day before the cut; ``recent`` purchase days in as long a time before the cut.
    ``spend`` is the sum over all purchase days so far, ``repeat_spend`` without the first.
    Shapes: (C,).
    """

    customer: Integers
    repeats: Integers
    last: Integers
    seen: Integers
    recent: Integers
    spend: Floats
    repeat_spend: Floats
    bought: Integers
    revenue: Floats

    @staticmethod
    def of(days: PurchaseDays, cut: int, horizon: int = HORIZON_DAYS) -> Counts:
        """Return the customers with a purchase day before ``cut``.

        Raises:
            NothingToPredict: there are none, or nothing happens from then on.
        """
        before = days.day < cut
        after = ~before & (days.day < cut + horizon)
        if not before.any() or not after.any():
            raise NothingToPredict(
                split_ms=cut * 86_400_000, before=int(before.sum()), targets=int(after.sum())
            )
        size = int(days.customer.max()) + 1

        def counted(where: Mask, values: Floats | None = None) -> Floats:
            weights = None if values is None else values[where]
            return np.bincount(days.customer[where], weights, size).astype(np.float64)

        who = np.unique(days.customer[before])
        first, latest = np.zeros(size, np.int64), np.zeros(size, np.int64)
        opening = days.is_first & before
        first[days.customer[opening]] = days.day[opening]
        latest[days.customer[before]] = days.day[before]
        return Counts(
            customer=who,
            repeats=counted(before)[who].astype(np.int64) - 1,
            last=(latest - first)[who],
            seen=cut - 1 - first[who],
            recent=counted(before & (days.day >= cut - horizon))[who].astype(np.int64),
            spend=counted(before, days.spend)[who],
            repeat_spend=counted(before & ~days.is_first, days.spend)[who],
            bought=counted(after)[who].astype(np.int64),
            revenue=counted(after, days.spend)[who],
        )


def weekday(day: Integers) -> Integers:
    """Return the day of the week; Monday is 0."""
    return (day + EPOCH_WEEKDAY) % WEEK
