"""Segment's e-commerce events as events of the catalogue.

Source: Segment's specification "E-Commerce Events" v2, and the four names of v1 that mean the same.
Each function answers None where the fields do not suffice: the event then stays a custom one. A
field that is there and wrong is passed on, so that cleaning can say what is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from events.segment.values import (
    amount,
    country_in,
    currency_in,
    member,
    number,
    optional_code,
    told,
)

Properties = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mapped:
    """One event of the catalogue. ``key`` tells the events of one message apart.

    ``natural_key`` names the fact itself: who sends it again, from elsewhere, sends a duplicate.
    """

    type: str
    data: dict[str, Any]
    key: str = ""
    natural_key: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is known of an order beside its properties."""

    currency: str = ""
    context: dict[str, Any] = field(default_factory=dict)


Mapping = Callable[[Properties, Terms], list[Mapped] | None]


def viewed(properties: Properties, terms: Terms) -> list[Mapped] | None:
    category = optional_code(properties.get("category"))
    return [Mapped("item_viewed", _given(sku=_sku(properties), category=category))]


def added(properties: Properties, terms: Terms) -> list[Mapped] | None:
    return [Mapped("item_added_to_cart", _units(properties))]


def removed(properties: Properties, terms: Terms) -> list[Mapped] | None:
    return [Mapped("item_removed_from_cart", _units(properties))]


def checkout(properties: Properties, terms: Terms) -> list[Mapped] | None:
    return [Mapped("checkout_started", _given(order_id=told(properties.get("order_id"))))]


def cancelled(properties: Properties, terms: Terms) -> list[Mapped] | None:
    return [Mapped("order_cancelled", _given(order_id=told(properties.get("order_id"))))]


def purchased(properties: Properties, terms: Terms) -> list[Mapped] | None:
    """One purchase for each product; an order's line is the same fact, whoever tells it."""
    order = optional_code(properties.get("order_id"))
    return [
        Mapped("item_purchased", data, key=str(n), natural_key=f"{order}:{n}" if order else "")
        for n, data in enumerate(_lines(properties, terms), 1)
    ] or None


def refunded(properties: Properties, terms: Terms) -> list[Mapped] | None:
    """One return for each product. An order may be refunded in parts: there is no natural key."""
    return [
        Mapped("item_returned", data, key=str(n))
        for n, data in enumerate(_lines(properties, terms), 1)
    ] or None


def coupon_applied(properties: Properties, terms: Terms) -> list[Mapped] | None:
    """A coupon is redeemed with an order; in a cart it may still be taken out."""
    offer, order = (optional_code(properties.get(n)) for n in ("coupon_id", "order_id"))
    if offer is None or order is None:
        return None
    return [Mapped("offer_redeemed", {"offer_id": offer, "order_id": order})]


def promotion_viewed(properties: Properties, terms: Terms) -> list[Mapped] | None:
    offer = optional_code(properties.get("promotion_id"))
    return None if offer is None else [Mapped("offer_viewed", {"offer_id": offer})]


MAPPINGS: dict[str, Mapping] = {
    "product_viewed": viewed,
    "viewed_product": viewed,
    "product_added": added,
    "added_product": added,
    "product_removed": removed,
    "removed_product": removed,
    "checkout_started": checkout,
    "order_completed": purchased,
    "completed_order": purchased,
    "order_refunded": refunded,
    "order_cancelled": cancelled,
    "coupon_applied": coupon_applied,
    "promotion_viewed": promotion_viewed,
}


def _lines(properties: Properties, terms: Terms) -> list[dict[str, Any]]:
    products = properties.get("products")
    if not isinstance(products, list):
        return []
    common = _given(
        order_id=told(properties.get("order_id")),
        currency=currency_in(properties.get("currency"), terms.currency),
        country=country_in(
            properties.get("country"),
            member(terms.context, "location", "country"),
            member(terms.context, "traits", "address", "country"),
        ),
    )
    return [{**common, **_line(product, n)} for n, product in enumerate(products, 1)]


def _line(product: Any, line_no: int) -> dict[str, Any]:
    fields = product if isinstance(product, dict) else {}
    price = amount(fields.get("price"))
    return {"line_no": line_no, **_units(fields), **_given(unit_price=price)}


def _units(fields: dict[str, Any]) -> dict[str, Any]:
    quantity = fields.get("quantity")
    return _given(sku=_sku(fields), quantity=1 if quantity is None else number(quantity))


def _sku(fields: dict[str, Any]) -> Any:
    sku = told(fields.get("sku"))
    return told(fields.get("product_id")) if sku in (None, "") else sku


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
