"""Files and imports that tests are built on."""

import gzip
import json
from pathlib import Path

from common.clock import now
from events.files import open_rows
from events.mapping import load_mapping
from events.services.importing import ImportReport, import_file
from tests.events.builders import rows

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def line(order: int, number: int = 1, **changes) -> str:
    """A good row of the public shop's file."""
    cells = {
        "order": str(600000 + order),
        "sku": str(20000 + number),
        "text": "ITEM",
        "quantity": str(number),
        "time": f"2011-01-{1 + order % 28:02} 10:00:00",
        "price": "1.25",
        "customer": str(15000 + order % 40),
        "country": "United Kingdom",
    }
    return ",".join({**cells, **changes}.values())


def lines(orders: int, per_order: int = 5) -> list[str]:
    return [line(order, number + 1) for order in range(orders) for number in range(per_order)]


def csv_file(path: Path, told: list[str]) -> Path:
    text = "\n".join([HEADER, *told]) + "\n"
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def ndjson_file(path: Path, values: list) -> Path:
    text = "".join(f"{v if isinstance(v, str) else json.dumps(v)}\n" for v in values)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def imported(path: Path, mapping: str = "online_retail", **options) -> ImportReport:
    return import_file(path=path, mapping=load_mapping(mapping), at=now(), **options)


def chunks_of(path: Path, columns: list[str], rows_each: int, limit: int | None = None) -> list:
    """Of each chunk: its rows as tuples, and the texts of its broken rows."""
    found = []
    for chunk in open_rows(path, columns).chunks(rows_each, limit):
        table = zip(*(chunk.table.column(name).to_pylist() for name in columns), strict=True)
        found.append((list(table), [row.text for row in chunk.broken]))
    return found


def stored() -> list[tuple]:
    """All events of files, but for what two imports cannot share."""
    return rows(
        "SELECT event_id, type, occurred_at, data::text, metadata::text, version FROM events_event"
        " WHERE type <> 'customer_registered' ORDER BY event_id"
    )
