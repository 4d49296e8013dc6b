"""What a twin expects next, as plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml.timing import Buying, TimeToOrder

if TYPE_CHECKING:
    from ml.basket.foretold import Basket


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The predictions of one twin as of its last event.

    ``top_items`` are for the first line of the next order; ``same_order`` is the probability that
    the present one goes on. ``next_basket`` are the items that the next order has likeliest, empty
    where the model does not say. ``market_day``, where the model reads a market, is the day at
    whose midnight it stood, counted from 1970. The line total is for the first line of the next
    order: ``mu`` and ``sigma`` of its logarithm, averaged over the top items.
    """

    top_items: tuple[tuple[str, float], ...]
    same_order: float
    time_to_order: TimeToOrder
    buying: Buying
    line_total_mu: float
    line_total_sigma: float
    line_total_expected: float
    market_day: int | None = None
    next_basket: Basket = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the forecast for JSON; ``timing.predictions`` reads it."""
        return {
            "top_items": [{"sku": sku, "probability": p} for sku, p in self.top_items],
            "next_basket": [item.as_dict(n) for n, item in enumerate(self.next_basket, start=1)],
            "same_order": self.same_order,
            "market_day": self.market_day,
            "time_to_order": self.time_to_order.as_dict(),
            "buying": self.buying.as_dict(),
            "line_total": {
                "mu": self.line_total_mu,
                "sigma": self.line_total_sigma,
                "expected": self.line_total_expected,
            },
        }
