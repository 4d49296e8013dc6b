"""Quarantine: what could not be stored, sealed, with the reason in the open."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from psycopg2.extras import execute_values

from customers.errors import InvalidIdentity
from customers.identities import IdentityKey
from customers.vault import identity_digest, seal_body

INSERT = """
INSERT INTO events_quarantinedevent
    (source, reason, detail, event_id, stream, subject_digest, body, received_at)
VALUES %s ON CONFLICT DO NOTHING RETURNING event_id
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """An event on its way into quarantine. ``identity``: of somebody who is no customer (yet)."""

    reason: str
    detail: str
    event_id: UUID | None
    stream: UUID | None
    identity: IdentityKey | None
    body: bytes


def quarantine(*, source: str, at: datetime, events: Sequence[Kept]) -> list[bool]:
    """Each event is in quarantine; says of each whether it is new there.

    An id that is there already keeps its first body. Without an id nothing can be recognised.
    """
    if not events:
        return []
    rows = [
        (
            source,
            event.reason,
            event.detail,
            event.event_id,
            event.stream,
            _digest(event.identity),
            seal_body(event.body),
            at,
        )
        for event in events
    ]
    with connection.cursor() as cursor:
        stored = execute_values(cursor.cursor, INSERT, rows, page_size=1_000, fetch=True)
    fresh = {row[0] for row in stored}
    return [_is_new(event, fresh) for event in events]


def _is_new(event: Kept, fresh: set[UUID | None]) -> bool:
    if event.event_id is None:
        return True
    if event.event_id not in fresh:
        return False
    fresh.discard(event.event_id)  # a second one with the same id in this batch was not stored
    return True


def _digest(identity: IdentityKey | None) -> bytes | None:
    if identity is None:
        return None
    try:
        return identity_digest(*identity)
    except InvalidIdentity:
        return None
