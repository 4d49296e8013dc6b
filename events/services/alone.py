"""An event that comes alone, of a customer who is known: one statement from identity to answer.

A shop that posts event by event mostly sends these. Whoever is not known or suppressed goes step by
step, as a batch does; nothing was written for them here.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from common.clock import truncated
from common.locks import LOCK_CLASS, slot_of
from customers.errors import InvalidIdentity
from customers.identities import IdentityKey
from customers.vault import identity_digest, pseudonym_digest
from events.catalogue import ENCODER
from events.services.append import SHARDS, Appended, NewEvent, answers_to, tell_later
from events.services.outliers import Line, as_outlier, line_of, windows

# Made by the migration `append_named`: it takes the lock of the stream before it writes.
APPEND_KNOWN = (
    "SELECT stream, status, stream_version, recorded FROM events_append_known("
    "%s, %s, %s, %s, %s::smallint, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)


@dataclass(frozen=True, slots=True)
class Known:
    """An event in the stream of the customer who was found, and how it ended."""

    event: NewEvent
    appended: Appended


def append_known(
    *, name: IdentityKey | UUID, event: NewEvent, at: datetime, counted_for: str
) -> Known | None:
    """Find the customer, mark an outlier, store the event once and count it.

    ``event`` is nobody's; the answer holds it in its stream. None where nobody is known by this
    identity or pseudonym: then nothing has happened. All else is as with ``append_batch``.

    Raises:
        AppendOutOfOrder: the caller wrote before, and lost a race.
    """
    try:
        asked = _asked(name)
    except InvalidIdentity:
        return None
    line = line_of(event)
    if line is not None and windows.is_outlier(line):
        event = as_outlier(event)
    known = _appended(asked, event, line, at, counted_for)
    if known is not None and line is not None:
        windows.add(line)  # also where it is a duplicate, as in a batch
    return known


def _asked(name: IdentityKey | UUID) -> tuple[UUID | None, bytes]:
    """The pseudonym, if there is one, and the digest that may be suppressed."""
    if isinstance(name, UUID):
        return name, pseudonym_digest(name)
    return None, identity_digest(*name)


def _appended(
    asked: tuple[UUID | None, bytes],
    event: NewEvent,
    line: Line | None,
    at: datetime,
    counted_for: str,
) -> Known | None:
    data = event.data if isinstance(event.data, bytes) else ENCODER.encode(event.data)
    sku, q, w = (None, 0.0, 0.0) if line is None else (line[0], line[2].q, line[2].v)
    params = [
        *asked,
        str(event.event_id),
        event.type,
        event.schema_version,
        truncated(event.occurred_at),
        data.decode(),
        ENCODER.encode(event.metadata).decode(),
        sku,
        q,
        w,
        truncated(at),
        LOCK_CLASS,
        counted_for,
    ]
    ((stream, *answer),) = answers_to(APPEND_KNOWN, params)
    if stream is None:
        return None
    appended = Appended(*answer)
    if appended.status == "accepted":
        tell_later({slot_of(stream) % SHARDS})
    return Known(msgspec.structs.replace(event, stream=stream), appended)
