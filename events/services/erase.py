"""Erasing: the one way out of the event table, and the quarantine's."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.utils import ProgrammingError
from psycopg2.errors import InsufficientPrivilege

from common.locks import lock_streams
from customers.erasure import Finding, Needles, Store
from events.errors import ErasureNotOpen
from events.models import Event, QuarantinedEvent, Stream

CLOSE = """
INSERT INTO events_closedstream (stream_sha256, events, closed_at)
VALUES (sha256(uuid_send(%s)), 0, %s) ON CONFLICT DO NOTHING
"""
# Whoever was quarantined before being registered is found by the digests of their identities.
THEIRS = """
stream = %(stream)s OR subject_digest IN (
    SELECT digest FROM customers_identity WHERE customer_id = %(stream)s
    UNION ALL
    SELECT digest FROM customers_suppression AS s
    JOIN customers_datasubjectrequest AS r ON r.id = s.request_id
    WHERE r.pseudonym = %(stream)s
)
"""


def close_stream(stream: UUID, at: datetime) -> None:
    """Nothing is appended to the stream any more; the stream is locked by the caller."""
    with connection.cursor() as cursor:
        cursor.execute(CLOSE, [stream, at])


def erase_events(stream: UUID, request_id: UUID) -> int:
    """The stream's events and its row are gone; what stays is the hash of its id, marked closed.

    Raises:
        ErasureNotOpen: ``request_id`` is not an erasure in progress for this stream.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            lock_streams([stream])
            cursor.execute(
                "SELECT events_erase_stream(%s, %s, date_trunc('milliseconds', now()))",
                [stream, request_id],
            )
            return int(cursor.fetchone()[0])
    except ProgrammingError as error:
        if isinstance(error.__cause__, InsufficientPrivilege):
            raise ErasureNotOpen(request_id=request_id) from error
        raise


def count_events(stream: UUID) -> int:
    return Event.objects.filter(stream=stream).count()


def scan_events(needles: Needles) -> Sequence[Finding]:
    """What the event tables still hold of an erased pseudonym."""
    stream = needles.pseudonym
    counts = {
        "events_event": count_events(stream),
        "events_stream": Stream.objects.filter(stream=stream).count(),
    }
    return [Finding(place, "pseudonym", count) for place, count in counts.items() if count]


def count_quarantined(stream: UUID) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM events_quarantinedevent WHERE {THEIRS}",  # noqa: S608
            {"stream": stream},
        )
        return int(cursor.fetchone()[0])


def erase_quarantined(stream: UUID, request_id: UUID) -> int:
    """What was quarantined about a customer, before or after being registered, is gone."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM events_quarantinedevent WHERE {THEIRS}",  # noqa: S608
            {"stream": stream},
        )
        return int(cursor.rowcount)


def scan_quarantined(needles: Needles) -> Sequence[Finding]:
    """Quarantined bodies are sealed; what points to the person stands beside them."""
    rows = QuarantinedEvent.objects
    counts = {
        "pseudonym": rows.filter(stream=needles.pseudonym).count(),
        "digest": rows.filter(subject_digest__in=list(needles.digests)).count(),
    }
    return [Finding("events_quarantinedevent", what, n) for what, n in counts.items() if n]


EVENTS = Store("events", count_events, erase_events, scan_events)
QUARANTINE = Store("quarantine", count_quarantined, erase_quarantined, scan_quarantined)
