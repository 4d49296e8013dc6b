"""How the whole shop's level moves: purchase days by week against what the law expected.

The logarithm of observed over expected is a random walk with noise around it (the local level
model of Harvey 1989). Half a year tells little about its two variances, so they are their means
under the likelihood and not its best point. A forecast of a total that left them out would be sure
of something that no law of single customers knows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ml.events import Floats
from ml.rhythm.days import PurchaseDays
from ml.rhythm.law import WEEK, Law, Own

WEEKS = 26  # the latest ones; before, a young shop still finds its customers
LEAST_WEEKS, LEAST_EXPECTED = 12, 20.0
GRID = (0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Standard deviations of the log level: of a week alone, and of each step of the walk."""

    week: float
    step: float

    @staticmethod
    def none() -> Drift:
        """Return a level that does not move."""
        return Drift(week=0.0, step=0.0)

    def as_dict(self) -> dict[str, float]:
        """Return the deviations for JSON."""
        return asdict(self)


def weekly_levels(law: Law, days: PurchaseDays, cut: int) -> tuple[Floats, Floats]:
    """Return purchase days by week before ``cut`` and how many the law expected, oldest first."""
    from ml.rhythm.fit import Ended

    ended = Ended.of(days)
    first = cut - WEEKS * WEEK
    observed, expected = np.zeros(WEEKS), np.zeros(WEEKS)
    own = law.own_of(
        np, days=ended.gaps + 1, first_day=ended.first, last_day=ended.start, last_day_share=0.0,
        gap_days=ended.gap, gap_before_days=ended.gap_before,
        spend_cents=ended.mean_spend * (ended.gaps + 1) * 100,
        last_day_cents=ended.last_spend * 100,
    )  # fmt: skip
    for week in range(WEEKS):
        for day in range(first + week * WEEK, first + (week + 1) * WEEK):
            waiting = (ended.start < day) & (days.next_day >= day)
            columns = (np.broadcast_to(c, waiting.shape)[waiting] for c in own)
            expected[week] += law.hazards(np, Own(*columns), day).sum()
            observed[week] += int(((days.day == day) & ~days.is_first).sum())
    return observed, expected


def fit_drift(law: Law, days: PurchaseDays, cut: int) -> Drift:
    """Return the drift of the weeks before ``cut``; none where there are too few to tell."""
    known = days.rows(days.day < cut)
    if not len(known.day):
        return Drift.none()
    observed, expected = weekly_levels(law, known, cut)
    usable = (expected >= LEAST_EXPECTED) & (observed > 0)
    if int(usable.sum()) < LEAST_WEEKS or not usable[-LEAST_WEEKS:].all():
        return Drift.none()
    began = int(np.flatnonzero(~usable).max(initial=-1)) + 1
    level = np.log(observed[began:] / expected[began:])
    counting = 1 / expected[began:]
    pairs = np.array([(week, step) for week in GRID for step in GRID])
    found = [_log_likelihood(level, counting + week**2, step**2) for week, step in pairs]
    weights = np.exp(np.array(found) - max(found))
    week, step = np.sqrt(weights @ pairs**2 / weights.sum()).tolist()
    return Drift(week=round(week, 6), step=round(step, 6))


def _log_likelihood(level: Floats, noise: Floats, step: float) -> float:
    """Return the log-likelihood of a random walk seen with noise, by the Kalman filter."""
    mean, variance, total = 0.0, 1.0, 0.0
    for seen, blur in zip(level, noise, strict=True):
        variance += step
        spread = variance + blur
        total -= (np.log(spread) + (seen - mean) ** 2 / spread) / 2
        gain = variance / spread
        mean, variance = mean + gain * (seen - mean), variance * (1 - gain)
    return float(total)
