"""What a twin expects next, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ml.timing import TimeToOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The predictions of one twin as of its last event.

    ``top_items`` are for the first line of the next order, ``continuing_items`` for the next line
    where the present order goes on (probability ``same_order``). The line total is for the first
    line of the next order: ``mu`` and ``sigma`` of its logarithm, averaged over the top items.
    """

    top_items: tuple[tuple[str, float], ...]
    continuing_items: tuple[tuple[str, float], ...]
    same_order: float
    time_to_order: TimeToOrder
    line_total_mu: float
    line_total_sigma: float
    line_total_expected: float

    def as_dict(self) -> dict[str, Any]:
        """Return the forecast for JSON; ``timing.predictions`` reads it."""
        time = self.time_to_order
        return {
            "top_items": [{"sku": sku, "probability": p} for sku, p in self.top_items],
            "continuing_items": [
                {"sku": sku, "probability": p} for sku, p in self.continuing_items
            ],
            "same_order": self.same_order,
            "time_to_order": {
                "scale_days": time.scale_days,
                "shape": time.shape,
                "never_share": time.never_share,
            },
            "line_total": {
                "mu": self.line_total_mu,
                "sigma": self.line_total_sigma,
                "expected": self.line_total_expected,
            },
        }
