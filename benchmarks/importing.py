"""Import of a file, against a multi-row INSERT of the same rows into an identical table."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.ground import shop_file
from benchmarks.result import Result, compare

CUSTOMERS = 400
BATCH = 1_000
COLUMNS = (
    "stream, version, event_id, type, schema_version, occurred_at, recorded_at, "
    "data::text, metadata::text"
)


def run(folder: Path, rounds: int) -> Result:
    """Rows per second through cleaning, identities and the store, and of bare INSERTs."""
    from django.db import connection

    file = shop_file(folder, CUSTOMERS)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE bare (LIKE events_event INCLUDING DEFAULTS INCLUDING INDEXES "
            "INCLUDING IDENTITY)"
        )
    sources = iter(f"bench-{number}" for number in range(rounds + 1))
    _imported(file, next(sources))  # registers the customers, warms up
    rows = _stored("bench-0")
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


def _stored(source: str) -> Sequence[tuple[Any, ...]]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM events_event WHERE metadata->>'source' = %s",  # noqa: S608
            [source],
        )
        return list(cursor.fetchall())


def _inserted(rows: Sequence[tuple[Any, ...]]) -> float:
    from django.db import connection, transaction
    from psycopg2.extras import execute_values

    statement = (
        "INSERT INTO bare (stream, version, event_id, type, schema_version, occurred_at, "
        "recorded_at, data, metadata) VALUES %s"
    )
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE bare")
    begun = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        with transaction.atomic(), connection.cursor() as cursor:
            execute_values(cursor.cursor, statement, rows[start : start + BATCH], page_size=BATCH)
    return len(rows) / (time.perf_counter() - begun)
