"""Time to the next order, in closed form and in plain floats.

A web process answers from these; the tensor forms for training and rollouts are in ``survival``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DAY_MS = 86_400_000
HORIZONS_DAYS = (7, 30, 90)
CHURN_DAYS = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeToOrder:
    """Days from a customer's last event to the next order: log-logistic, or never.

    ``S(t) = n + (1 - n) / (1 + (t / a) ** b)`` with scale a (days), shape b and never-share n. Each
    method takes ``elapsed_days``: how long nothing has happened already.
    """

    scale_days: float
    shape: float
    never_share: float

    def survival(self, days: float) -> float:
        """Return the probability that no order comes within ``days`` of the last event."""
        return self.never_share + (1 - self.never_share) * self._waiting(days)

    def cumulative_hazard(self, days: float) -> float:
        """Return ``-log survival``."""
        return -math.log(self.survival(days))

    def inverse_cumulative_hazard(self, hazard: float) -> float | None:
        """Return the days at which the cumulative hazard reaches ``hazard``; None where never."""
        waiting = (math.exp(-hazard) - self.never_share) / (1 - self.never_share)
        if waiting <= 0:
            return None
        odds = max((1 - waiting) / waiting, 0.0)
        return self.scale_days * math.pow(odds, 1 / self.shape)

    def probability_within(self, days: float, elapsed_days: float = 0.0) -> float:
        """Return the probability of an order within the next ``days``."""
        now = self.survival(elapsed_days)
        return 1 - self.survival(elapsed_days + days) / now

    def quantile(self, q: float, elapsed_days: float = 0.0) -> float | None:
        """Return the days from now by which an order has come with probability ``q``, or None."""
        target = self.cumulative_hazard(elapsed_days) - math.log1p(-q)
        reached = self.inverse_cumulative_hazard(target)
        return None if reached is None else max(reached - elapsed_days, 0.0)

    def _waiting(self, days: float) -> float:
        if days <= 0:
            return 1.0
        z = self.shape * (math.log(days) - math.log(self.scale_days))
        return 1 / (1 + math.exp(z)) if z < 500 else 0.0


def predictions(forecast: Mapping[str, Any], clock_ms: int, as_of_ms: int) -> dict[str, Any]:
    """Return what a stored forecast says as of a moment at or after the twin's clock.

    Days count from ``as_of_ms``. The interval is the central 80 %; an end that is not reached with
    its probability is None. ``churn`` is the probability of no order within 90 days.
    """
    time = TimeToOrder(**forecast["time_to_order"])
    elapsed = max(as_of_ms - clock_ms, 0) / DAY_MS if clock_ms else 0.0
    within = {f"within_{d}_days": time.probability_within(d, elapsed) for d in HORIZONS_DAYS}
    return {
        "order_probability": within,
        "median_days_to_order": time.quantile(0.5, elapsed),
        "interval_days_to_order": [time.quantile(0.1, elapsed), time.quantile(0.9, elapsed)],
        "churn": 1 - time.probability_within(CHURN_DAYS, elapsed),
    }
