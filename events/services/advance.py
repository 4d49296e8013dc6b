"""The to-do list of the twins: which streams have events that were not folded yet."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

CLAIM = """
SELECT stream, version, advanced_version FROM events_stream
WHERE shard = %s AND version > advanced_version AND stream <> ALL(%s::uuid[])
LIMIT %s FOR UPDATE SKIP LOCKED
"""
# Waits for whoever holds the stream: who asks for one stream wants that one.
CLAIM_ONE = """
SELECT stream, version, advanced_version FROM events_stream WHERE stream = %s FOR UPDATE
"""
# A late worker never moves a stream back, and no worker moves it past its last event.
MARK = """
UPDATE events_stream AS x SET advanced_version = least(m.version, x.version)
FROM unnest(%s::uuid[], %s::int[]) AS m(stream, version)
WHERE x.stream = m.stream AND x.advanced_version < m.version
"""
REPLACE = """
UPDATE events_stream AS x SET advanced_version = least(coalesce(m.version, 0), x.version)
FROM events_stream AS y
LEFT JOIN unnest(%s::uuid[], %s::int[]) AS m(stream, version) ON m.stream = y.stream
WHERE x.stream = y.stream
    AND x.advanced_version <> least(coalesce(m.version, 0), y.version)
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A stream with unseen events, held by the claiming transaction."""

    stream: UUID
    version: int
    advanced_version: int


def claim_lagging(*, shard: int, limit: int, but: Collection[UUID] = ()) -> list[Claim]:
    """At most ``limit`` lagging streams of a shard, ``but`` some, are this transaction's.

    They are until it ends. Streams that another worker holds are passed over, not waited for.
    Needs a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("claim_lagging needs a transaction: the claim would be gone at once")
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [shard, list(but), limit])
        return [Claim(*row) for row in cursor.fetchall()]


def claim_stream(stream: UUID) -> Claim | None:
    """The stream is this transaction's until it ends; None where it does not lag (any more).

    Needs a transaction.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("claim_stream needs a transaction: the claim would be gone at once")
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_ONE, [stream])
        row = cursor.fetchone()
    claim = Claim(*row) if row else None
    return claim if claim and claim.version > claim.advanced_version else None


def mark_advanced(*, versions: Mapping[UUID, int]) -> int:
    """The streams are folded up to these versions; returns how many of them moved."""
    return _update(MARK, versions)


def set_advanced_from(*, versions: Mapping[UUID, int]) -> int:
    """Every stream is folded up to the version given for it, others not at all.

    For the pointer change to another model version: ``versions`` is where its twins stand.
    """
    return _update(REPLACE, versions)


def _update(statement: str, versions: Mapping[UUID, int]) -> int:
    streams = sorted(versions)
    with connection.cursor() as cursor:
        cursor.execute(statement, [streams, [versions[stream] for stream in streams]])
        return int(cursor.rowcount)
