"""Appending: the only way into the event table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.db import connection, transaction

from common.clock import truncated
from common.locks import lock_streams, slot_of
from events import subscribers
from events.catalogue import ENCODER, EventData
from events.errors import AppendOutOfOrder, ConcurrentAppend, EventIdConflict, StreamClosed

SHARDS = 16

Status = Literal["accepted", "duplicate", "conflict", "closed"]


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event to append; ``data`` is JSON or something that becomes JSON."""

    stream: UUID
    event_id: UUID
    type: str
    schema_version: int
    occurred_at: datetime
    data: bytes | EventData | dict[str, Any]
    metadata: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Appended:
    """How one event ended: its version, or 0 where the stream is closed by an erasure."""

    status: Status
    version: int


class _Row(msgspec.Struct):
    """One event as ``APPEND`` reads it; short names, because each is repeated in every row."""

    n: int
    s: UUID
    e: UUID
    t: str
    v: int
    o: datetime
    d: Any
    m: Mapping[str, Any]
    h: int


# One statement for one event or for ten thousand. It runs after the locks are held, so its snapshot
# shows whatever an earlier holder committed. json_to_recordset is estimated at 100 rows, which
# keeps the planner on index lookups however large the tables are; no two of the parts are joined
# with each other, because the same estimate would make that a nested loop over the whole batch.
APPEND = """
WITH sent AS MATERIALIZED (
    SELECT *, first_value(n) OVER once = n AS leads,
        (t, v, o, d) = (first_value(t) OVER once, first_value(v) OVER once,
                        first_value(o) OVER once, first_value(d) OVER once) AS repeats
    FROM json_to_recordset(%(rows)s::json)
        AS r(n int, s uuid, e uuid, t text, v smallint, o timestamptz, d jsonb, m jsonb, h smallint)
    WINDOW once AS (PARTITION BY s, e ORDER BY n)
), met AS MATERIALIZED (
    SELECT sent.*, old.version AS stored, gone.events IS NOT NULL AS closed,
        (old.type, old.schema_version, old.occurred_at, old.data) = (t, v, o, d) AS same,
        coalesce(head.version, 0) AS base,
        coalesce(head.last_txid > pg_current_xact_id()::text::bigint, false) AS overtaken,
        leads AND old.version IS NULL AND gone.events IS NULL AS fresh
    FROM sent
    LEFT JOIN LATERAL (
        SELECT * FROM events_event AS x WHERE x.stream = s AND x.event_id = e OFFSET 0
    ) AS old ON true
    LEFT JOIN events_stream AS head ON head.stream = s
    LEFT JOIN events_closedstream AS gone ON gone.stream_sha256 = sha256(uuid_send(s))
), numbered AS MATERIALIZED (
    SELECT *, CASE WHEN fresh THEN
        base + count(*) FILTER (WHERE fresh) OVER (PARTITION BY s ORDER BY n)
    END AS version
    FROM met
), moved AS (
    INSERT INTO events_stream (stream, version, advanced_version, shard, last_txid)
    SELECT s, max(version), 0, min(h), pg_current_xact_id()::text::bigint
    FROM numbered WHERE fresh GROUP BY s ORDER BY s
    ON CONFLICT (stream) DO UPDATE
        SET version = EXCLUDED.version, last_txid = EXCLUDED.last_txid
), stored AS (
    INSERT INTO events_event
        (stream, version, event_id, type, schema_version, occurred_at, recorded_at, data, metadata)
    SELECT s, version, e, t, v, o,
        -- An import registers customers as of their first event; recorded is never that early.
        greatest(%(at)s, date_trunc('milliseconds', statement_timestamp())), d, coalesce(m, '{}')
    FROM numbered WHERE fresh ORDER BY n
)
SELECT closed, overtaken, leads, repeats, stored, same, max(version) OVER (PARTITION BY s, e)
FROM numbered ORDER BY n
"""


def append_batch(*, events: Sequence[NewEvent], at: datetime) -> list[Appended]:
    """Store each event once, in the given order, and answer for each in that order.

    Versions are gap-free. Sent again with the same content an event is a duplicate, with other
    content a conflict; both answer the version of the first. A stream that was erased is closed.
    Takes the locks of all streams first; a caller that writes before must have taken them itself.

    Raises:
        AppendOutOfOrder: the caller wrote before it locked, and lost a race.
    """
    if not events:
        return []
    with transaction.atomic():
        streams = {event.stream for event in events}
        lock_streams(streams)
        shards = {stream: slot_of(stream) % SHARDS for stream in streams}
        results = _execute(events, shards, at)
        touched = {
            shards[event.stream]
            for event, result in zip(events, results, strict=True)
            if result.status == "accepted"
        }
        if touched:
            transaction.on_commit(lambda: subscribers.appended(touched))
    return results


def append(
    *,
    stream: UUID,
    event: EventData,
    event_id: UUID,
    occurred_at: datetime,
    at: datetime,
    metadata: Mapping[str, Any] | None = None,
    expected_version: int | None = None,
) -> Appended:
    """Store one event; sent again it is a duplicate, whatever version is expected by then.

    Raises:
        ConcurrentAppend: the stream is not at ``expected_version``.
        EventIdConflict: ``event_id`` is stored with other content.
        StreamClosed: the data subject was erased.
    """
    new = NewEvent(
        stream=stream,
        event_id=event_id,
        type=event.type,
        schema_version=event.schema_version,
        occurred_at=occurred_at,
        data=event,
        metadata=metadata or {},
    )
    with transaction.atomic():
        lock_streams([stream])
        if expected_version is not None:
            _require_version(stream, event_id, expected_version)
        (result,) = append_batch(events=[new], at=at)
    if result.status == "conflict":
        raise EventIdConflict(event_id=event_id)
    if result.status == "closed":
        raise StreamClosed()
    return result


def _execute(
    events: Sequence[NewEvent], shards: Mapping[UUID, int], at: datetime
) -> list[Appended]:
    rows = [
        _Row(
            n=number,
            s=event.stream,
            e=event.event_id,
            t=event.type,
            v=event.schema_version,
            o=truncated(event.occurred_at),
            d=msgspec.Raw(event.data) if isinstance(event.data, bytes) else event.data,
            m=event.metadata,
            h=shards[event.stream],
        )
        for number, event in enumerate(events)
    ]
    with connection.cursor() as cursor:
        cursor.execute(APPEND, {"rows": ENCODER.encode(rows).decode(), "at": truncated(at)})
        answers = cursor.fetchall()
    return [_appended(event, *answer) for event, answer in zip(events, answers, strict=True)]


def _appended(
    event: NewEvent,
    closed: bool,
    overtaken: bool,
    leads: bool,
    repeats: bool,
    stored: int | None,
    same: bool | None,
    version: int,
) -> Appended:
    """What the statement's answer means; an event may also repeat another of its own batch."""
    if closed:
        return Appended("closed", 0)
    if stored is not None:
        return Appended("duplicate" if same else "conflict", stored)
    if overtaken:
        # The feed would show this append before an older one of the same stream.
        raise AppendOutOfOrder(stream=event.stream)
    if leads:
        return Appended("accepted", version)
    return Appended("duplicate" if repeats else "conflict", version)


def _require_version(stream: UUID, event_id: UUID, expected: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce((SELECT version FROM events_stream WHERE stream = %(s)s), 0),"
            " EXISTS (SELECT FROM events_event WHERE stream = %(s)s AND event_id = %(e)s)",
            {"s": stream, "e": event_id},
        )
        version, known = cursor.fetchone()
    if version != expected and not known:
        raise ConcurrentAppend(stream=stream, version=version, expected=expected)
