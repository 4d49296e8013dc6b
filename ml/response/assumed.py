"""The response that somebody stated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.response.effects import Effects, Provenance, drawn
from ml.response.errors import BadResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class AssumedResponse:
    """An elasticity that somebody stated, normal around its mean, cut off at 0."""

    mean: float
    spread: float  # standard deviation

    def __post_init__(self) -> None:
        for field in ("mean", "spread"):
            value = getattr(self, field)
            if not (np.isfinite(value) and value >= 0):
                raise BadResponse(field=field, value=value)

    @property
    def name(self) -> str:
        """Return the kind of response model."""
        return "assumed"

    @property
    def provenance(self) -> Provenance:
        """Return that nothing but the statement is behind it."""
        return "assumption"

    def effects(self, replicates: int, seed: int) -> Effects:
        """Return one draw for each replicate, half of it through more orders."""
        return Effects.split(drawn(self.mean, self.spread, replicates, seed))

    def as_dict(self) -> dict[str, Any]:
        """Return the response for JSON."""
        return {"kind": self.name, "mean": self.mean, "spread": self.spread}
