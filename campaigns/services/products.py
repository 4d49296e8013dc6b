"""Products: what the shop knows of its items besides their sales."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from campaigns.errors import InvalidProduct
from campaigns.models import Product

LARGEST = Decimal(10) ** 8
MOST_STOCK = 2**31 - 1
BATCH = 1_000
KEPT = ("name", "category", "price", "unit_cost", "stock")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductFacts:
    """One product as it is told; what is None or empty is not known."""

    sku: str
    name: str = ""
    category: str = ""
    price: Decimal | None = None
    unit_cost: Decimal | None = None
    stock: int | None = None


@transaction.atomic
def store_products(*, facts: Sequence[ProductFacts], at: datetime) -> int:
    """Every product is as told, known before or not; returns how many. All of them, or none.

    Raises:
        InvalidProduct: a figure is out of range, or a SKU comes twice.
    """
    _check(facts)
    rows = [
        Product(sku=one.sku, updated_at=at, **{name: getattr(one, name) for name in KEPT})
        for one in facts
    ]
    Product.objects.bulk_create(
        rows,
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["sku"],
        update_fields=[*KEPT, "updated_at"],
    )
    return len(rows)


def _check(facts: Sequence[ProductFacts]) -> None:
    seen: set[str] = set()
    for row, one in enumerate(facts, start=1):
        for field, value, holds, expected in _rules(one, seen):
            if not holds:
                raise InvalidProduct(row=row, field=field, value=value, expected=expected)
        seen.add(one.sku)


def _rules(one: ProductFacts, seen: set[str]) -> list[tuple[str, Any, bool, str]]:
    price, cost, stock = one.price, one.unit_cost, one.stock
    most = f"less than {LARGEST:,}"
    return [
        ("sku", one.sku or "empty", 1 <= len(one.sku) <= 100, "1 to 100 characters"),
        ("sku", one.sku, one.sku not in seen, "each SKU once"),
        ("name", "too long", len(one.name) <= 200, "at most 200 characters"),
        ("category", "too long", len(one.category) <= 100, "at most 100 characters"),
        ("price", price, price is None or 0 < price < LARGEST, f"above 0, {most}"),
        ("unit_cost", cost, cost is None or 0 <= cost < LARGEST, f"at least 0, {most}"),
        ("stock", stock, stock is None or 0 <= stock <= MOST_STOCK, f"0 to {MOST_STOCK:,}"),
    ]
