"""The feed: all events in one safe order, below the oldest transaction that still runs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from events.models_feed import FeedEpoch


@dataclass(frozen=True, slots=True, order=True)
class FeedPosition:
    """A place in the feed's order: the epoch, the transaction, the row within all transactions."""

    epoch: int
    txid: int
    position: int


START = FeedPosition(0, 0, 0)


class FeedEvent(msgspec.Struct, frozen=True):
    """One event as the feed gives it out; ``data`` and ``metadata`` are JSON as stored."""

    feed_position: FeedPosition
    stream: UUID
    version: int
    event_id: UUID
    type: str
    schema_version: int
    occurred_at: datetime
    recorded_at: datetime
    data: str
    metadata: str


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Events in order; ``reached`` is where the next page begins, ``epoch`` the current one."""

    events: list[FeedEvent]
    reached: FeedPosition
    epoch: int


EVENT_COLUMNS = """epoch, txid::text::bigint, position, stream, version, event_id, type,
    schema_version, occurred_at, recorded_at, data::text, metadata::text"""
# An event of a transaction at or above the oldest one still running may yet be joined by others
# that come before it in this order; below it nothing can appear any more. Of an epoch that has
# ended nothing runs, so all of it is readable. The subqueries are there to be computed once rather
# than once in each partition.
READABLE = """(epoch, txid) < (
    (SELECT events_current_epoch()), (SELECT pg_snapshot_xmin(pg_current_snapshot()))
)"""
# CASE hides the filters from the planner: for a rare type it would rather sort the whole table than
# walk along the index.
FEED = """
SELECT {columns} FROM events_event
WHERE {readable}
    AND (epoch, txid, position) > (%(epoch)s, %(txid)s::text::xid8, %(position)s) {own}
    AND CASE WHEN (%(type)s::text IS NULL OR type = %(type)s)
            AND (%(since)s::timestamptz IS NULL OR occurred_at >= %(since)s)
            AND (%(until)s::timestamptz IS NULL OR occurred_at < %(until)s)
        THEN true ELSE false END
ORDER BY epoch, events_event.txid, position LIMIT %(limit)s
"""
LAST = f"""
SELECT events_current_epoch(), last.epoch, last.txid, last.position
FROM (SELECT) AS always LEFT JOIN LATERAL (
    SELECT epoch, txid::text::bigint AS txid, position FROM events_event WHERE {READABLE}
    ORDER BY epoch DESC, events_event.txid DESC, position DESC LIMIT 1
) AS last ON true
"""  # noqa: S608 - a constant of this module
STANDS = """
SELECT complete_txid, epoch = events_current_epoch(),
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint
FROM events_feedepoch WHERE epoch = %s
"""
# Three witnesses, because each may be blind: PostgreSQL hides the sessions of other roles from an
# ordinary one, a prepared transaction has no session, and an event may not wait yet. Readers and
# replication slots hold back vacuum, not the feed: they have no transaction id that runs.
GAP = """
SELECT greatest(0, extract(epoch FROM clock_timestamp() - least(
    (SELECT min(xact_start) FROM pg_stat_activity
        WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()),
    (SELECT min(prepared) FROM pg_prepared_xacts),
    (SELECT recorded_at FROM events_event
        WHERE (epoch, txid) >= (
            (SELECT max(epoch) FROM events_feedepoch),
            (SELECT pg_snapshot_xmin(pg_current_snapshot()))
        )
        AND txid IS DISTINCT FROM pg_current_xact_id_if_assigned()
        ORDER BY epoch, txid, position LIMIT 1)
)))
"""


def feed(
    after: FeedPosition | None,
    limit: int,
    *,
    type_name: str | None = None,
    pseudonym: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[FeedEvent]:
    """The next events after a feed position; what commits later never comes before them.

    ``since`` and ``until`` bound the time at which things happened: ``[since, until)``.
    """
    start = after or START
    facts: dict[str, Any] = {
        "epoch": start.epoch,
        "txid": str(start.txid),
        "position": start.position,
        "type": type_name,
        "stream": pseudonym,
        "since": since,
        "until": until,
        "limit": limit,
    }
    own = "AND stream = %(stream)s" if pseudonym else ""  # lets the planner skip 15 partitions
    with connection.cursor() as cursor:
        cursor.execute(FEED.format(columns=EVENT_COLUMNS, readable=READABLE, own=own), facts)
        return [feed_event(row) for row in cursor]


def feed_page(after: FeedPosition, limit: int, **filters: Any) -> FeedPage:
    """A page with the filters of :func:`feed`, and where the next one begins.

    Where filters have left nothing more to give, that is the end of the feed: the same events are
    not looked through again and again.
    """
    epoch, end = _end()  # before the events, so that they reach at least as far
    events = feed(after, limit, **filters)
    reached = events[-1].feed_position if events else after
    if len(events) < limit and end is not None:
        reached = max(reached, end)
    return FeedPage(events, reached, epoch)


def last_position() -> FeedPosition | None:
    """The last place in the feed that can be read now; None where the feed is empty."""
    return _end()[1]


def _end() -> tuple[int, FeedPosition | None]:
    with connection.cursor() as cursor:
        cursor.execute(LAST)
        current, epoch, txid, position = cursor.fetchone()
    return current, None if epoch is None else FeedPosition(epoch, txid, position)


def current_epoch() -> int:
    """The epoch in which events are stored now; it changes where a backup was restored."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT events_current_epoch()")
        return int(cursor.fetchone()[0])


def standing_position(reached: FeedPosition) -> FeedPosition:
    """How far everything that a reader at ``reached`` has read is still there: at best so far.

    It is less where a restore may have lost some of it; of an epoch that this store knows nothing
    of, nothing is certain.
    """
    if reached == START:
        return reached
    with connection.cursor() as cursor:
        cursor.execute(STANDS, [reached.epoch])
        row = cursor.fetchone()
    if row is None:
        return START
    complete, is_current, running = row
    # A cursor was given out below what ran then. One that is above what runs now comes from a
    # future that this database has lost.
    if reached.txid < (running if is_current else complete):
        return reached
    return FeedPosition(reached.epoch, complete, 0)


def feed_is_current() -> bool:
    """The database is still the one in which the current epoch began."""
    newest = FeedEpoch.objects.order_by("-epoch").values_list("identity", flat=True).first()
    with connection.cursor() as cursor:
        cursor.execute("SELECT events_feed_identity()")
        return bool(cursor.fetchone()[0] == newest)


def feed_gap_age_seconds() -> float:
    """For how long the oldest running transaction has been holding the feed; 0 where none does."""
    with connection.cursor() as cursor:
        cursor.execute(GAP)
        return float(cursor.fetchone()[0])


def feed_event(row: tuple[Any, ...]) -> FeedEvent:
    """A row of ``EVENT_COLUMNS`` as an event."""
    return FeedEvent(FeedPosition(*row[:3]), *row[3:])
