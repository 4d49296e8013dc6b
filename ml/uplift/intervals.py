"""Figures with 90 % intervals over customers.

Shapes: N customers, R draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ml.events import Floats

LEVEL = 0.9
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
DRAWS_AT_ONCE = 32  # a few arrays of all customers for each; bounds the memory


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and the ends of its 90 % interval; nan where it cannot be told."""

    value: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Return whether ``value`` lies in the interval, ends included."""
        return self.low <= value <= self.high

    @staticmethod
    def of(value: float, draws: Floats) -> Estimate:
        """Return the figure with the central 90 % of its draws (R,); undefined ones left out."""
        known = draws[np.isfinite(draws)]
        if not len(known):
            return Estimate(value, np.nan, np.nan)
        low, high = np.quantile(known, TAILS)
        return Estimate(value, float(low), float(high))


class Draws:
    """Draws of customers with replacement, the same for every figure, so that figures compare."""

    def __init__(self, customers: int, *, draws: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        even = np.full(customers, 1 / max(customers, 1))
        self.weights = rng.multinomial(customers, even, size=draws).astype(np.int16)

    def estimate(self, figure: Callable[[Floats], Floats]) -> Estimate:
        """Return what ``figure`` (R, N) -> (R,) makes of all customers once, and of the draws."""
        once = np.ones((1, self.weights.shape[1]))
        value = float(figure(once)[0])
        blocks = range(0, len(self.weights), DRAWS_AT_ONCE)
        drawn = [figure(self.weights[n : n + DRAWS_AT_ONCE].astype(np.float64)) for n in blocks]
        return Estimate.of(value, np.concatenate(drawn) if drawn else np.empty(0))
