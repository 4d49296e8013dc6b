"""What an offer adds to the margin of one customer: expected on the twin, without a rollout.

What is not known is how customers answer. The margin is computed for evenly likely elasticities;
the score is their mean, the interval is the middle 90 % of them. The luck of a single customer is
not in it: that is far larger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from campaigns.decisions.look import OpenOffer
from campaigns.decisions.shelf import Basket
from ml.events import Floats
from ml.incremental import HORIZON_DAYS, OrderCurve, Orders, hazard_multiplier, quantity_multiplier

LEVEL = 0.9
ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
FEW_NODES, MANY_NODES, STEEP = 7, 15, 1.2  # more where multipliers lie further apart (logarithm)
DIGITS = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Score:
    """The expected margin that the offer adds within the horizon, with its interval.

    ``orders`` are those expected without it, ``orders_offered`` with it.
    """

    mean: Decimal
    low: Decimal
    high: Decimal
    orders: float
    orders_offered: float

    horizon_days = HORIZON_DAYS


class Scorer:
    """Scores offers on one twin; what they share is computed once."""

    def __init__(self, curve: OrderCurve, offers: Sequence[tuple[OpenOffer, Basket]]) -> None:
        self.curve = curve
        ends: dict[int, tuple[float, float]] = {}
        for offer, basket in offers:
            found = _multipliers(offer, basket)
            low, high = ends.get(offer.offer_days, (1.0, 1.0))
            ends[offer.offer_days] = min(low, float(found.min())), max(high, float(found.max()))
        self.tables = {days: Table(curve, days, *between) for days, between in ends.items()}

    def score(self, offer: OpenOffer, basket: Basket) -> Score:
        """The score of one of the offers."""
        table = self.tables[offer.offer_days]
        orders = table.at(_multipliers(offer, basket))
        plain, offered = _order_margins(offer, basket, self.curve.value)
        more_later = (orders.after - table.control)[:, None] * plain
        gains = orders.inside[:, None] * offered + more_later - float(offer.contact_cost)
        low, high = _middle(gains)
        return Score(
            mean=_money(float(gains.mean())),
            low=_money(low),
            high=_money(high),
            orders=table.control,
            orders_offered=float(orders.total.mean()),
        )


class Table:
    """Expected orders for any multiplier between two: a polynomial through some of them.

    Source: barycentric interpolation (Berrut and Trefethen 2004) at Chebyshev points of the second
    kind, in the logarithm of the multiplier.
    """

    def __init__(self, curve: OrderCurve, offer_days: int, least: float, most: float) -> None:
        low, high = np.log(least), np.log(most)
        count = FEW_NODES if high - low <= STEEP else MANY_NODES
        place = (1 - np.cos(np.pi * np.arange(count) / (count - 1))) / 2
        self.nodes = low + (high - low) * place
        found = curve.orders(offer_days, np.exp(np.append(self.nodes, 0.0)))
        self.control = float(found.total[-1])  # a multiplier of exactly 1
        self.inside, self.after = found.inside[:-1], found.after[:-1]
        self.weights = (-1.0) ** np.arange(count)
        self.weights[[0, -1]] /= 2

    def at(self, multipliers: Floats) -> Orders:
        """The orders (M,) for these multipliers."""
        apart = np.log(multipliers)[:, None] - self.nodes
        met = apart == 0
        shares = self.weights / np.where(met, 1.0, apart)
        shares = np.where(met.any(axis=1, keepdims=True), met, shares)
        shares = shares / shares.sum(axis=1, keepdims=True)
        return Orders(inside=shares @ self.inside, after=shares @ self.after)


def _middle(gains: Floats) -> tuple[float, float]:
    """The ends of the middle 90 % of evenly likely values: quantiles after Hazen."""
    ordered = np.sort(gains, axis=None)
    low, high = np.interp(ENDS, (np.arange(ordered.size) + 0.5) / ordered.size, ordered)
    return float(low), float(high)


def _multipliers(offer: OpenOffer, basket: Basket) -> Floats:
    """What the offer may multiply the rate of orders by (U,)."""
    return hazard_multiplier(offer.response.hazards(), float(offer.depth), basket.share)


def _order_margins(offer: OpenOffer, basket: Basket, value: float) -> tuple[float, Floats]:
    """What an order leaves without the offer, and with it for each elasticity (U, V)."""
    depth, funded = float(offer.depth), float(offer.funded_share)
    outside = (1 - basket.share) * (1 - basket.cost_outside)
    left = 1 - depth - basket.cost_inside + depth * funded
    more = quantity_multiplier(offer.response.quantities(), depth)
    return value * (1 - basket.cost), value * (outside + basket.share * more * left)


def _money(value: float) -> Decimal:
    rounded = Decimal(value).quantize(DIGITS)
    return rounded if rounded else abs(rounded)  # zero has no sign
