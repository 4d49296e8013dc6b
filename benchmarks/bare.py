"""The raw limit of the store: rows as they stand in it, put into an identical table by psycopg2.

``python -m benchmarks.bare URL WAY SIZE FILE`` is one client: it waits for a line on standard
input, then puts the rows of FILE into the table, ``SIZE`` rows a commit.
"""

import io
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Row = tuple[Any, ...]

COLUMNS = (
    "stream, version, event_id, type, schema_version, occurred_at, recorded_at, "
    "data::text, metadata::text, epoch"
)
TARGET = (
    "bare (stream, version, event_id, type, schema_version, occurred_at, recorded_at, data, "
    "metadata, epoch)"
)
PARTITIONS = 16
LIKE = "INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING IDENTITY INCLUDING CONSTRAINTS"


def make_table() -> None:
    """``bare`` is empty and has the columns, keys, indexes and partitions of the event table."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bare")
        cursor.execute(f"CREATE TABLE bare (LIKE events_event {LIKE}) PARTITION BY HASH (stream)")
        for number in range(PARTITIONS):
            cursor.execute(
                f"CREATE TABLE bare_{number} PARTITION OF bare "
                f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
            )


def stored_rows(source: str) -> list[Row]:
    """The events of one source as they stand in the store, in the order of their arrival."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM events_event "  # noqa: S608 - a constant
            "WHERE metadata->>'source' = %s ORDER BY position",
            [source],
        )
        return list(cursor.fetchall())


def insert(cursor: Any, rows: Sequence[Row]) -> None:
    """One statement with as many rows."""
    from psycopg2.extras import execute_values

    statement = f"INSERT INTO {TARGET} VALUES %s"  # noqa: S608 - a constant
    execute_values(cursor, statement, rows, page_size=len(rows))


def copy(cursor: Any, rows: Sequence[Row]) -> None:
    """COPY in text form; JSON's backslashes are the only thing to escape in these rows."""
    text = "".join("\t".join(map(str, row)).replace("\\", "\\\\") + "\n" for row in rows)
    cursor.copy_expert(f"COPY {TARGET} FROM STDIN", io.StringIO(text))


WAYS: dict[str, Callable[[Any, Sequence[Row]], None]] = {"insert": insert, "copy": copy}


def main() -> int:
    import psycopg2
    import psycopg2.extras

    psycopg2.extras.register_uuid()  # type: ignore[no-untyped-call]  # published without types
    url, way, size, file = sys.argv[1:]
    rows: list[Row] = pickle.loads(Path(file).read_bytes())  # noqa: S301 - written by our parent
    connection = psycopg2.connect(url)
    print("ready", flush=True)
    sys.stdin.readline()
    for start in range(0, len(rows), int(size)):
        begun = time.perf_counter()
        with connection, connection.cursor() as cursor:
            WAYS[way](cursor, rows[start : start + int(size)])
        print(f"{(time.perf_counter() - begun) * 1000:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
