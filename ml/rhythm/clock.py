"""Operational time: a weekday lasts as long as its share of the purchase days says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ml.events import Floats, Integers
from ml.rhythm.days import PurchaseDays

WEEK, EPOCH_WEEKDAY = 7, 3  # 1970-01-01 was a Thursday; Monday is 0

Clock = Callable[[Integers], Floats]


def weekday(day: Integers) -> Integers:
    """Return the day of the week; Monday is 0."""
    return (day + EPOCH_WEEKDAY) % WEEK


def calendar(day: Integers) -> Floats:
    """Every day lasts as long as any other."""
    return np.asarray(day, dtype=np.float64)


@dataclass(frozen=True)
class WeekdayClock:
    """Seven factors from Monday on, mean 1; a day on which nothing is sold takes no time."""

    factors: tuple[float, ...]

    @staticmethod
    def fit(days: PurchaseDays, before: int, *, least: float = 0.0) -> WeekdayClock:
        """Return the factors of the days before ``before``, none below ``least``."""
        known = days.day[days.day < before]
        span = np.arange(known.min(), before)
        weeks = np.maximum(np.bincount(weekday(span), minlength=WEEK), 1)
        bought = np.bincount(weekday(known), minlength=WEEK) / weeks
        factors = np.maximum(bought / bought.mean(), least)
        return WeekdayClock(tuple((factors / factors.mean()).tolist()))

    def running(self) -> Floats:
        """Return the operational time (8,) that has passed after 0 to 7 days since 1970."""
        factors = np.asarray(self.factors)[weekday(np.arange(WEEK))]
        return np.concatenate(([0.0], np.cumsum(factors)))

    def __call__(self, day: Integers) -> Floats:
        """Return operational time at the end of each day."""
        running = self.running()
        weeks, rest = np.divmod(np.asarray(day) + 1, WEEK)  # day 0 ends after one day
        return np.asarray(weeks * running[-1] + running[rest])
