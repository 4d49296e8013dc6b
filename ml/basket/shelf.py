"""What the market says of every item, made ready once for many customers."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np

from ml.events import Floats, Integers
from ml.mixture.market import Snapshot
from ml.mixture.tables import Table

POPULAR_MOST = 200
BELIEVED = 20  # local orders until half of a country's own taste is believed
STEADY = (
    "7 days", "14 days", "28 days", "90 days", "all days", "trend 7 / 28", "trend 14 / 28",
    "trend 28 / 90", "trend 28 / all", "log share of 28 days", "repeat share", "buyers", "item gap",
    "price", "units",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shelf:
    """The items as of one midnight.

    ``popular`` are the best sellers of 28 days, ``below_one`` their orders as a part of 1.
    ``first_day`` is infinite where an item was never ordered. ``steady`` are the same for whoever
    asks, ``local`` and ``taste`` differ by country.

    Shapes: V items, C countries: ``below_one`` and ``first_day`` (V,), ``steady`` (V, STEADY),
    ``local`` and ``taste`` (C + 1, V).
    """

    popular: Integers
    below_one: Floats
    first_day: Floats
    steady: Floats
    local: Floats
    taste: Floats
    neighbours: Table

    @staticmethod
    def of(market: Snapshot) -> Shelf:
        """Return the shelf of a market, made when that is first asked for."""
        shelf = _SHELVES.get(market)
        if shelf is None:
            shelf = _SHELVES[market] = Shelf._made(market)
        return shelf

    @staticmethod
    def _made(market: Snapshot) -> Shelf:
        demand = market.demand
        month = demand.windows[2]
        best = np.argsort(-month, kind="stable")[:POPULAR_MOST]
        return Shelf(
            popular=best[month[best] > 0],
            below_one=month / (month.max(initial=0) + 1),
            first_day=np.where(demand.orders > 0, demand.first_day, np.inf),
            steady=_steady(market),
            local=np.log1p(demand.local),
            taste=_taste(market),
            neighbours=market.neighbours,
        )

    def columns(self, items: Integers, day: int, country: int) -> dict[str, Floats]:
        """Return the numbers (C,) of some items for a customer of a country."""
        steady = dict(zip(STEADY, self.steady[items].T, strict=True))
        return {
            **steady,
            "age": np.log1p(np.maximum(day - self.first_day[items], 0)),
            "country": self.local[country, items],
            "country / all": self.taste[country, items],
        }


_SHELVES: WeakKeyDictionary[Snapshot, Shelf] = WeakKeyDictionary()  # they go with their markets


def _steady(market: Snapshot) -> Floats:
    demand = market.demand
    week, fortnight, month, quarter = np.log1p(demand.windows)
    ever, orders = np.log1p(demand.orders), np.maximum(demand.orders, 1)
    columns = (
        week, fortnight, month, quarter, ever, week - month, fortnight - month, month - quarter,
        month - ever, month - np.log(demand.windows[2].sum() + 1), demand.repeats / orders,
        np.log1p(demand.orders - demand.repeats),
        np.log1p(demand.gap_days / np.maximum(demand.repeats, 1)),
        demand.log_prices, demand.log_quantities,
    )  # fmt: skip
    return np.stack(columns, axis=1)


def _taste(market: Snapshot) -> Floats:
    """Return how much more often than elsewhere each country (C + 1, V) orders an item, as logs."""
    local, orders = market.demand.local, market.demand.orders
    share = orders / max(float(orders.sum()), 1)
    sold = local.sum(axis=1, keepdims=True)
    more = (local + BELIEVED * share) / (sold * share + BELIEVED * share + 1e-9)
    return np.asarray(np.log(more + 0.05))
