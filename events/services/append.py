"""Appending: the only way into the event table."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.db import DatabaseError, connection, transaction

from common.clock import truncated
from common.locks import LOCK_CLASS, lock_streams, slot_of
from events import subscribers
from events.catalogue import ENCODER, EventData, OrderLine
from events.errors import AppendOutOfOrder, ConcurrentAppend, EventIdConflict, StreamClosed

SHARDS = 16

Status = Literal["accepted", "duplicate", "conflict", "closed"]

NOBODY = UUID(int=0)  # the stream of an event while it is not known whose it is


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
    """How one event ended: its version, or 0 where the stream is closed by an erasure.

    ``recorded_at`` is that of an accepted event.
    """

    status: Status
    version: int
    recorded_at: datetime | None = field(default=None, compare=False)


class _Row(msgspec.Struct, omit_defaults=True):
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
    i: str | None = None  # of an order line: the item, the logarithms of quantity and value
    q: float = 0.0
    w: float = 0.0


# Takes the locks, then numbers and stores; it is made by the migration `append_function`.
APPEND = "SELECT * FROM events_append(%s::json, %s, %s, %s::int[], %s)"
OVERTAKEN = "DT001"  # the state with which it ends where a younger transaction was here before


def append_batch(
    *,
    events: Sequence[NewEvent],
    at: datetime,
    also_lock: Iterable[UUID] = (),
    counted_for: str | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> list[Appended]:
    """Store each event once, in the given order, and answer for each in that order.

    Versions are gap-free. Sent again with the same content an event is a duplicate, with other
    content a conflict; both answer the version of the first. A stream that was erased is closed.
    Takes the locks of all streams first, those of ``also_lock`` with them; a caller that writes
    before must have taken them itself. The intake counters of the source ``counted_for`` move with
    it. One statement: outside a transaction it is one of its own. ``meanwhile`` is called when all
    is ready and the database's turn has come: what it begins in another thread then has the
    interpreter for itself.

    Raises:
        AppendOutOfOrder: the caller wrote before it locked, and lost a race.
    """
    slots = {stream: slot_of(stream) for stream in also_lock}
    if not events:
        if slots:
            lock_streams(slots)
        return []
    slots |= {event.stream: slot_of(event.stream) for event in events}
    rows = _rows(events, slots)
    if meanwhile is not None:
        meanwhile()
    results = _execute(rows, slots, at, counted_for)
    touched = {
        slots[event.stream] % SHARDS
        for event, result in zip(events, results, strict=True)
        if result.status == "accepted"
    }
    tell_later(touched)
    return results


def tell_later(touched: set[int]) -> None:
    """Once the transaction commits, subscribers hear which shards have work."""
    if touched:
        transaction.on_commit(lambda: subscribers.appended(touched))


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


def _rows(events: Sequence[NewEvent], slots: Mapping[UUID, int]) -> str:
    rows = [_row(number, event, slots) for number, event in enumerate(events)]
    return ENCODER.encode(rows).decode()


def _execute(
    rows: str, slots: Mapping[UUID, int], at: datetime, counted_for: str | None
) -> list[Appended]:
    locks = sorted(set(slots.values()))  # ascending: two batches never wait in a circle
    answers = answers_to(APPEND, [rows, truncated(at), LOCK_CLASS, locks, counted_for])
    return [Appended(*answer) for answer in answers]


def answers_to(statement: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a statement that appends answers.

    Raises:
        AppendOutOfOrder: a younger transaction was here before.
    """
    with connection.cursor() as cursor:
        try:
            cursor.execute(statement, params)
        except DatabaseError as error:
            raise _translated(error) from error
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def _row(number: int, event: NewEvent, slots: Mapping[UUID, int]) -> _Row:
    data = event.data
    row = _Row(
        n=number,
        s=event.stream,
        e=event.event_id,
        t=event.type,
        v=event.schema_version,
        o=truncated(event.occurred_at),
        d=msgspec.Raw(data) if isinstance(data, bytes) else data,
        m=event.metadata,
        h=slots[event.stream] % SHARDS,
    )
    if isinstance(data, OrderLine) and "technical" not in event.metadata:
        row.i = data.sku
        row.q, row.w = logarithms(data)
    return row


def logarithms(line: OrderLine) -> tuple[float, float]:
    """Of the quantity and of the value: a quantity of 200 is to 20 what 20 is to 2."""
    q = math.log(line.quantity)
    return q, q + _log_of(line.unit_price)


@lru_cache(maxsize=65_536)  # prices repeat, and a decimal's logarithm takes its time
def _log_of(price: Decimal) -> float:
    return math.log(price)


def _translated(error: DatabaseError) -> Exception:
    cause = error.__cause__
    if getattr(cause, "pgcode", None) == OVERTAKEN:
        # The feed would show this append before an older one of the same stream.
        return AppendOutOfOrder(stream=cause.diag.message_primary)  # type: ignore[union-attr]
    return error


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
