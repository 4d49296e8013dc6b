"""How far a simulated figure may lie from its mean."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class Interval:
    """Means with the ends of their prediction intervals, arrays of one shape."""

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def prediction_interval(
    replicates: NDArray[np.int64] | NDArray[np.float64], level: float = LEVEL
) -> Interval:
    """Where one further replicate would lie with probability ``level``; axis 1 holds replicates.

    Student's t with R - 1 degrees of freedom, widened by ``sqrt(1 + 1 / R)`` for the unknown mean.
    A replicate is one future of the whole audience with an elasticity drawn for it, so the interval
    holds both the luck of the customers and what is not known about the response. Replicates that
    are all equal give an interval of width exactly 0.
    """
    count = replicates.shape[1]
    values = replicates.astype(np.float64)
    mean, spread = values.mean(axis=1), values.std(axis=1, ddof=1)
    same = replicates.min(axis=1) == replicates.max(axis=1)
    mean = np.where(same, values[:, 0], mean)  # exact, where rounding of the sum could disturb it
    reach = stdtrit(count - 1, 0.5 + level / 2) * spread * np.sqrt(1 + 1 / count)
    reach = np.where(same, 0.0, reach)
    return Interval(mean, mean - reach, mean + reach)
