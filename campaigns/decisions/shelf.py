"""What the shop's products cost, and whether they are there, as far as a decision asks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection

GOODS = "SELECT sku, price, unit_cost, stock FROM campaigns_product WHERE sku = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Goods:
    """A product; None is not known."""

    price: Decimal | None
    unit_cost: Decimal | None
    stock: int | None

    @property
    def is_sold_out(self) -> bool:
        """Whether it is known that none is left."""
        return self.stock is not None and self.stock <= 0


Shelf = Mapping[str, Goods]


@dataclass(frozen=True, slots=True)
class Basket:
    """An order as the twin foresees it, split by whether an offer holds for its lines.

    ``share`` of its value lies in them. Costs are shares of the regular price.
    """

    share: float
    cost_inside: float
    cost_outside: float

    @property
    def cost(self) -> float:
        """Of the whole order."""
        return self.share * self.cost_inside + (1 - self.share) * self.cost_outside


def shelf_of(skus: Iterable[str]) -> Shelf:
    """What is known of these products; those of which nothing is known are left out."""
    asked = sorted(set(skus))
    if not asked:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(GOODS, [asked])
        return {sku: Goods(*facts) for sku, *facts in cursor}


def in_stock(skus: Iterable[str], shelf: Shelf) -> list[str]:
    """Those of the products that are not sold out; what is not counted is taken to be there."""
    return [sku for sku in skus if not (sku in shelf and shelf[sku].is_sold_out)]


def basket_of(
    items: Iterable[Mapping[str, Any]], skus: Iterable[str], shelf: Shelf, usual: float
) -> Basket:
    """The order that ``items`` foretell (SKUs with the probability of a line), for some products.

    No ``skus`` means all products. Where price or unit cost are not known, and for items that are
    not foretold one by one, goods cost ``usual``.
    """
    named = frozenset(skus)
    shares: dict[bool, float] = {True: 0.0, False: 0.0}
    costs = dict(shares)
    for item in items:
        inside = not named or item["sku"] in named
        shares[inside] += item["probability"]
        costs[inside] += item["probability"] * _cost(item["sku"], shelf, usual)
    rest = max(1.0 - sum(shares.values()), 0.0)
    shares[not named] += rest
    costs[not named] += rest * usual
    whole = sum(shares.values())
    inside_cost, outside_cost = (
        costs[side] / shares[side] if shares[side] else usual for side in (True, False)
    )
    return Basket(shares[True] / whole, inside_cost, outside_cost)


def _cost(sku: str, shelf: Shelf, usual: float) -> float:
    goods = shelf.get(sku)
    if goods is None or goods.price is None or goods.unit_cost is None:
        return usual
    return float(goods.unit_cost / goods.price)
