"""One message to what it says: events, identities that belong together, a statement of consent."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from common.canonical_json import iso
from common.ids import derived_id
from customers.identities import IdentityKey, Newcomer
from customers.services import Link
from events.catalogue import CATALOGUE, ENCODER
from events.cleaning import Context, Doubtful, Envelope, IdentityReference
from events.segment.commerce import MAPPINGS, Mapped, Terms
from events.segment.messages import Message, Received
from events.segment.names import type_named
from events.segment.times import corrected
from events.segment.values import country_in, member, short_text, storable, told
from events.services import Item

ANONYMOUS = "anonymous_id"
KINDS = ("identify", "track", "page", "screen", "group", "alias")
CUSTOM = {"page": "page_viewed", "screen": "screen_viewed", "group": "group_joined"}
CONSENT = ("consent", "categoryPreferences")


class CollectedContext(
    Context, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Where a collected event came from; ``time_from`` is set where its own time is impossible."""

    time_from: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the write key says about its messages."""

    source: str
    user_id_kind: str = "user_id"
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Converted:
    """What one message says.

    An identify or an alias has no items: it ``only_links``, or names nobody and then has no link.
    ``renamed`` is the same previous id as the name of a user, if it is known as one. ``consent`` is
    None where the message says nothing of consent; a category that is missing in it was withdrawn.
    """

    occurred_at: datetime
    items: list[Item] = field(default_factory=list)
    link: Link | None = None
    renamed: IdentityKey | None = None
    only_links: bool = False
    consent: dict[str, bool] | None = None


def convert(received: Received, settings: Settings) -> Converted:
    """What ``received`` says; a message that cannot be read is an item that says why."""
    message, at = received.message, received.received_at
    if message is None or message.type not in KINDS:
        detail = "a message is an object whose type is one of: " + ", ".join(KINDS)
        customer = None if message is None else _readable(message, settings)
        return Converted(at, [_doubtful(received.raw, detail, customer)])
    original = message.original_timestamp or message.timestamp
    moment, impossible = corrected(original, message.sent_at, at)
    links = _links(message, settings)
    if message.type in ("identify", "alias"):
        return Converted(moment, **links, only_links=True, consent=consent_in(message))
    items = _items(received, message, settings, moment, impossible)
    return Converted(moment, items, **links, consent=consent_in(message))


def consent_in(message: Message) -> dict[str, bool] | None:
    """What was agreed to by category; None where nothing is said, or not in this form."""
    stated = member(message.context, *CONSENT)
    if not isinstance(stated, dict):
        return None
    agreed = all(isinstance(answer, bool) for answer in stated.values())
    return dict(stated) if agreed else None


def _links(message: Message, settings: Settings) -> dict[str, Any]:
    user, anonymous = _text(message.user_id), _text(message.anonymous_id)
    if message.type == "alias":
        return _alias(user, _text(message.previous_id), settings)
    if user and (anonymous or message.type == "identify"):
        other = (ANONYMOUS, anonymous) if anonymous else None
        return {"link": _link(settings.user_id_kind, user, message, other)}
    if anonymous and message.type == "identify":
        return {"link": _link(ANONYMOUS, anonymous, message, None)}
    return {}


def _alias(user: str, previous: str, settings: Settings) -> dict[str, Any]:
    if not user or not previous:
        return {}
    person = Newcomer(kind=settings.user_id_kind, value=user)
    link = Link(person=person, other=(ANONYMOUS, previous))
    return {"link": link, "renamed": (settings.user_id_kind, previous)}


def _link(kind: str, value: str, message: Message, other: IdentityKey | None) -> Link:
    country = country_in(
        member(message.traits, "country"), member(message.traits, "address", "country")
    )
    return Link(person=Newcomer(kind=kind, value=value, country=country), other=other)


def _items(
    received: Received, message: Message, settings: Settings, moment: datetime, impossible: bool
) -> list[Item]:
    if message.type == "track" and not _text(message.event):
        customer = _readable(message, settings)
        return [_doubtful(received.raw, "a track message names its event", customer)]
    try:
        customer = _customer(message, settings)
    except msgspec.ValidationError:
        return [_doubtful(received.raw, "userId or anonymousId cannot be an identity", None)]
    context = _context(message, impossible)
    return [
        _item(
            Envelope(
                customer=customer,
                type=mapped.type,
                occurred_at=moment,
                data=msgspec.Raw(ENCODER.encode(mapped.data)),
                event_id=_event_id(received, message, mapped, settings.source),
                context=context,
            )
        )
        for mapped in _mapped(message, settings)
    ]


def _mapped(message: Message, settings: Settings) -> list[Mapped]:
    properties = message.properties if isinstance(message.properties, dict) else {}
    if message.type == "group":
        return [Mapped(CUSTOM["group"], {"group_id": storable(_text(message.group_id))})]
    if message.type in CUSTOM:
        named = {"name": message.name, "category": message.category}
        given = {name: value for name, value in named.items() if isinstance(value, str)}
        return [Mapped(CUSTOM[message.type], storable({**properties, **given}))]
    name = _text(message.event)
    known = MAPPINGS.get(type_named(name, frozenset()))
    terms = Terms(settings.currency, message.context)
    mapped = known(properties, terms) if known else None
    custom = Mapped(type_named(name, frozenset(CATALOGUE)), storable(properties))
    return mapped or [custom]


def _event_id(received: Received, message: Message, mapped: Mapped, source: str) -> UUID:
    """The same for every way in which the same fact is told again."""
    if mapped.natural_key:
        return derived_id(source, mapped.natural_key)  # as `events.cleaning.event_id_of` does
    return derived_id(source, "segment", _message_id(received, message), mapped.key)


def _message_id(received: Received, message: Message) -> str:
    """Without an id the message itself is its id; without a time, nothing tells it from another."""
    if _text(message.message_id):
        return _text(message.message_id)
    own = hashlib.sha256(received.raw).hexdigest()
    timed = message.original_timestamp or message.timestamp
    return own if timed else f"{own} {iso(received.received_at)}"


def _customer(message: Message, settings: Settings) -> IdentityReference | None:
    user, anonymous = _text(message.user_id), _text(message.anonymous_id)
    if not user and not anonymous:
        return None
    named = (settings.user_id_kind, user) if user else (ANONYMOUS, anonymous)
    return msgspec.convert({"kind": named[0], "value": named[1]}, IdentityReference)


def _readable(message: Message, settings: Settings) -> IdentityReference | None:
    try:
        return _customer(message, settings)
    except msgspec.ValidationError:
        return None


def _context(message: Message, impossible: bool) -> CollectedContext:
    context, properties = message.context, message.properties
    return CollectedContext(
        session_id=short_text(told(member(context, "sessionId"))),
        channel=short_text(message.channel),
        device=short_text(member(context, "device", "type")),
        traffic_source=short_text(member(context, "campaign", "source")),
        promo=short_text(member(properties, "coupon") or member(context, "campaign", "name")),
        locale=short_text(member(context, "locale")),
        time_from="received_at" if impossible else None,
    )


def _item(envelope: Envelope) -> Item:
    return Item(envelope, _native(envelope), None, envelope.event_id)


def _native(envelope: Envelope) -> Callable[[], bytes]:
    """What quarantine keeps: the event as one may send it to the native API."""

    def body() -> bytes:
        told_of = {n: getattr(envelope.context, n) for n in Context.__struct_fields__}
        return ENCODER.encode(msgspec.structs.replace(envelope, context=Context(**told_of)))

    return body


def _doubtful(raw: bytes, detail: str, customer: IdentityReference | None) -> Item:
    return Item(Doubtful("schema_error", detail), lambda: raw, customer, form="segment")


def _text(value: Any) -> str:
    text = told(value)
    return text if isinstance(text, str) else ""
