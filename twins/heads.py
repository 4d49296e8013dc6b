"""Reading and writing many twin heads at once, in SQL.

A head never goes back: an older result than the stored one is dropped, so that a rebuild may run
beside the advancer.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection
from psycopg2 import Binary
from psycopg2.extras import execute_values

from twins.folding import Folded, Head
from twins.models import Twin
from twins.pointer import LOCK_CLASS, POINTER

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000
PAGE = 500

READ = """
SELECT pseudonym, stream_version, snapshot_version, h, c, items, memory::text, waits_since,
    waiting_events
FROM twins_twin
WHERE model_version_id = %s AND pseudonym = ANY(%s::uuid[])
"""
UPSERT = """
INSERT INTO twins_twin (pseudonym, model_version_id, stream_version, clock_at, h, c, items,
    memory, forecast, fold_mode, snapshot_version, waits_since, waiting_events, updated_at)
VALUES %s
ON CONFLICT (pseudonym, model_version_id) DO UPDATE SET
    stream_version = EXCLUDED.stream_version, clock_at = EXCLUDED.clock_at, h = EXCLUDED.h,
    c = EXCLUDED.c, items = EXCLUDED.items, memory = EXCLUDED.memory, forecast = EXCLUDED.forecast,
    fold_mode = EXCLUDED.fold_mode, snapshot_version = EXCLUDED.snapshot_version,
    waits_since = EXCLUDED.waits_since, waiting_events = EXCLUDED.waiting_events,
    updated_at = EXCLUDED.updated_at
WHERE twins_twin.stream_version <= EXCLUDED.stream_version
"""
TOUCH = """
UPDATE twins_twin AS t SET stream_version = n.version, waits_since = n.waits_since,
    waiting_events = n.waiting_events, updated_at = %s
FROM unnest(%s::uuid[], %s::int[], %s::timestamptz[], %s::int[])
    AS n(pseudonym, version, waits_since, waiting_events)
WHERE t.pseudonym = n.pseudonym AND t.model_version_id = %s AND t.stream_version < n.version
"""
SNAPSHOT = """
INSERT INTO twins_twinsnapshot (pseudonym, model_version_id, stream_version, clock_at, h, c, items,
    memory, forecast, taken_at)
VALUES %s ON CONFLICT (pseudonym, model_version_id, stream_version) DO NOTHING
"""

# Made by the migration `look_and_settle`; in the order of `UPSERT`.
SETTLE = (
    "SELECT twins_settle(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s::xid, %s, %s)"
)

_encode = msgspec.json.Encoder().encode
decode_memory = msgspec.json.Decoder(dict[str, int]).decode


def read_heads(model_id: UUID, pseudonyms: Iterable[UUID]) -> dict[UUID, Head]:
    """The stored heads of these twins under one model."""
    with connection.cursor() as cursor:
        cursor.execute(READ, [model_id, list(pseudonyms)])
        return {
            pseudonym: Head(
                version, snapshot, bytes(h), bytes(c), bytes(items), decode_memory(memory), *waits
            )
            for pseudonym, version, snapshot, h, c, items, memory, *waits in cursor
        }


def write_heads(
    folded: Sequence[Folded],
    heads: Mapping[UUID, Head],
    *,
    model_id: UUID,
    at: datetime,
    rebuilt: bool = False,
) -> None:
    """The results are stored, with a snapshot of each twin where one is due."""
    changed = [twin for twin in folded if twin.forecast is not None]
    due = {twin.pseudonym for twin in changed if snapshot_due(twin, heads.get(twin.pseudonym))}
    rows = [_row(twin, model_id) for twin in changed]
    tails = [_tail(twin, due, heads.get(twin.pseudonym), rebuilt, at) for twin in changed]
    snapshots = [
        (*row, at) for twin, row in zip(changed, rows, strict=True) if twin.pseudonym in due
    ]
    # `execute_values` goes past Django's cursor, whose errors callers tell apart.
    with connection.cursor() as cursor, connection.wrap_database_errors:
        if rows:
            together = [(*row, *tail) for row, tail in zip(rows, tails, strict=True)]
            execute_values(cursor.cursor, UPSERT, together, page_size=PAGE)
        if snapshots:
            execute_values(cursor.cursor, SNAPSHOT, snapshots, page_size=PAGE)
        if still := [twin for twin in folded if twin.forecast is None]:
            waits = [waiting_of(twin, heads.get(twin.pseudonym), at) for twin in still]
            columns: list[list[Any]] = [
                [twin.pseudonym for twin in still],
                [twin.stream_version for twin in still],
                [since for since, _ in waits],
                [count for _, count in waits],
            ]
            cursor.execute(TOUCH, [at, *columns, model_id])


def settle_head(
    twin: Folded, head: Head | None, token: str | None, *, model_id: UUID, at: datetime
) -> int | None:
    """One twin is stored, with a snapshot where one is due, and its stream marked as folded so far.

    Returns the last version of the stream. None where anything has moved since ``head`` was read
    (``token`` is that state of its row): then nothing is stored. Where a snapshot is due it needs a
    transaction.
    """
    due = {twin.pseudonym} if snapshot_due(twin, head) else set()
    row, tail = _row(twin, model_id), _tail(twin, due, head, False, at)
    with connection.cursor() as cursor, connection.wrap_database_errors:
        cursor.execute(SETTLE, [*row, *tail, token, LOCK_CLASS, POINTER])
        (version,) = cursor.fetchone()
        if version is not None and due:
            execute_values(cursor.cursor, SNAPSHOT, [(*row, at)])
    return None if version is None else int(version)


def moment_of(milliseconds: int) -> datetime | None:
    """A time of the memory as a moment; 0 means that there is none."""
    return EPOCH + timedelta(milliseconds=milliseconds) if milliseconds else None


def snapshot_due(twin: Folded, head: Head | None) -> bool:
    """Whether a snapshot is kept of the twin: every so many events, and every day that it acts."""
    if _waits(twin, head):
        return False  # it is not the fold of all events of its version
    if head is None or not head.snapshot_version:
        return True
    grown = twin.stream_version - head.snapshot_version >= settings.DTOC_SNAPSHOT_EVENTS
    return grown or twin.memory["clock_ms"] // DAY_MS != head.clock_ms // DAY_MS


def _waits(twin: Folded, head: Head | None) -> bool:
    onward = twin.mode is Twin.FoldMode.ADVANCED
    return onward and bool(twin.left_out or (head and head.waiting_events))


def waiting_of(twin: Folded, head: Head | None, at: datetime) -> tuple[datetime | None, int]:
    """Since when the twin waits, and for how many late events; a fold from before them ends it."""
    if not _waits(twin, head):
        return None, 0
    since, count = (head.waits_since, head.waiting_events) if head else (None, 0)
    return since or at, count + twin.left_out


def _row(twin: Folded, model_id: UUID) -> tuple[Any, ...]:
    return (
        twin.pseudonym,
        model_id,
        twin.stream_version,
        moment_of(twin.memory["clock_ms"]),
        Binary(twin.h),
        Binary(twin.c),
        Binary(twin.items),
        _encode(twin.memory).decode(),
        _encode(twin.forecast).decode(),
    )


def _tail(
    twin: Folded, due: set[UUID], head: Head | None, rebuilt: bool, at: datetime
) -> tuple[Any, ...]:
    snapshot = head.snapshot_version if head else 0
    return (
        (Twin.FoldMode.REBUILT if rebuilt else twin.mode).value,
        twin.stream_version if twin.pseudonym in due else snapshot,
        *waiting_of(twin, head, at),
        at,
    )
