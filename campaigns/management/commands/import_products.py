"""Store the products of a file."""

import csv
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from campaigns.services import ProductFacts, store_products
from campaigns.services.products import KEPT
from common.clock import now
from common.errors import DtocError

COLUMNS = ("sku", *KEPT)


class Command(BaseCommand):
    help = (
        "Store the products of a CSV file with a header, known before or not; all of them, or "
        f"none. Columns: {', '.join(COLUMNS)}. All but sku may be missing or empty."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            with file.open(newline="", encoding="utf-8-sig") as lines:
                stored = store_products(facts=list(_facts(lines)), at=now())
        except (OSError, UnicodeDecodeError, DtocError) as error:
            raise CommandError(f"nothing was stored: {error}") from error
        self.stdout.write(f"{stored:,} products")


def _facts(lines: Any) -> Iterator[ProductFacts]:
    reader = csv.DictReader(lines)
    unknown = set(reader.fieldnames or ()) - set(COLUMNS)
    if "sku" not in (reader.fieldnames or ()) or unknown:
        told = ", ".join(sorted(unknown)) or "no column sku"
        raise CommandError(f"the header has {told}: expected {', '.join(COLUMNS)}")
    for row in reader:
        yield _fact(reader.line_num, {name: (row.get(name) or "").strip() for name in COLUMNS})


def _fact(line: int, row: dict[str, str]) -> ProductFacts:
    try:
        return ProductFacts(
            sku=row["sku"],
            name=row["name"],
            category=row["category"],
            price=_amount(row["price"]),
            unit_cost=_amount(row["unit_cost"]),
            stock=int(row["stock"]) if row["stock"] else None,
        )
    except (InvalidOperation, ValueError):
        raise CommandError(
            f"nothing was stored: line {line} has a price, unit_cost or stock that is no number: "
            "write amounts like 2.55 and stock as a whole number"
        ) from None


def _amount(text: str) -> Decimal | None:
    return Decimal(text) if text else None
