"""Purchase days regressed on what a customer did lately, learned at earlier cuts.

Not a baseline of the literature but the smallest model that sees the season's level: alone it is
better than NBD where its level happens to fit, averaged with NBD it is better at most cuts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

from ml.events import Floats, Integers
from ml.protocols.timing_data import HORIZON_DAYS, Counts, PurchaseDays

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
    count = np.bincount(place).astype(np.float64)
    lately = [np.bincount(place[day >= cut - window], minlength=len(who)) for window in WINDOWS]
    mean_gap = (last - first) / np.maximum(count - 1, 1)
    since = cut - last
    columns = [
        count, cut - first, since, mean_gap, np.bincount(place, spend) / count, last_spend,
        count / (cut - first + 30.0), since / (mean_gap + 10.0), *lately,
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
        x = (recency(days, cut) - self.mean) / self.deviation
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
