"""Protocol C: what is measured, and the rules that need no fitting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from ml.events import Floats, Integers
from ml.metrics import Bootstrap, Figure
from ml.rhythm.days import HORIZON_DAYS, PurchaseDays

GROUPS = 10
COUNT_METRICS = {"rmse": "RMSE", "mae": "MAE", "bias": "predicted / actual", "auc": "AUC any",
                 "spearman": "Spearman", "calibration": "calibration error"}  # fmt: skip
SPEND_METRICS = {"mae": "MAE", "rmse": "RMSE", "spearman": "Spearman"}
REVENUE_METRICS = {"mae": "MAE", "bias": "predicted / actual", "spearman": "Spearman",
                   "top_decile": "top-decile share"}  # fmt: skip

Statistic = Callable[[Floats, Floats], float]


def rmse(predicted: Floats, actual: Floats) -> float:
    return float(np.sqrt(np.square(predicted - actual).mean()))


def mae(predicted: Floats, actual: Floats) -> float:
    return float(np.abs(predicted - actual).mean())


def bias(predicted: Floats, actual: Floats) -> float:
    """The sum of the predictions over what happened."""
    return float(predicted.sum() / actual.sum()) if actual.sum() else float("nan")


def auc(predicted: Floats, actual: Floats) -> float:
    """The probability that of two customers the one who bought was rated higher; ties are half."""
    bought = actual > 0
    positives, negatives = int(bought.sum()), int((~bought).sum())
    if not positives or not negatives:
        return float("nan")
    ranks = stats.rankdata(predicted)
    return float((ranks[bought].sum() - positives * (positives + 1) / 2) / positives / negatives)


def spearman(predicted: Floats, actual: Floats) -> float:
    a, b = stats.rankdata(predicted), stats.rankdata(actual)
    if a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def calibration(predicted: Floats, actual: Floats) -> float:
    """The mean distance of prediction and truth over ten groups by prediction."""
    groups = deciles(predicted, actual)
    return float(np.mean([abs(row["predicted"] - row["actual"]) for row in groups]))


def top_decile(predicted: Floats, actual: Floats) -> float:
    """The share of all that comes from the tenth rated highest."""
    best = np.argsort(-predicted, kind="stable")[: max(round(len(predicted) / GROUPS), 1)]
    return float(actual[best].sum() / actual.sum()) if actual.sum() else float("nan")


STATISTICS: dict[str, Statistic] = {
    "rmse": rmse, "mae": mae, "bias": bias, "auc": auc, "spearman": spearman,
    "calibration": calibration, "top_decile": top_decile,
}  # fmt: skip


def deciles(predicted: Floats, actual: Floats) -> list[dict[str, float]]:
    """Return mean prediction and truth of ten groups of customers, lowest prediction first."""
    parts = np.array_split(np.argsort(predicted, kind="stable"), min(GROUPS, len(predicted)))
    return [
        {
            "customers": float(len(part)),
            "predicted": float(predicted[part].mean()),
            "actual": float(actual[part].mean()),
        }
        for part in parts
    ]


class CustomerDraws:
    """Draws customers with replacement where each has one row; for figures that are no means."""

    def __init__(self, customers: int, *, draws: int, seed: int) -> None:
        self.draws = np.random.default_rng(seed).integers(0, customers, (draws, customers))

    def figure(self, statistic: Statistic, predicted: Floats, actual: Floats) -> Figure:
        """Return a statistic with its 95 % interval."""
        found = [statistic(predicted[rows], actual[rows]) for rows in self.draws]
        low, high = np.nanquantile(found, [0.025, 0.975]) if np.isfinite(found).any() else (0, 0)
        value = statistic(predicted, actual)
        if not np.isfinite(value):
            return {"n": 0}
        return {"value": value, "low": float(low), "high": float(high), "n": len(actual)}

    def ratio(self, statistic: Statistic, one: Floats, other: Floats, actual: Floats) -> Figure:
        """Return one method's statistic over another's on the same draws, less 1."""

        def gain(rows: Integers) -> float:
            truth = actual[rows]
            return statistic(one[rows], truth) / statistic(other[rows], truth) - 1

        low, high = np.quantile([gain(rows) for rows in self.draws], [0.025, 0.975])
        value = gain(np.arange(len(actual)))
        return {"value": value, "low": float(low), "high": float(high), "n": len(actual)}

    def figures(
        self, metrics: Mapping[str, str], predicted: Floats, actual: Floats
    ) -> dict[str, Figure]:
        """Return the figures of these metrics."""
        return {name: self.figure(STATISTICS[name], predicted, actual) for name in metrics}


def likelihood_figure(customer: Integers, found: Floats, *, draws: int, seed: int) -> Figure:
    """Return the mean log-likelihood per spell; the interval draws customers."""
    return Bootstrap(customer, draws=draws, seed=seed).figure(found)


@dataclass(frozen=True)
class Gaps:
    """Gaps that end in the holdout, and what was known when each began. Shapes: (G,).

    ``number`` earlier gaps with ``mean`` and ``median``; nan where there was none.
    """

    customer: Integers
    days: Floats
    number: Integers
    mean: Floats
    median: Floats
    overall_median: float
    overall_mean: float

    @staticmethod
    def of(days: PurchaseDays, cut: int, horizon: int = HORIZON_DAYS) -> Gaps:
        """Return those of all customers with an earlier purchase day."""
        rows = np.flatnonzero(~days.is_first)
        length = (days.day[rows] - days.day[rows - 1]).astype(np.float64)
        ends = days.day[rows]
        asked = (ends >= cut) & (ends < cut + horizon)
        number = days.number[rows] - 1
        earlier = [
            length[n - k : n] for n, k in zip(np.flatnonzero(asked), number[asked], strict=True)
        ]
        return Gaps(
            customer=days.customer[rows][asked],
            days=length[asked],
            number=number[asked],
            mean=np.array([part.mean() if len(part) else np.nan for part in earlier]),
            median=np.array([np.median(part) if len(part) else np.nan for part in earlier]),
            overall_median=float(np.median(length[ends < cut])),
            overall_mean=float(length[ends < cut].mean()),
        )

    def rules(self) -> dict[str, Floats]:
        """Return what simple rules predict."""
        overall = np.full(len(self.days), self.overall_median)
        known = self.number > 0
        blended = (self.number * np.where(known, self.median, 0) + 2 * overall) / (self.number + 2)
        return {
            "overall median": overall,
            "own mean gap": np.where(known, self.mean, self.overall_mean),
            "own median, two overall medians added": blended,
        }
