"""Purchase days regressed on what a customer did lately, learned at earlier cuts.

The smallest model that sees the season's level: alone it is better than the posterior of the rate
where its level happens to fit, averaged with it (in logarithms) it is better at most cuts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.events import Floats, Integers
from ml.rhythm.days import HORIZON_DAYS, PurchaseDays
from ml.rhythm.spells import Counts
from ml.rhythm.statistics import RECENT_DAYS, Purchases

WINDOWS = (7, 14, 28, 60, 90, 180)
CUTS, STEP_DAYS, LEAST_HISTORY_DAYS = 8, 14, 5
RIDGE = 1e-3
SMALLEST, LARGEST = -8.0, 4.0  # of the logarithm of an expected count


def recency(days: PurchaseDays, cut: int) -> Floats:
    """Return logarithms of what is known of each customer at a cut (C, F), in customer order."""
    before = days.day < cut
    who, place = np.unique(days.customer[before], return_inverse=True)
    day, spend = days.day[before], days.spend[before]
    first = np.full(len(who), cut)
    np.minimum.at(first, place, day)
    last = np.zeros(len(who), np.int64)
    last[place] = day  # rows are by day: the last one stays
    last_spend = np.zeros(len(who))
    last_spend[place] = spend
    lately = [np.bincount(place[day >= cut - window], minlength=len(who)) for window in WINDOWS]
    return _logarithms(
        np.bincount(place).astype(np.float64), cut - first, cut - last, last - first,
        np.bincount(place, spend).astype(np.float64), last_spend, lately,
    )  # fmt: skip


def recency_of(purchases: Purchases, cut: int) -> Floats:
    """Return the same (B, F) from what twins remember; customers without a purchase get zeros."""
    count = np.maximum(purchases.purchase_days, 1).astype(np.float64)
    since = cut - purchases.last_day
    running = np.zeros((len(purchases), RECENT_DAYS + 1))
    purchases.recent().cumsum(axis=1, out=running[:, 1:])
    place = np.array(WINDOWS)[:, None] - since + 1  # windows by customers
    place = np.minimum(np.maximum(place, 0), running.shape[1] - 1)
    lately = running[np.arange(len(purchases)), place]
    known = _logarithms(
        count, cut - purchases.first_day, since, purchases.last_day - purchases.first_day,
        purchases.spend_cents / 100, purchases.last_day_cents / 100, lately,
    )  # fmt: skip
    return np.where(purchases.purchase_days[:, None] > 0, known, 0.0)


def _logarithms(
    count: Floats, age: Integers, since: Integers, span: Integers, spend: Floats,
    last_spend: Floats, lately: Iterable[NDArray[Any]],
) -> Floats:  # fmt: skip
    mean_gap = span / np.maximum(count - 1, 1)
    columns = [
        count, age, since, mean_gap, spend / count, last_spend, count / (age + 30.0),
        since / (mean_gap + 10.0), *lately,
    ]  # fmt: skip
    return np.asarray(np.log1p(np.maximum(np.stack(columns, axis=1), 0)), dtype=np.float64)


@dataclass(frozen=True)
class RecencyRegression:
    """A Poisson regression. Shapes: F features; ``weights`` (F + 1,), the level first."""

    mean: Floats
    deviation: Floats
    weights: Floats

    @staticmethod
    def fit(days: PurchaseDays, cut: int, horizon: int = HORIZON_DAYS) -> RecencyRegression | None:
        """Return what earlier cuts teach, whose horizons end before ``cut``; None where none do."""
        from scipy import optimize  # not where predictions are read: it costs them half a second

        if not len(days.day):
            return None
        opening = int(days.day.min()) + LEAST_HISTORY_DAYS
        cuts = [cut - horizon - n * STEP_DAYS for n in range(CUTS)]
        cuts = [earlier for earlier in cuts if earlier > opening]
        if not cuts:
            return None
        x = np.concatenate([recency(days, earlier) for earlier in cuts])
        y = np.concatenate([Counts.of(days, earlier, horizon).bought for earlier in cuts])
        mean, deviation = x.mean(axis=0), x.std(axis=0) + 1e-6
        design = _design((x - mean) / deviation)
        start = np.zeros(design.shape[1])
        start[0] = np.log(max(y.mean(), 1e-6))
        best = optimize.minimize(_loss, start, args=(design, y), jac=True, method="L-BFGS-B")
        return RecencyRegression(mean, deviation, best.x)

    def expected(self, days: PurchaseDays, cut: int) -> Floats:
        """Return the expected purchase days of each customer seen before the cut."""
        return self.expected_of(recency(days, cut))

    def expected_of(self, known: Floats) -> Floats:
        """Return the expected purchase days (B,) for the columns (B, F) of ``recency``."""
        x = (known - self.mean) / self.deviation
        return np.asarray(np.exp(np.clip(_design(x) @ self.weights, SMALLEST, LARGEST)))


def _design(x: Floats) -> Floats:
    return np.concatenate([np.ones((len(x), 1)), x], axis=1)


def _loss(weights: Floats, x: Floats, y: Integers) -> tuple[float, Floats]:
    level = np.clip(x @ weights, SMALLEST, LARGEST)
    expected = np.exp(level)
    penalty = RIDGE * weights
    penalty[0] = 0
    loss = (expected - y * level).mean() + penalty @ weights / 2
    return float(loss), np.asarray((expected - y) @ x / len(y) + penalty)
