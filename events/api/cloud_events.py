"""CloudEvents 1.0, structured mode: a CloudEvent is turned into the native envelope.

Source: CloudEvents 1.0.2, JSON event format. Extension attributes are left aside.
"""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from common.ids import derived_id
from events.catalogue import Moment
from events.cleaning import Context, Doubtful, Envelope, IdentityReference, without_values
from events.services import Item

SPECVERSION = "1.0"
FORM = "cloudevent"

# No control characters: derived ids keep their parts apart by one.
Attribute = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*\Z")]


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvent as far as DToC reads it; ``data`` must be JSON."""

    id: Attribute
    source: Attribute
    type: str
    time: Moment
    data: msgspec.Raw
    subject: str | None = None


class Head(msgspec.Struct):
    """What a faulty CloudEvent may still tell, each attribute by itself."""

    specversion: Any = None
    id: Any = None
    source: Any = None
    subject: Any = None


CLOUD_EVENT = msgspec.json.Decoder(CloudEvent)
HEAD = msgspec.json.Decoder(Head)


def has_known_specversion(raw: bytes) -> bool:
    """Whether ``raw`` says that it is a CloudEvent of version 1.0."""
    return bool(_head(raw).specversion == SPECVERSION)


def cloud_item(raw: bytes) -> Item:
    """One CloudEvent as an item; where it is none, what can still be read of it."""
    try:
        return Item(_envelope(raw), lambda: raw, form=FORM)
    except Doubtful as doubt:
        head = _head(raw)
        customer, event_id = _customer_read_in(head), _event_id_read_in(head)
        return Item(doubt, lambda: raw, customer, event_id, form=FORM)


def customer_named(subject: str) -> UUID | IdentityReference:
    """The customer that a ``subject`` means: a pseudonym, or an identity as ``kind:value``.

    Raises:
        Doubtful: it is neither.
    """
    kind, colon, value = subject.partition(":")
    try:
        if colon:
            return msgspec.convert({"kind": kind, "value": value}, IdentityReference)
        return msgspec.convert(subject, UUID)
    except msgspec.ValidationError:
        detail = "subject must be a pseudonym, or an identity as kind:value"
        raise Doubtful("schema_error", detail) from None


def _envelope(raw: bytes) -> Envelope:
    if not has_known_specversion(raw):
        raise Doubtful("schema_error", f'specversion must be "{SPECVERSION}"')
    try:
        event = CLOUD_EVENT.decode(raw)
    except msgspec.ValidationError as error:
        raise Doubtful("schema_error", without_values(error)) from None
    return Envelope(
        customer=None if event.subject is None else customer_named(event.subject),
        type=event.type,
        occurred_at=event.time,
        data=event.data,
        event_id=derived_id(event.source, event.id),
        context=Context(source=event.source),
    )


def _head(raw: bytes) -> Head:
    try:
        return HEAD.decode(raw)
    except msgspec.ValidationError:
        return Head()


def _customer_read_in(head: Head) -> UUID | IdentityReference | None:
    try:
        return customer_named(head.subject) if isinstance(head.subject, str) else None
    except Doubtful:
        return None


def _event_id_read_in(head: Head) -> UUID | None:
    try:
        parts = msgspec.convert([head.source, head.id], tuple[Attribute, Attribute])
    except msgspec.ValidationError:
        return None
    return derived_id(*parts)
