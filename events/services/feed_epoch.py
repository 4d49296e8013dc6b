"""Epochs of the feed: ended by a restore, marked now and then with how far everything is whole."""

from datetime import datetime

from django.db import connection, transaction

from common.clock import truncated
from common.locks import LOCK_CLASS, SLOTS
from events.feed import feed_is_current

ALL_LOCKS = "SELECT pg_advisory_xact_lock(%s, slot) FROM generate_series(0, %s - 1) AS slot"
RAISE = """
INSERT INTO events_feedepoch (epoch, identity, began_at, complete_txid)
SELECT events_next_epoch(max(epoch)), events_feed_identity(), %s,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint
FROM events_feedepoch
RETURNING epoch
"""
# Transaction ids of another cluster say nothing about who appended before whom in this one.
FORGET = "UPDATE events_stream SET last_txid = 0 WHERE last_txid > 0"
MARK = """
UPDATE events_feedepoch
SET complete_txid = greatest(complete_txid, pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
WHERE epoch = events_current_epoch()
"""


def raise_feed_epoch(*, at: datetime) -> int:
    """A new epoch has begun; returns its number. Its events come after all that are stored.

    Waits for every writer, because an event of the old epoch that committed later would never be
    read: the feed gives out all of an epoch that has ended.
    """
    with transaction.atomic():
        _lock_out_writers()
        return _raise(at)


def raise_where_restored(*, at: datetime) -> int | None:
    """A new epoch has begun where the database is not the one of the last; None where it is."""
    if feed_is_current():
        return None
    with transaction.atomic():
        _lock_out_writers()
        return None if feed_is_current() else _raise(at)  # somebody else may have been quicker


def mark_feed(*, at: datetime) -> int | None:
    """It is on record up to where the feed is whole; or a new epoch has begun, and is returned."""
    raised = raise_where_restored(at=at)
    if raised is None:
        with connection.cursor() as cursor:
            cursor.execute(MARK)
    return raised


def _lock_out_writers() -> None:
    with connection.cursor() as cursor:
        cursor.execute(ALL_LOCKS, [LOCK_CLASS, SLOTS])


def _raise(at: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(RAISE, [truncated(at)])
        epoch = int(cursor.fetchone()[0])
        cursor.execute(FORGET)
    return epoch
