"""What an offer does to a customer's orders, as a live offer keeps it: read without loading torch.

Two elasticities, of how often orders come and of how much one comes to: a price lower by the share
d multiplies them by ``(1 - d) ** -e``. They are normal, correlated, and bounded from below. The
same things as in the response models of ``ml.response``, from whose stored form they come.
"""

import math
from typing import Any

import msgspec
import numpy as np

from campaigns.decisions.errors import InvalidLiveOffer
from ml.events import Floats
from ml.incremental import HAZARD_SHARE, normal_quantiles

LARGEST = 10.0
LARGEST_LEARNED = 5.0
EVENLY, ACROSS = normal_quantiles(40), normal_quantiles(9)


class Effect(msgspec.Struct, frozen=True):
    """An elasticity: its mean, and its standard deviation in what is not known."""

    mean: float
    spread: float


class Effects(msgspec.Struct, frozen=True):
    """Both elasticities; ``least`` bounds them from below, ``most`` from above."""

    kind: str
    hazard: Effect
    quantity: Effect
    correlation: float
    least: float
    most: float
    simulation_id: str | None = None

    def hazards(self) -> Floats:
        """Evenly likely elasticities (U,) of the rate of orders."""
        return self._bounded(self.hazard.mean + self.hazard.spread * EVENLY)

    def quantities(self) -> Floats:
        """Evenly likely elasticities (U, V) of the size of an order, given each of the rate."""
        if abs(self.correlation) == 1:
            luck = self.correlation * EVENLY[:, None]
        else:
            apart = math.sqrt(1 - self.correlation**2) * ACROSS
            luck = self.correlation * EVENLY[:, None] + apart
        return self._bounded(self.quantity.mean + self.quantity.spread * luck)

    def _bounded(self, values: Floats) -> Floats:
        return np.asarray(np.clip(values, self.least, self.most))


def effects_of(spec: dict[str, Any], simulation_id: str | None = None) -> Effects:
    """The effects that a response says, in the form of a simulation's manifest.

    Raises:
        InvalidLiveOffer: it is of another kind, not estimated yet, or out of range.
    """
    estimate = spec.get("estimate") or {}
    if spec.get("kind") == "assumed":
        return _split("assumed", spec.get("mean"), spec.get("spread"), simulation_id)
    if spec.get("kind") == "elasticity" and estimate:
        found = estimate["mean"], estimate["standard_error"]
        return _split("elasticity", *found, simulation_id)
    if spec.get("kind") == "learned" and estimate:
        return _learned(estimate, simulation_id)
    expected = "assumed, or the simulation_id of a simulation whose response has been estimated"
    raise InvalidLiveOffer(field="response/kind", value=spec.get("kind"), expected=expected)


def _split(kind: str, mean: Any, spread: Any, simulation_id: str | None) -> Effects:
    """One elasticity that says nothing of how it works: bounded at 0, and split."""
    least = 0.0 if kind == "assumed" else -LARGEST
    mean, spread = _number("mean", mean, least), _number("spread", spread, 0.0)
    other = 1 - HAZARD_SHARE
    return Effects(
        kind=kind,
        hazard=Effect(HAZARD_SHARE * mean, HAZARD_SHARE * spread),
        quantity=Effect(other * mean, other * spread),
        correlation=1.0,
        least=0.0,
        most=2 * LARGEST,
        simulation_id=simulation_id,
    )


def _learned(estimate: dict[str, Any], simulation_id: str | None) -> Effects:
    """Both as they were measured: the errors are correlated, how launches differ is not."""
    parts = [estimate["hazard"], estimate["quantity"]]
    spreads = [math.hypot(part["standard_error"], part["between"]) for part in parts]
    shared = parts[0]["standard_error"] * parts[1]["standard_error"] * estimate["correlation"]
    whole = spreads[0] * spreads[1]
    hazard, quantity = (
        Effect(_number("mean", part["mean"], -LARGEST), _number("spread", spread, 0.0))
        for part, spread in zip(parts, spreads, strict=True)
    )
    return Effects(
        kind="learned",
        hazard=hazard,
        quantity=quantity,
        correlation=shared / whole if whole else 0.0,
        least=-LARGEST_LEARNED,
        most=LARGEST_LEARNED,
        simulation_id=simulation_id,
    )


def _number(name: str, value: Any, least: float) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidLiveOffer(field=f"response/{name}", value=value, expected="a number")
    if not least <= value <= LARGEST:
        expected = f"{least} to {LARGEST}"
        raise InvalidLiveOffer(field=f"response/{name}", value=value, expected=expected)
    return float(value)
