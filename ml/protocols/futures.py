"""Protocol D: do simulated futures look like what happened? The scores.

Shapes: R futures, D days, W weeks, C customers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.events import Floats, Integers
from ml.metrics import Figure

DAYS_PER_WEEK = 7
NOMINAL = 0.9
Numbers = NDArray[np.float64] | NDArray[np.int64]


def ratio(simulated: Numbers, actual: float) -> Figure:
    """Return the mean of the futures (R,) over what happened, and the central 95 % of them."""
    if not actual or not len(simulated):
        return {"n": 0}
    low, high = np.quantile(simulated, [0.025, 0.975]) / actual
    value = float(np.mean(simulated)) / actual
    return {"value": value, "low": float(low), "high": float(high), "n": len(simulated)}


def weekly(by_day: Numbers) -> Floats:
    """Return sums (..., W) of weeks from the first day on; the last one may be shorter."""
    days = by_day.shape[-1]
    starts = np.arange(0, days, DAYS_PER_WEEK)
    return np.add.reduceat(by_day, starts, axis=-1).astype(np.float64)


def curve_correlation(simulated: Numbers, actual: Numbers) -> Figure:
    """Return how the mean weekly curve (R, W) and the true one (W,) go together."""
    curve = np.asarray(simulated).mean(axis=0)
    if curve.std() == 0 or np.std(actual) == 0:
        return {"n": 0}
    value = float(np.corrcoef(curve, actual)[0, 1])
    return {"value": value, "low": value, "high": value, "n": len(curve)}


def weeks_covered(simulated: Numbers, actual: Numbers, nominal: float = NOMINAL) -> Figure:
    """Return the share of weeks whose truth lies in the central interval of the futures (R, W)."""
    tail = (1 - nominal) / 2
    low, high = np.quantile(simulated, [tail, 1 - tail], axis=0)
    held = (actual >= low) & (actual <= high)
    value = float(held.mean())
    return {"value": value, "low": value, "high": value, "n": len(held)}


def pit(simulated: Integers, actual: Integers, *, seed: int = 0) -> Floats:
    """Return where each truth (C,) lies among the customer's futures (R, C), 0 to 1.

    Even over 0 to 1 where the futures are right; ties are drawn evenly.
    """
    luck = np.random.default_rng(seed).random(len(actual))
    below = (simulated < actual).mean(axis=0)
    equal = (simulated == actual).mean(axis=0)
    return np.asarray(below + luck * equal)


def distance_from_even(values: Floats) -> float:
    """Return the Kolmogorov-Smirnov distance of values (C,) from the even distribution."""
    ordered = np.sort(values)
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))
