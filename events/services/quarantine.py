"""Quarantine: what could not be stored, sealed, with the reason in the open.

Everything here runs inside the transaction of a batch, behind its append: the locks on the streams
are held by then.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection

from common.canonical_json import iso
from common.outbox import announce
from customers.errors import InvalidIdentity
from customers.identities import IdentityKey
from customers.vault import identity_digest, key_provider, seal_body
from events.models import QuarantinedEvent

Status = QuarantinedEvent.Status
LIST_URL = "/api/v1/quarantine/"  # by name, every worker would load all views for it
DIGEST_KEY = "quarantined body"
LOCK = """
SELECT event_id, id, status, body_digest, mended_at IS NOT NULL, received_at, resolved_at
FROM events_lock_quarantined(%s, %s::uuid[])
"""
# As one JSON text: an import may quarantine a third of its rows, and quoting each value costs more.
INSERT = """
INSERT INTO events_quarantinedevent
    (source, received_at, event_id, reason, detail, stream, subject_digest, body, body_digest, form,
     may_register, expires_at, status, attempts, last_problem, mended_by, mended_digest,
     resolved_by)
SELECT source, at, event_id, reason, detail, stream, decode(digest, 'base64'),
    decode(body, 'base64'), decode(body_digest, 'base64'), form, may_register, until,
    'waiting', 0, '', '', '', ''
FROM json_to_recordset(%s::json) AS sent(
    source text, at timestamptz, event_id uuid, reason text, detail text, stream uuid, digest text,
    body text, body_digest text, form text, may_register boolean, until timestamptz
)
ON CONFLICT DO NOTHING RETURNING event_id
"""
# What is waiting keeps its first date and never lives longer for being sent again; what had been
# resolved begins anew.
REPLACE = """
UPDATE events_quarantinedevent AS q SET
    reason = v.reason, detail = v.detail, stream = v.stream,
    subject_digest = decode(v.digest, 'base64'), body = decode(v.body, 'base64'),
    body_digest = decode(v.body_digest, 'base64'), form = v.form,
    may_register = v.may_register,
    received_at = CASE WHEN status = 'waiting' THEN received_at ELSE v.at END,
    expires_at = CASE WHEN status = 'waiting' THEN least(expires_at, v.until) ELSE v.until END,
    status = 'waiting', mended_at = NULL, mended_by = '', mended_digest = '', resolved_at = NULL,
    resolved_by = '', last_problem = ''
FROM json_to_recordset(%s::json) AS v(
    source text, at timestamptz, event_id uuid, reason text, detail text, stream uuid, digest text,
    body text, body_digest text, form text, may_register boolean, until timestamptz
)
WHERE q.source = v.source AND q.event_id = v.event_id
"""
SETTLE = "SELECT events_settle(%s, %s::uuid[], %s::uuid[], %s::int[], %s)"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A body as quarantine keeps it: encrypted, and by its keyed digest to recognise it."""

    body: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """An event on its way into quarantine. ``identity``: of somebody who is no customer (yet)."""

    reason: str
    detail: str
    event_id: UUID | None
    stream: UUID | None
    identity: IdentityKey | None
    body: Sealed
    form: str = QuarantinedEvent.Form.NATIVE.value
    may_register: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an event is stored by now."""

    stream: UUID
    version: int


class Known(NamedTuple):
    """A row that is there already under the id of an event."""

    id: int
    status: str
    digest: bytes
    is_mended: bool
    received_at: datetime
    resolved_at: datetime | None


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row as ``INSERT`` and ``REPLACE`` read it."""

    source: str
    at: datetime
    event_id: UUID | None
    reason: str
    detail: str
    stream: UUID | None
    digest: bytes | None
    body: bytes
    body_digest: bytes
    form: str
    may_register: bool
    until: datetime


def quarantine(*, source: str, at: datetime, events: Sequence[Kept]) -> list[str]:
    """Each event is in quarantine; says of each what had become of it before, "" where it is new.

    Of an id that waits already the newest body is kept, except where somebody has mended it. The
    same body as one that was discarded is not taken up again, nor any body of an id that was stored
    from here. Without an id nothing can be recognised, so it is always new.
    """
    if not events:
        return []
    known = _locked(source, {event.event_id for event in events if event.event_id is not None})
    return _keep(known, source, at, events)


def settle(*, source: str, at: datetime, stored: Mapping[UUID, Stored]) -> None:
    """What is stored waits in quarantine no longer. `events_append` does the same by itself."""
    if stored:
        streams = [one.stream for one in stored.values()]
        versions = [one.version for one in stored.values()]
        with connection.cursor() as cursor:
            cursor.execute(SETTLE, [source, list(stored), streams, versions, at])


def sealed(plain: bytes) -> Sealed:
    """The body, ready to be kept."""
    return Sealed(seal_body(plain), body_digest(plain))


def body_digest(plain: bytes) -> bytes:
    """HMAC-SHA-256: tells equal bodies without opening them, and nothing to who lacks the key."""
    return hmac.new(key_provider().derived_key(DIGEST_KEY), plain, hashlib.sha256).digest()


def kept_until(at: datetime, *, readable: bool) -> datetime:
    """When a body received ``at`` is destroyed. Of nobody readable it can be erased for nobody."""
    days = settings.DTOC_QUARANTINE_DAYS if readable else settings.DTOC_QUARANTINE_DAYS_UNREADABLE
    return at + timedelta(days=days)


def digest_of(identity: IdentityKey | None) -> bytes | None:
    """The vault's digest of an identity; None where it is none."""
    if identity is None:
        return None
    try:
        return identity_digest(*identity)
    except InvalidIdentity:
        return None


def _locked(source: str, event_ids: set[UUID]) -> dict[UUID, Known]:
    """The rows of these ids, which stay as they are until the transaction ends."""
    if not event_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [source, list(event_ids)])
        return {
            row[0]: Known(row[1], row[2], bytes(row[3]), row[4], row[5], row[6]) for row in cursor
        }


def _keep(known: dict[UUID, Known], source: str, at: datetime, events: Sequence[Kept]) -> list[str]:
    """The plan is made event by event, so that a batch may hold an id twice; then it is written."""
    fresh: dict[UUID, _Row] = {}
    newer: dict[UUID, _Row] = {}
    nameless: list[_Row] = []
    before: list[str] = []
    for event in events:
        row = _row(source, at, event)
        digest, event_id = row.body_digest, event.event_id
        if event_id is None:
            nameless.append(row)
            before.append("")
            continue
        there = known.get(event_id)
        if there is None or event_id in fresh:
            before.append("" if there is None else _since(there))
            fresh[event_id] = row
            known.setdefault(event_id, Known(0, Status.WAITING, digest, False, at, None))
            continue
        if _is_closed(there, digest):
            before.append(_since(there))
            continue
        before.append(_since(there) if there.status == Status.WAITING else "")
        if digest != there.digest or there.status != Status.WAITING:
            newer[event_id] = row
            since = there.received_at if there.status == Status.WAITING else at
            known[event_id] = there._replace(
                status=Status.WAITING, digest=digest, received_at=since
            )
    overtaken = _write(fresh, newer, nameless)
    before = _without(before, events, overtaken, at)
    _announce(source, at, events, before)
    return before


def _is_closed(there: Known, digest: bytes) -> bool:
    """Whether somebody has decided about this body, so that it changes nothing to send it again."""
    if there.status == Status.REPLAYED or (there.status == Status.WAITING and there.is_mended):
        return True
    return there.status == Status.DISCARDED and there.digest == digest


def _since(there: Known) -> str:
    if there.status == Status.WAITING:
        return f"it is in quarantine already, since {iso(there.received_at)}"
    done = "was stored from there" if there.status == Status.REPLAYED else "was discarded"
    return f"it was in quarantine and {done}, {iso(there.resolved_at or there.received_at)}"


def _row(source: str, at: datetime, event: Kept) -> _Row:
    digest = digest_of(event.identity)
    return _Row(
        source=source,
        at=at,
        event_id=event.event_id,
        reason=event.reason,
        detail=event.detail,
        stream=event.stream,
        digest=digest,
        body=event.body.body,
        body_digest=event.body.digest,
        form=event.form,
        may_register=event.may_register,
        until=kept_until(at, readable=event.stream is not None or digest is not None),
    )


def _write(
    fresh: dict[UUID, _Row],
    newer: dict[UUID, _Row],
    nameless: list[_Row],
) -> set[UUID]:
    """Returns the ids that another batch has put into quarantine since we looked."""
    with connection.cursor() as cursor:
        if newer:
            cursor.execute(REPLACE, [msgspec.json.encode(list(newer.values())).decode()])
        # In order, so that two batches with the same ids never wait for each other in a circle.
        rows = [fresh[event_id] for event_id in sorted(fresh, key=_number)] + nameless
        if not rows:
            return set()
        cursor.execute(INSERT, [msgspec.json.encode(rows).decode()])
        return set(fresh) - {row[0] for row in cursor}


def _number(event_id: UUID) -> int:
    return event_id.int  # what comparing two of them compares, without a call for each pair


def _without(
    before: list[str], events: Sequence[Kept], overtaken: set[UUID], at: datetime
) -> list[str]:
    since = f"it is in quarantine already, since {iso(at)}"
    return [
        said or (since if event.event_id in overtaken else "")
        for said, event in zip(before, events, strict=True)
    ]


def _announce(source: str, at: datetime, events: Sequence[Kept], before: list[str]) -> None:
    reasons = Counter(e.reason for e, said in zip(events, before, strict=True) if not said)
    if not reasons:
        return
    url = f"{LIST_URL}?{urlencode({'source': source, 'status': 'waiting'})}"
    body = {"source": source, "reasons": dict(reasons), "links": {"quarantine": url}}
    announce(type="events.quarantined", body=body, at=at)
