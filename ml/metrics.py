"""Means with customer-bootstrap intervals, and what a ranking is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.events import Floats, Integers

RANKS_COUNTED = 20
Figure = dict[str, float]


@dataclass(frozen=True, slots=True)
class ItemScores:
    """How a method did on each target: rank (ties against it) and negative log-likelihood.

    ``nll`` is nan where the item has no row of its own; such a target is a miss in every rank.
    """

    rank: Integers
    nll: Floats

    def values(self) -> dict[str, Floats]:
        """Return one value per target and metric."""
        return {
            "top_1": (self.rank <= 1).astype(np.float64),
            "top_10": (self.rank <= 10).astype(np.float64),
            "mrr_20": np.where(self.rank <= RANKS_COUNTED, 1 / self.rank, 0.0),
            "nll": self.nll,
        }


class Bootstrap:
    """Draws customers with replacement; the same draws for every figure, so they compare."""

    def __init__(self, customer: Integers, *, draws: int, seed: int) -> None:
        _, self.group = np.unique(customer, return_inverse=True)
        self.groups = int(self.group.max(initial=-1)) + 1
        rng = np.random.default_rng(seed)
        even = np.full(self.groups, 1 / max(self.groups, 1))
        self.weights = rng.multinomial(self.groups, even, size=draws).astype(np.float64)

    def figure(self, values: Floats, where: NDArray[np.bool_] | None = None) -> Figure:
        """Return the mean of the finite values, its 95 % interval and how many there were."""
        chosen = np.isfinite(values) if where is None else np.isfinite(values) & where
        if not chosen.any():
            return {"n": 0}
        group = self.group[chosen]
        sums = np.bincount(group, values[chosen], self.groups)
        counts = np.bincount(group, minlength=self.groups)
        drawn = self.weights @ counts
        means = (self.weights @ sums)[drawn > 0] / drawn[drawn > 0]
        low, high = np.quantile(means, [0.025, 0.975])
        value = float(values[chosen].mean())
        return {"value": value, "low": float(low), "high": float(high), "n": int(chosen.sum())}

    def figures(
        self, values: Mapping[str, Floats], where: NDArray[np.bool_] | None = None
    ) -> dict[str, Figure]:
        """Return the figure of every named column."""
        return {name: self.figure(column, where) for name, column in values.items()}
