"""From scores to probabilities: a logistic regression on the items that are listed.

A score alone says nothing across customers: who orders much gets more of a list. So the size and
the number of a customer's orders stand beside it. Within one customer the order stays.
Source: Platt 1999, "Probabilistic outputs for support vector machines".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ml.basket.features import Candidates
from ml.events import Floats

CHANCES = 4
ROUNDS, RIDGE, FARTHEST = 30, 1.0, 30.0


def inputs_of_chances(candidates: Candidates, scores: Floats) -> Floats:
    """Return the inputs (N, CHANCES) of N scores of one customer."""
    inputs = np.empty((len(scores), CHANCES))
    inputs[:, 0], inputs[:, 1:] = scores, (1.0, candidates.size, candidates.orders)
    return inputs


def fit_chances(inputs: Floats, bought: NDArray[np.bool_]) -> Floats:
    """Return the coefficients (CHANCES,) of the likeliest logistic curve, a little shrunk.

    That of the score is never below 0, so that what is ranked higher is no less likely.
    """
    found = _fitted(inputs, bought)
    return found if found[0] >= 0 else _fitted(inputs * (np.arange(CHANCES) > 0), bought)


def logistic(x: Floats) -> Floats:
    """Return shares between 0 and 1."""
    return np.asarray(1 / (1 + np.exp(-np.minimum(np.maximum(x, -FARTHEST), FARTHEST))))


def _fitted(inputs: Floats, bought: NDArray[np.bool_]) -> Floats:
    found = np.zeros(CHANCES)
    for _ in range(ROUNDS):
        share = logistic(inputs @ found)
        slope = inputs.T @ (bought - share) - RIDGE * found
        bend = (inputs * (share * (1 - share))[:, None]).T @ inputs + RIDGE * np.eye(CHANCES)
        found = found + np.linalg.solve(bend, slope)
    return found
