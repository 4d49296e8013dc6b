"""How many purchase days are to be expected, and what is spent on one, from a moment on.

Purchase days: the geometric mean of the posterior rate in operational time, which knows a customer
for as long as it has been one, and of a Poisson regression on what the customer did lately. The
regression alone takes over the level of the season it was learned in; the rate alone does not see
that customers come and go. Spend: the gamma-gamma model (Fader and Hardie 2013).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ml.events import Floats
from ml.rhythm.days import HORIZON_DAYS
from ml.rhythm.law import Law
from ml.rhythm.regression import RecencyRegression, recency_of
from ml.rhythm.statistics import Purchases


def shrunk_spend(p: float, q: float, v: float, days: Any, spend: Any) -> Any:
    """Return the expected spend of a purchase day after ``days`` of them with ``spend`` in all."""
    return p * (v + spend) / (p * days + q - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountLaw:
    """What is learned from everybody; plain numbers, fit for JSON.

    ``weights`` (F + 1) are of the regression on the columns of ``recency`` as they are, the level
    first; empty where no cut lay early enough. ``orders_per_day`` is of a purchase day. ``p``,
    ``q`` and ``v`` are those of the gamma-gamma model.
    """

    weights: tuple[float, ...]
    horizon_days: int
    orders_per_day: float
    p: float
    q: float
    v: float

    @staticmethod
    def plain() -> CountLaw:
        """Return a law that has learned nothing."""
        return CountLaw(
            weights=(), horizon_days=HORIZON_DAYS, orders_per_day=1.0, p=2.0, q=3.0, v=100.0
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the law for JSON."""
        return {**asdict(self), "weights": list(self.weights)}

    @staticmethod
    def of(stored: dict[str, Any]) -> CountLaw:
        """Return the law that ``as_dict`` wrote."""
        return CountLaw(**{**stored, "weights": tuple(stored["weights"])})

    def purchase_days(self, law: Law, purchases: Purchases, day: int, horizon: float) -> Floats:
        """Return the expected purchase days (B,) in the ``horizon`` days from ``day`` on."""
        span = _span(law, day, horizon)
        bought = purchases.purchase_days > 0
        first = np.where(bought, purchases.first_day, day - 1)
        gaps = np.maximum(purchases.purchase_days - 1, 0)
        watched = np.maximum(_passed(law, day) - law.time(np, first), 0.0)
        rate = (law.shape + gaps) / (law.scale + watched) * span
        if not self.weights:
            return np.asarray(rate, dtype=np.float64)
        per_horizon = span / _span(law, day, self.horizon_days)
        lately = self._regression().expected_of(recency_of(purchases, day)) * per_horizon
        return np.asarray(np.where(bought, np.sqrt(rate * lately), rate), dtype=np.float64)

    def spend_per_day(self, purchases: Purchases) -> Floats:
        """Return the expected spend (B,) of a purchase day."""
        days, spend = purchases.purchase_days.astype(np.float64), purchases.spend_cents / 100
        return np.asarray(shrunk_spend(self.p, self.q, self.v, days, spend), dtype=np.float64)

    def order_value(self, days: Any, spend: Any) -> Any:
        """Return the expected value of one order; of arrays or of tensors."""
        return shrunk_spend(self.p, self.q, self.v, days, spend) / self.orders_per_day

    def _regression(self) -> RecencyRegression:
        weights = np.array(self.weights)
        nothing = np.zeros(len(weights) - 1)
        return RecencyRegression(nothing, nothing + 1, weights)


def raw_weights(regression: RecencyRegression | None) -> tuple[float, ...]:
    """Return the weights on columns as they are, in place of standardised ones."""
    if regression is None:
        return ()
    weights = regression.weights[1:] / regression.deviation
    level = regression.weights[0] - weights @ regression.mean
    return tuple(round(float(weight), 8) for weight in (level, *weights))


def _span(law: Law, day: int, days: float) -> float:
    """Return the operational time of the ``days`` from the beginning of ``day`` on."""
    whole = int(days)
    end = _passed(law, day + whole)
    part = (days - whole) * (_passed(law, day + whole + 1) - end)
    return float(end + part - _passed(law, day))


def _passed(law: Law, day: int) -> float:
    """Return operational time at the beginning of a day."""
    return float(law.time(np, day - 1))
