"""What a response model says: how strongly customers answer to a lower price, and by what.

An elasticity e says that a price lower by the share d multiplies something by ``(1 - d) ** -e``;
the factor is exactly 1 where d is 0. An offer on everything works through two of them: how often
customers order, and how much an order comes to at regular prices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ml.noise import uniforms

Floats = NDArray[np.float64]
Provenance = Literal["data", "assumption"]

HAZARD_SHARE = 0.5  # of one elasticity that says nothing of how it works
RESPONSE_PURPOSE = 200  # keeps these draws apart from those of a rollout with the same seed


@dataclass(frozen=True, slots=True)
class Effects:
    """One elasticity of the rate of orders and one of their size for each replicate, (R,) each.

    Below 0 an offer keeps customers away: an estimate may say so.
    """

    hazard: Floats
    quantity: Floats

    @staticmethod
    def split(elasticity: Floats) -> Effects:
        """Return the effects of one elasticity, ``HAZARD_SHARE`` of it through more orders."""
        return Effects(HAZARD_SHARE * elasticity, (1 - HAZARD_SHARE) * elasticity)

    def hazard_multiplier(self, depth: float) -> Floats:
        """Return what an offer multiplies the rate of orders by (R,); above 0, 1 at depth 0."""
        return np.asarray((1 - depth) ** -self.hazard)

    def quantity_multiplier(self, depth: float) -> Floats:
        """Return what an offer multiplies the size of an order by (R,); above 0, 1 at depth 0."""
        return np.asarray((1 - depth) ** -self.quantity)


class Response(Protocol):
    """Where the effects of a simulation's offers come from; named in every result."""

    @property
    def name(self) -> str:
        """Return the kind of response model."""

    @property
    def provenance(self) -> Provenance:
        """Return whether the response rests on data or on an assumption."""

    def effects(self, replicates: int, seed: int) -> Effects:
        """Return what each replicate takes customers to do; equal seeds, equal effects.

        The first replicates of a longer run are those of a shorter one.
        """

    def as_dict(self) -> dict[str, Any]:
        """Return the response for JSON; ``response_from`` reads it."""


def hazard_multiplier(elasticity: Floats, depth: Floats | float) -> Floats:
    """Return what an offer multiplies the rate of orders by; exactly 1 at depth 0."""
    return np.asarray((1 - np.asarray(depth)) ** (-HAZARD_SHARE * elasticity))


def quantity_multiplier(elasticity: Floats, depth: Floats | float) -> Floats:
    """Return what an offer multiplies the quantity of a line by; exactly 1 at depth 0."""
    return np.asarray((1 - np.asarray(depth)) ** (-(1 - HAZARD_SHARE) * elasticity))


def normals(replicates: int, seed: int, number: int = 0) -> Floats:
    """Return one standard normal number for each replicate; each ``number`` is a column apart."""
    u = uniforms(seed, torch.arange(replicates), 0, number, RESPONSE_PURPOSE)
    return np.asarray(torch.special.ndtri(u).numpy())


def drawn(mean: float, spread: float, replicates: int, seed: int) -> Floats:
    """Return normal numbers (R,), cut off at 0."""
    if spread == 0:
        return np.full(replicates, max(mean, 0.0))
    return np.asarray(np.maximum(mean + spread * normals(replicates, seed), 0.0))
