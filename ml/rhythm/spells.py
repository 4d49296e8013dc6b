"""What is asked of a rhythm: waiting times between purchase days, and counts from a cut on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.errors import NothingToPredict
from ml.events import Floats, Integers
from ml.rhythm.days import DAY_MS, HORIZON_DAYS, Mask, PurchaseDays


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
                split_ms=cut * DAY_MS, before=int(before.sum()), targets=int(after.sum())
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
