"""When the next order comes and what the next 90 days bring, from a stored forecast.

Plain numbers and numpy: a web process answers from these and loads no model. Rollouts draw from the
same law on tensors (``rhythm.draws``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.events import Floats
from ml.rhythm.counts import CountLaw
from ml.rhythm.days import DAY_MS as DAY_MS
from ml.rhythm.law import Law, Own
from ml.rhythm.statistics import COLUMNS, Purchases

HORIZONS_DAYS = (7, 30, 90)
CHURN_DAYS = 90
SEARCHED_DAYS = (128, 512, 1_826)  # a quantile beyond five years is none


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeToOrder:
    """The next order of one customer, given that none has come until the moment of asking.

    The own numbers are those of ``rhythm.law.Own``. ``last_day`` is the last purchase day or, where
    not ``bought`` anything, the day before the first event; None where there was no event.
    """

    law: Law
    shape: float
    scale: float
    level: float
    last_day: int | None
    last_day_share: float
    gap_days: int
    gap_before_days: int
    bought: bool

    @staticmethod
    def of(stored: Mapping[str, Any]) -> TimeToOrder:
        """Return the time that ``as_dict`` wrote."""
        return TimeToOrder(**{**stored, "law": Law.of(stored["law"])})

    def as_dict(self) -> dict[str, Any]:
        """Return the time for JSON."""
        own = {name: getattr(self, name) for name in self.__slots__ if name != "law"}
        return {**own, "law": self.law.as_dict()}

    def seen_from(self, as_of_ms: int, days: int = SEARCHED_DAYS[0]) -> Outlook:
        """Return the days from a moment on, of which so many are looked at in the first place."""
        return Outlook(self, as_of_ms, days)

    def cumulative_hazard(self, from_ms: int, until_ms: int) -> float:
        """Return ``-log`` of the probability that no order comes between two moments."""
        days = until_ms // DAY_MS - from_ms // DAY_MS + 1
        return self.seen_from(from_ms, days).hazard_until(until_ms)

    def probability_within(self, days: float, as_of_ms: int) -> float:
        """Return the probability of an order within ``days`` from a moment on."""
        return -math.expm1(-self.cumulative_hazard(as_of_ms, _after(as_of_ms, days)))

    def quantile(self, q: float, as_of_ms: int) -> float | None:
        """Return the days from a moment by which an order has come with probability ``q``.

        None where that takes more than five years.
        """
        return self.seen_from(as_of_ms).quantile(q)

    def hazards(self, first: int, days: int, as_of_ms: int) -> Floats:
        """Return the hazard of each whole day from ``first`` on."""
        last_day = as_of_ms // DAY_MS - 1 if self.last_day is None else self.last_day
        own = Own(
            self.shape, self.scale, self.level, last_day, self.last_day_share, self.gap_days,
            self.gap_before_days, float(self.bought),
        )  # fmt: skip
        hazards = np.asarray(self.law.hazards(np, own, np.arange(first, first + days)))
        if self.bought and first <= last_day < first + days:
            hazards[last_day - first] = self.law.same_day_hazard
        return hazards

    def day_share(self, at_ms: int) -> float:
        """Return how much of that day's hazard lies before the moment."""
        share = float(self.law.day_share(np, at_ms % DAY_MS))
        if not self._is_last_day(at_ms // DAY_MS):
            return share
        return max((share - self.last_day_share) / (1 - self.last_day_share), 0.0)

    def share_ms(self, day: int, share: float) -> float:
        """Return the milliseconds of a day before which so much of its hazard lies."""
        if self._is_last_day(day):
            share = self.last_day_share + share * (1 - self.last_day_share)
        return float(self.law.share_ms(np, share))

    def _is_last_day(self, day: int) -> bool:
        return self.bought and day == self.last_day


class Outlook:
    """The days from a moment on: one curve of hazards, of which all answers are read.

    It grows where an answer lies beyond what has been looked at.
    """

    def __init__(self, time: TimeToOrder, as_of_ms: int, days: int) -> None:
        self.time, self.as_of_ms, self.first = time, as_of_ms, as_of_ms // DAY_MS
        self.hazards: Floats = np.empty(0)
        self._look(days)
        self.over = float(self.hazards[0]) * time.day_share(as_of_ms)

    def hazard_until(self, until_ms: int) -> float:
        """Return ``-log`` of the probability that no order comes until a moment."""
        day = until_ms // DAY_MS - self.first
        self._look(day + 1)
        earlier = float(self.running[day - 1]) if day else 0.0
        return earlier + float(self.hazards[day]) * self.time.day_share(until_ms) - self.over

    def probability_within(self, days: float) -> float:
        """Return the probability of an order within ``days``."""
        return -math.expm1(-self.hazard_until(_after(self.as_of_ms, days)))

    def quantile(self, q: float) -> float | None:
        """Return the days by which an order has come with probability ``q``, if ever."""
        target = self.over - math.log1p(-q)
        for days in SEARCHED_DAYS:
            self._look(days)
            if target < self.running[days - 1]:
                break
        else:
            return None
        day = int(self.running.searchsorted(target, side="right"))
        hazard = float(self.hazards[day])
        inside = (target - (float(self.running[day]) - hazard)) / hazard
        at_ms = (self.first + day) * DAY_MS + self.time.share_ms(self.first + day, inside)
        return max(at_ms - self.as_of_ms, 0.0) / DAY_MS

    def _look(self, days: int) -> None:
        """See to it that the hazards of the first ``days`` are known."""
        seen = len(self.hazards)
        if seen < days:
            more = self.time.hazards(self.first + seen, days - seen, self.as_of_ms)
            self.hazards = np.concatenate((self.hazards, more))
            self.running = self.hazards.cumsum()


def _after(at_ms: int, days: float) -> int:
    return at_ms + round(days * DAY_MS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buying:
    """What one customer is expected to buy: the counts, and what is learned from everybody."""

    counts: CountLaw
    purchases: Mapping[str, int]

    @staticmethod
    def of(stored: Mapping[str, Any]) -> Buying:
        """Return what ``as_dict`` wrote."""
        return Buying(counts=CountLaw.of(stored["counts"]), purchases=stored["purchases"])

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"counts": self.counts.as_dict(), "purchases": dict(self.purchases)}

    def expected(self, law: Law, days: float, as_of_ms: int) -> tuple[float, float]:
        """Return the expected orders, and the expected spend, of the ``days`` from a day on."""
        known = Purchases(**{name: np.array([self.purchases[name]]) for name in COLUMNS})
        expected = float(self.counts.purchase_days(law, known, as_of_ms // DAY_MS, days)[0])
        spend = float(self.counts.spend_per_day(known)[0])
        return expected * self.counts.orders_per_day, expected * spend


def predictions(forecast: Mapping[str, Any], clock_ms: int, as_of_ms: int) -> dict[str, Any]:
    """Return what a stored forecast says as of a moment at or after the twin's clock.

    Days count from ``as_of_ms``. The interval is the central 80 %; an end that is not reached
    within five years is None. ``churn`` is the probability of no order within 90 days.
    """
    time, as_of_ms = TimeToOrder.of(forecast["time_to_order"]), max(as_of_ms, clock_ms)
    outlook = time.seen_from(as_of_ms)
    chances = {days: outlook.probability_within(days) for days in HORIZONS_DAYS}
    low, median, high = map(outlook.quantile, (0.1, 0.5, 0.9))
    orders, spend = Buying.of(forecast["buying"]).expected(time.law, CHURN_DAYS, as_of_ms)
    return {
        "order_probability": {f"within_{days}_days": chance for days, chance in chances.items()},
        "median_days_to_order": median,
        "interval_days_to_order": [low, high],
        "churn": 1 - chances[CHURN_DAYS],
        "expected_orders_90_days": orders,
        "expected_spend_90_days": spend,
    }
