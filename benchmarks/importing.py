"""Import of a file, against a multi-row INSERT of the same rows into an identical table."""

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.bare import Row, insert, make_table, stored_rows
from benchmarks.ground import shop_file
from benchmarks.result import Result, compare

CUSTOMERS = 400
BATCH = 1_000


def run(folder: Path, rounds: int) -> Result:
    """Rows per second through cleaning, identities and the store, and of bare INSERTs."""
    file = shop_file(folder, CUSTOMERS)
    sources = iter(f"bench-{number}" for number in range(rounds + 1))
    _imported(file, next(sources))  # registers the customers, warms up
    rows = stored_rows("bench-0")
    return compare(
        name="import",
        unit="rows/s",
        limit_is="multi-row INSERT by psycopg2",
        rounds=rounds,
        path=lambda: _imported(file, next(sources)),
        limit=lambda: _inserted(rows),
    )


def _imported(file: Path, source: str) -> float:
    from common.clock import now
    from events.mapping import load_mapping
    from events.services.importing import import_file

    mapping = msgspec.structs.replace(load_mapping("synthetic_shop"), source=source)
    begun = time.perf_counter()
    report = import_file(path=file, mapping=mapping, at=now())
    return report.total("accepted") / (time.perf_counter() - begun)


def _inserted(rows: Sequence[Row]) -> float:
    from django.db import connection, transaction

    make_table()
    begun = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        with transaction.atomic(), connection.cursor() as cursor:
            insert(cursor.cursor, rows[start : start + BATCH])
    return len(rows) / (time.perf_counter() - begun)
