"""The response learned from past offers, each of them an experiment with a group held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ml.events import EventTable
from ml.response.effects import Effects, Floats, Provenance, normals
from ml.response.errors import NoOffersToLearnFrom
from ml.response.pooling import Effect, pooled
from ml.response.regression import slopes
from ml.response.trials import Rows, Trial, rows_of
from ml.rhythm.model import Rhythm

LEAST_ORDERS = 20  # in each group, over all trials
LARGEST = 5.0  # of an effect that is drawn, either way


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedEstimate:
    """What past offers did to the rate of orders and to their size, and what that rests on.

    ``correlation`` is that of the errors of the two means. ``launches`` are names, ``depths`` the
    shallowest and the deepest of them; ``customers`` were in at least one.
    """

    hazard: Effect
    quantity: Effect
    correlation: float
    launches: tuple[str, ...]
    depths: tuple[float, float]
    customers: int
    treated_orders: int
    control_orders: int

    @property
    def mean(self) -> float:
        """The elasticity of what customers buy, at regular prices."""
        return self.hazard.mean + self.quantity.mean

    @property
    def spread(self) -> float:
        """The standard deviation of that elasticity in the next launch."""
        errors = self.hazard.standard_error * self.quantity.standard_error
        squares = self.hazard.spread**2 + self.quantity.spread**2
        return float(np.sqrt(squares + 2 * self.correlation * errors))

    def as_dict(self) -> dict[str, Any]:
        """Return the estimate for JSON, with mean and spread of the whole beside its parts."""
        stored = {"mean": self.mean, "standard_error": self.spread, **asdict(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in stored.items()}

    @staticmethod
    def of(stored: dict[str, Any]) -> LearnedEstimate:
        """Return the estimate that ``as_dict`` wrote."""
        made: dict[str, Any] = {
            "hazard": Effect(**stored["hazard"]),
            "quantity": Effect(**stored["quantity"]),
            "launches": tuple(stored["launches"]),
            "depths": tuple(stored["depths"]),
        }
        parts = {name: stored[name] for name in LearnedEstimate.__slots__}
        return LearnedEstimate(**{**parts, **made})


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedResponse:
    """What past offers did, with the errors of the estimate and the spread between launches."""

    estimate: LearnedEstimate

    @property
    def name(self) -> str:
        """Return the kind of response model."""
        return "learned"

    @property
    def provenance(self) -> Provenance:
        """Return that both effects were measured."""
        return "data"

    def effects(self, replicates: int, seed: int) -> Effects:
        """Return one launch for each replicate, in which all customers answer alike."""
        hazard, quantity, rho = (
            self.estimate.hazard, self.estimate.quantity, self.estimate.correlation,
        )  # fmt: skip
        z = [normals(replicates, seed, number) for number in range(4)]
        other = rho * z[0] + np.sqrt(1 - rho**2) * z[1]
        return Effects(
            _bounded(hazard.mean + hazard.standard_error * z[0] + hazard.between * z[2]),
            _bounded(quantity.mean + quantity.standard_error * other + quantity.between * z[3]),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the response for JSON."""
        return {"kind": self.name, "estimate": self.estimate.as_dict()}


def learn_response(events: EventTable, trials: Sequence[Trial], rhythm: Rhythm) -> LearnedEstimate:
    """Return what the trials say of the rate of orders and of the size of an order.

    Within each trial, treated customers are compared with those held out, while the offer is open:
    how many orders they place, and what an order comes to at regular prices. ``rhythm`` says what
    was to be expected of each customer when the offer opened, which narrows the comparison. Trials
    without depth, or with nobody in one of the groups, are left out.

    It is the effect of the offer as far as (1) the lot alone decided who was treated, (2) the log
    of either ratio is proportional to ``-log(1 - depth)``, (3) who buys under the offer spends like
    others of the same history, but for the offer.

    Raises:
        NoOffersToLearnFrom: hardly anybody ordered in one of the groups.
    """
    usable = [trial for trial in trials if _compares(trial)]
    if not usable:
        raise NoOffersToLearnFrom(launches=0, treated=0, control=0, least=LEAST_ORDERS)
    rates, sizes = rows_of(events, usable, rhythm)
    treated, control = _orders(rates)
    if min(treated, control) < LEAST_ORDERS:
        raise NoOffersToLearnFrom(
            launches=len(usable), treated=treated, control=control, least=LEAST_ORDERS
        )
    hazard, hazard_moves = pooled(slopes(rates, len(usable), counts=True))
    quantity, quantity_moves = pooled(slopes(sizes, len(usable), counts=False))
    depths = [trial.depth for trial in usable]
    return LearnedEstimate(
        hazard=hazard,
        quantity=quantity,
        correlation=_correlation(hazard, hazard_moves, quantity, quantity_moves),
        launches=tuple(trial.name for trial in usable),
        depths=(min(depths), max(depths)),
        customers=len(np.unique(rates.customer)),
        treated_orders=treated,
        control_orders=control,
    )


def _compares(trial: Trial) -> bool:
    return 0 < trial.depth < 1 and bool(trial.treated.any()) and not bool(trial.treated.all())


def _orders(rates: Rows) -> tuple[int, int]:
    """Return how many orders the treated and those held out placed."""
    treated = rates.dose > 0
    return int(rates.outcome[treated].sum()), int(rates.outcome[~treated].sum())


def _correlation(one: Effect, moves: Floats, other: Effect, other_moves: Floats) -> float:
    many = min(len(moves), len(other_moves))  # nobody beyond has moved both
    errors = one.standard_error * other.standard_error
    if errors == 0:
        return 0.0
    return float(np.clip(moves[:many] @ other_moves[:many] / errors, -0.99, 0.99))


def _bounded(effect: Floats) -> Floats:
    return np.asarray(np.clip(effect, -LARGEST, LARGEST))
