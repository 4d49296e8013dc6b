"""Many trials, one effect: how large it is, how surely, and how much launches differ.

A launch's effect is normal around the mean of all launches (random effects, as in DerSimonian and
Laird 1986). A few launches hardly show how much they differ. Until they do, it is believed to be of
the size of ``USUAL_SPREAD``: a half-t belief, whose long tail gives way to launches that differ
more (Gelman 2006). What is carried on is the mean square given belief and launches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.events import Floats
from ml.response.regression import Slopes

USUAL_SPREAD, FREEDOM = 0.1, 3.0  # of an elasticity between launches; how short the tail is
LEAST_DISPERSION = 0.01  # customers who all did the same do not make an estimate certain
SPREADS = np.linspace(0.0, 2.0, 201)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """An elasticity: the mean of all launches, its standard error, and how launches spread."""

    mean: float
    standard_error: float
    between: float

    @property
    def spread(self) -> float:
        """The standard deviation of what the next launch may show."""
        return float(np.hypot(self.standard_error, self.between))

    def interval(self, z: float = 1.6449) -> tuple[float, float]:
        """Return mean -/+ z standard errors; 90 % by default."""
        return self.mean - z * self.standard_error, self.mean + z * self.standard_error


def pooled(found: Slopes) -> tuple[Effect, Floats]:
    """Return the effect, and how far each customer (K,) moves its mean.

    The squares of the moves add up to the variance; moves of two effects by the same customers give
    their covariance.
    """
    dispersion = _dispersion(found)
    between = _spread(found, dispersion)
    # As 1 / (variance + between**2), but 0 and not undefined where a trial says nothing.
    weights = found.information / (dispersion + between**2 * found.information)
    weights = weights / weights.sum()
    moves = _moves(found, weights)
    variance = float((moves**2).sum() + between**2 * (weights**2).sum())
    mean = float(weights @ found.slope)
    return Effect(mean=mean, standard_error=float(np.sqrt(variance)), between=between), moves


def _moves(found: Slopes, weights: Floats) -> Floats:
    """Return what each customer adds to the weighted mean, as if it had been made without them."""
    share = np.divide(
        weights, found.information, out=np.zeros(len(weights)), where=found.information > 0
    )[found.trial]
    added = np.bincount(found.customer, share * found.score)
    leverage = np.bincount(found.customer, share * found.weight)
    return np.asarray(added / np.maximum(1 - leverage, np.finfo(np.float32).eps))


def _dispersion(found: Slopes) -> float:
    """Return the variance of a customer's score over the information given; 1 for Poisson."""
    total = found.information.sum()
    moves = _moves(found, found.information / total)
    return max(float((moves**2).sum() * total), LEAST_DISPERSION)


def _spread(found: Slopes, dispersion: float) -> float:
    """Return the root of the mean square of the spread between launches, given all trials."""
    says = found.information > 0
    slope, variance = found.slope[says], dispersion / found.information[says]
    total = variance + SPREADS[:, None] ** 2
    precision = (1 / total).sum(axis=1)
    mean = (slope / total).sum(axis=1) / precision
    away = ((slope - mean[:, None]) ** 2 / total).sum(axis=1)
    log_density = -(np.log(total).sum(axis=1) + np.log(precision) + away) / 2
    log_density -= (FREEDOM + 1) / 2 * np.log1p((SPREADS / USUAL_SPREAD) ** 2 / FREEDOM)
    density = np.exp(log_density - log_density.max())
    return float(np.sqrt(density @ SPREADS**2 / density.sum()))
