"""Mending: a corrected body takes the place of the one that was sent, and is replayed."""

import logging
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from customers.identities import IdentityKey
from customers.selectors import existing_pseudonyms, resolve_identities
from customers.vault import seal_body
from events.catalogue import CATALOGUE
from events.cleaning import Doubtful, Envelope, IdentityReference, typed
from events.custom_types import custom_schemas
from events.errors import MendInvalid, QuarantineResolved
from events.forms import NATIVE, is_readable, read_again
from events.models import QuarantinedEvent
from events.services.intake import Item
from events.services.quarantine import body_digest, digest_of
from events.services.replay import Replayed, kept_item, replay, waiting_row

audit = logging.getLogger("dtoc.audit")

Form = QuarantinedEvent.Form
PATH = re.compile(r" - at `\$(?P<path>[^`]*)`")
STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]")
MISSING = re.compile(r"missing required field `(?P<name>[^`]+)`")
# Where a doubt that names no place belongs, in the native form and in a CloudEvent.
PLACES = {
    "time_in_future": ("/occurred_at", "/time"),
    "unknown_type": ("/type", "/type"),
    "no_customer": ("/customer", "/subject"),
    "price_not_positive": ("/data/unit_price", "/data/unit_price"),
}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a body is, as far as that is known: so that an erasure finds it."""

    stream: UUID | None
    digest: bytes | None


def mend(*, row_id: int, body: Any, by: str, at: datetime, form: str | None = None) -> Replayed:
    """The corrected body is kept in place of the sent one and replayed at once.

    The sender's ``event_id`` stands, so that the event is recognised when they send it again. Of
    the body as it was sent a keyed digest stays. ``form`` names another one than that of the row.

    Raises:
        UnknownQuarantined, QuarantineResolved: there is nothing to mend.
        MendInvalid: this is no event either; nothing was changed.
    """
    row = waiting_row(row_id)
    chosen = form or (row.form if is_readable(row.form) else NATIVE)
    fixed = _fixed_id(row)
    if fixed is not None and isinstance(body, dict) and chosen != Form.CLOUDEVENT:
        body = {**body, "event_id": body.get("event_id") or str(fixed)}
    raw = _encoded(body)
    item = read_again(chosen, raw)
    _require_event(item, fixed, chosen, at)
    owner = _owner_of(item)
    waiting = QuarantinedEvent.objects.filter(id=row_id, status=QuarantinedEvent.Status.WAITING)
    changed = waiting.update(
        body=seal_body(raw),
        mended_digest=body_digest(raw),
        mended_at=at,
        mended_by=by,
        form=chosen,
        stream=owner.stream,
        subject_digest=owner.digest,
    )
    if not changed:
        raise QuarantineResolved(row_id=row_id, status="resolved meanwhile")
    audit.info("quarantined event mended", extra={"quarantined": row_id, "by": by})
    return replay(ids=[row_id], by=by, at=at).results[0]


def pointer_of(message: str) -> str:
    """The JSON Pointer in msgspec's account of what is wrong; "" where it names no place."""
    found = PATH.search(message)
    steps = [m["name"] or m["index"] for m in STEP.finditer(found["path"])] if found else []
    missing = MISSING.search(message)
    if missing:
        steps.append(missing["name"])
    return "".join(f"/{step.replace('~', '~0').replace('/', '~1')}" for step in steps)


def _encoded(body: Any) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (UnicodeEncodeError, RecursionError):
        raise _invalid(Doubtful("malformed", "half a character, or nested too deep"), "") from None


def _fixed_id(row: QuarantinedEvent) -> UUID | None:
    """The id under which the sender knows the event. One made from an order line may change."""
    if row.form != Form.NATIVE:
        return row.event_id
    kept = kept_item(row)
    return kept.event_id if isinstance(kept.envelope, Doubtful) else kept.envelope.event_id


def _require_event(item: Item, fixed: UUID | None, form: str, at: datetime) -> None:
    is_cloud = form == Form.CLOUDEVENT
    if isinstance(item.envelope, Doubtful):
        raise _invalid(item.envelope, pointer_of(item.envelope.detail))
    if fixed is not None and item.envelope.event_id != fixed:
        changed = Doubtful("event_id_changed", f"the event must keep its id: it is {fixed}")
        raise _invalid(changed, "/id" if is_cloud else "/event_id")
    try:
        typed(item.envelope, at, custom_schemas({item.envelope.type} - CATALOGUE.keys()))
    except Doubtful as doubt:
        raise _invalid(doubt, _place(doubt, is_cloud)) from None
    if item.envelope.customer is None:
        nobody = Doubtful("no_customer", "no customer is named")
        raise _invalid(nobody, _place(nobody, is_cloud))


def _place(doubt: Doubtful, is_cloud: bool) -> str:
    if doubt.reason in PLACES:
        return PLACES[doubt.reason][is_cloud]
    return f"/data{pointer_of(doubt.detail)}"  # what is left is wrong with the data


def _invalid(doubt: Doubtful, pointer: str) -> MendInvalid:
    detail = PATH.sub("", doubt.detail)
    error = {"detail": detail, "pointer": pointer, "code": doubt.reason.replace("_", "-")}
    return MendInvalid(detail=f"{pointer or 'the body'}: {detail}", errors=[error])


def _owner_of(item: Item) -> Owner:
    assert isinstance(item.envelope, Envelope)  # noqa: S101 - it has been checked
    customer = item.envelope.customer
    if isinstance(customer, UUID):
        known = existing_pseudonyms([customer])
        return Owner(customer if known else None, None)
    assert isinstance(customer, IdentityReference)  # noqa: S101
    key: IdentityKey = (customer.kind, customer.value)
    stream = resolve_identities([key]).known.get(key)
    return Owner(stream, None if stream else digest_of(key))
