"""From what somebody sent to what may be stored: typed, cleaned, or doubtful with a reason.

Pure functions: no database, no clock. The rules are those of the table "Cleaning" in the
documentation of events; the way a doubtful event goes from here is decided by the intake service.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

import msgspec
from django.conf import settings
from msgspec import Meta

from common.clock import truncated
from common.ids import derived_id
from events.catalogue import (
    CATALOGUE,
    LARGEST_AMOUNT,
    Code,
    Country,
    Currency,
    CustomEvent,
    EventData,
    ItemPurchased,
    ItemReturned,
    LineNumber,
    Moment,
    OrderLine,
    Sku,
)
from events.custom_types import CustomSchema
from events.errors import UnknownSchemaVersion, UpcasterMissing
from events.identifiers import without_identifiers, without_identifiers_anywhere
from events.upcasters import decoder, upcast

CLOCK_TOLERANCE = timedelta(minutes=5)
TECHNICAL_SKUS = ("POST", "DOT", "M", "BANK CHARGES", "ADJUST*", "TEST*")
CANCELLED = re.compile(r"C\d+")  # a whole invoice number: "C-17" and "C17-2" are ordinary orders
LINE_TYPES = frozenset({ItemPurchased.type, ItemReturned.type})
UNTOLD = re.compile(r"(unknown field|enum value) .*?(?= - at|$)", re.DOTALL)

LARGEST_CUSTOM_BYTES = 32 * 1024
KNOWN_TYPES = f"one of: {', '.join(CATALOGUE)}"
NO_CUSTOM_TYPES: Mapping[str, CustomSchema] = {}

ContextText = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f]*\Z")]


class Doubtful(Exception):
    """An event that is not stored as it came; ``detail`` repeats nothing that was sent."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail[:300]


class IdentityReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer by the name that the outside world uses."""

    kind: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*\Z", max_length=32)]
    value: Annotated[str, Meta(min_length=1, max_length=254, pattern=r"^[^\x00-\x1f]+\Z")]


class Context(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Where an event came from."""

    source: ContextText | None = None
    session_id: ContextText | None = None
    channel: ContextText | None = None
    device: ContextText | None = None
    traffic_source: ContextText | None = None
    promo: ContextText | None = None
    locale: ContextText | None = None


NO_CONTEXT = Context()


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event as it is sent. ``data`` is JSON where it came as JSON, a dict where from a file."""

    customer: UUID | IdentityReference | None = None
    type: str
    occurred_at: Moment
    data: msgspec.Raw
    event_id: UUID | None = None
    schema_version: int = 1
    context: Context = NO_CONTEXT


class LineAsSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order line before cleaning: its quantity may be negative, its price anything."""

    order_id: Code
    line_no: LineNumber
    sku: Sku
    quantity: Annotated[int, Meta(ge=-1_000_000_000, le=1_000_000_000)]
    unit_price: Decimal
    currency: Currency
    country: Country
    list_price: Decimal | None = None


ENVELOPE = msgspec.json.Decoder(Envelope)
LINE = msgspec.json.Decoder(LineAsSent)


def parsed(raw: bytes) -> Envelope:
    """The envelope in ``raw``.

    Raises:
        Doubtful: it is not one.
    """
    try:
        return ENVELOPE.decode(raw)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Doubtful("schema_error", without_values(error)) from None


class Readable(msgspec.Struct):
    """What can be told of a faulty envelope: whose it is, and its id."""

    customer: UUID | IdentityReference | None = None
    event_id: UUID | None = None


def readable_in(raw: bytes) -> Readable:
    """Customer and id of a faulty envelope, as far as they can be read."""
    try:
        return msgspec.json.decode(raw, type=Readable)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return Readable()


def typed(
    envelope: Envelope, at: datetime, custom: Mapping[str, CustomSchema] = NO_CUSTOM_TYPES
) -> EventData | CustomEvent:
    """The envelope's data as a cleaned event of the catalogue, or of one of the ``custom`` types.

    Raises:
        Doubtful: unknown type, schema error, price not above zero, or later than ``at``.
    """
    cls = CATALOGUE.get(envelope.type)
    if cls is None and envelope.type not in custom:
        raise Doubtful("unknown_type", f"expected {KNOWN_TYPES}, or a type registered before")
    if envelope.occurred_at > at + CLOCK_TOLERANCE:
        raise Doubtful("time_in_future", "occurred_at is more than 5 minutes ahead of our clock")
    if cls is None:
        return custom_event(envelope, custom[envelope.type])
    try:
        if envelope.type in LINE_TYPES and envelope.schema_version == cls.schema_version:
            return cleaned_line(envelope.type, _line(envelope.data))
        return _upper_sku(_event(cls, envelope))
    except (msgspec.ValidationError, ValueError) as error:
        raise Doubtful("schema_error", without_values(error)) from None
    except (UnknownSchemaVersion, UpcasterMissing) as error:
        raise Doubtful("schema_error", str(error)) from None


def custom_event(envelope: Envelope, schema: CustomSchema) -> CustomEvent:
    """The envelope's data as a custom event, direct identifiers in it replaced by their digest.

    Raises:
        Doubtful: it does not fit the type's JSON Schema, or is too large to be a fact.
    """
    if envelope.schema_version != schema.version:
        problem = f"{envelope.type} has schema version {schema.version}, and only that is taken"
        raise Doubtful("schema_error", problem)
    data: Any = envelope.data
    raw = bytes(data) if isinstance(data, msgspec.Raw) else msgspec.json.encode(data)
    if len(raw) > LARGEST_CUSTOM_BYTES:
        raise Doubtful("schema_error", f"data is larger than {LARGEST_CUSTOM_BYTES} bytes")
    data = _decoded(raw)
    if problem := schema.problem_of(data):
        raise Doubtful("schema_error", problem)
    clean = without_identifiers_anywhere("data", data)
    return CustomEvent(type=envelope.type, schema_version=schema.version, data=clean)


def _decoded(raw: bytes) -> dict[str, Any]:
    if rb"\u0000" in raw:
        raise Doubtful("schema_error", "data holds a NUL character, which no text may")
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.ValidationError:
        raise Doubtful("schema_error", "data must be an object") from None
    except (msgspec.MsgspecError, RecursionError):
        raise Doubtful("schema_error", "data hold a text or a number that JSON cannot") from None


def cleaned_line(sent_type: str, line: LineAsSent) -> EventData:
    """A purchase or a return with a positive quantity, an upper-case SKU and plain amounts.

    Raises:
        Doubtful: the price is not above zero.
        ValueError: the quantity is zero, or an amount is none.
    """
    price = line.unit_price
    if not price.is_finite() or abs(price) > LARGEST_AMOUNT:
        raise ValueError(f"unit_price must be at most {LARGEST_AMOUNT}")
    if price <= 0:
        raise Doubtful("price_not_positive", "unit_price is zero or negative")
    if line.quantity == 0:
        raise ValueError("quantity is zero")
    is_return = sent_type == ItemReturned.type or line.quantity < 0
    cls = ItemReturned if is_return or CANCELLED.fullmatch(line.order_id) else ItemPurchased
    return cls(
        order_id=line.order_id,
        line_no=line.line_no,
        sku=line.sku.upper(),
        quantity=abs(line.quantity),
        unit_price=plain_amount(price),
        currency=line.currency,
        country=line.country,
        list_price=None if line.list_price is None else plain_amount(line.list_price),
    )


def plain_amount(amount: Decimal) -> Decimal:
    """``amount`` without trailing zeros or exponent, so that 2.50 and 2.5 are the same content."""
    if not amount.is_finite() or abs(amount) > LARGEST_AMOUNT or amount.adjusted() < -12:
        raise ValueError(f"an amount must be a number up to {LARGEST_AMOUNT}")
    return _plain(amount)


@lru_cache(maxsize=65_536)  # prices repeat, and equal ones have one plain form
def _plain(amount: Decimal) -> Decimal:
    short = amount.normalize()
    exponent = short.as_tuple().exponent
    return short.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 else short


def event_id_of(
    envelope: Envelope, source: str, cleaned: EventData | CustomEvent | None = None
) -> UUID | None:
    """The sender's id, or one derived from the natural key of an order line; None without either.

    A return may name the order line that it takes back, so its key is marked. ``cleaned`` saves
    reading the line again.
    """
    if envelope.event_id is not None or envelope.type not in LINE_TYPES:
        return envelope.event_id
    try:
        line = cleaned if isinstance(cleaned, OrderLine) else _line(envelope.data)
    except msgspec.ValidationError:
        return None
    mark = "returned:" if envelope.type == ItemReturned.type else ""
    return derived_id(source, f"{mark}{line.order_id}:{line.line_no}")


@lru_cache(maxsize=65_536)
def is_technical(sku: str, more: Iterable[str] = ()) -> bool:
    """Whether a stock code stands for postage, fees and the like rather than for an item."""
    patterns = (*getattr(settings, "DTOC_TECHNICAL_SKUS", TECHNICAL_SKUS), *more)
    return any(fnmatch.fnmatchcase(sku, pattern) for pattern in patterns)


def occurred_at_of(envelope: Envelope) -> datetime:
    """When it happened, in UTC and to the millisecond."""
    return truncated(envelope.occurred_at)


def without_values(error: Exception) -> str:
    """What is wrong, without what was sent: the reason stays readable when the body is sealed."""
    return UNTOLD.sub(r"\1", str(error))


def _line(data: Any) -> LineAsSent:
    if isinstance(data, msgspec.Raw):
        return LINE.decode(data)
    return msgspec.convert(data, LineAsSent, strict=False)


def _event(cls: type[EventData], envelope: Envelope) -> EventData:
    data: Any = envelope.data
    if envelope.schema_version != cls.schema_version:
        older = msgspec.json.decode(data) if isinstance(data, msgspec.Raw) else data
        return upcast(cls, envelope.schema_version, older)
    if isinstance(data, msgspec.Raw):
        return decoder(cls.type).decode(data)
    return msgspec.convert(data, cls, strict=False)


def _upper_sku(event: EventData) -> EventData:
    sku = getattr(event, "sku", None)
    if sku is None or sku == sku.upper():
        return event
    return msgspec.structs.replace(event, sku=sku.upper())


def metadata_of(context: Context, source: str, *, technical: bool) -> dict[str, Any]:
    """What is stored beside the data; direct identifiers in it are replaced by their digest."""
    metadata: dict[str, Any] = {"source": source}
    if context is not NO_CONTEXT:
        told = msgspec.to_builtins(context)
        metadata |= {
            name: without_identifiers(f"context_{name}", value) for name, value in told.items()
        }
    if technical:
        metadata["technical"] = True
    return metadata
