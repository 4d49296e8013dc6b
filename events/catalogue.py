"""The event types, newest schema version each; older versions live on in ``events.upcasters``.

Ids, amounts and codes only. The patterns keep out what would be free text or an e-mail address.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

LARGEST_AMOUNT = Decimal(1_000_000_000)

Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.:/#+&-]*\Z", max_length=64)]
Sku = Code  # stored in upper case; `events.cleaning` sees to it
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
Country = Annotated[str, Meta(pattern=r"^([A-Z]{2})?\Z")]  # empty where it is not known
Quantity = Annotated[int, Meta(gt=0, le=1_000_000_000)]
LineNumber = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Moment = Annotated[datetime, Meta(tz=True)]


def require_amount(name: str, amount: Decimal | None) -> None:
    """Nothing happens for no amount or a positive one that money can have.

    Raises:
        ValueError: msgspec makes it a schema error that names the field's struct.
    """
    if amount is None:
        return
    if not amount.is_finite() or not 0 < amount <= LARGEST_AMOUNT:
        raise ValueError(f"{name} must be above 0 and at most {LARGEST_AMOUNT}")


class EventData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every event type is: a name, a schema version, and fields that never change."""

    type: ClassVar[str]
    schema_version: ClassVar[int] = 1


class ItemViewed(EventData, frozen=True, kw_only=True):
    """The customer looked at an item."""

    type: ClassVar[str] = "item_viewed"

    sku: Sku
    category: Code | None = None


class ItemAddedToCart(EventData, frozen=True, kw_only=True):
    """Some units of an item went into the cart."""

    type: ClassVar[str] = "item_added_to_cart"

    sku: Sku
    quantity: Quantity = 1


class ItemRemovedFromCart(EventData, frozen=True, kw_only=True):
    """Some units of an item left the cart without being bought."""

    type: ClassVar[str] = "item_removed_from_cart"

    sku: Sku
    quantity: Quantity = 1


class CheckoutStarted(EventData, frozen=True, kw_only=True):
    """The customer went to the till; the order may still be abandoned."""

    type: ClassVar[str] = "checkout_started"

    order_id: Code | None = None


class OrderLine(EventData, frozen=True, kw_only=True):
    """One line of an order or of a return; ``unit_price`` is what was paid for one unit."""

    order_id: Code
    line_no: LineNumber
    sku: Sku
    quantity: Quantity
    unit_price: Decimal
    currency: Currency
    country: Country
    list_price: Decimal | None = None  # before any discount

    def __post_init__(self) -> None:
        require_amount("unit_price", self.unit_price)
        require_amount("list_price", self.list_price)


class ItemPurchased(OrderLine, frozen=True, kw_only=True):
    """Some units of an item were bought."""

    type: ClassVar[str] = "item_purchased"


class ItemReturned(OrderLine, frozen=True, kw_only=True):
    """Some units of an item came back; the quantity is positive, the type says the direction."""

    type: ClassVar[str] = "item_returned"


class OrderCancelled(EventData, frozen=True, kw_only=True):
    """A whole order was called off."""

    type: ClassVar[str] = "order_cancelled"

    order_id: Code


class OfferAssigned(EventData, frozen=True, kw_only=True):
    """A customer entered one arm of a campaign; the control arm gets the event, not the offer."""

    type: ClassVar[str] = "offer_assigned"

    offer_id: Code
    campaign_id: Code
    kind: Code
    depth: Decimal  # share of the list price, 0 to below 1
    sku: Sku | None = None
    category: Code | None = None
    valid_from: Moment
    valid_until: Moment
    arm: Literal["treatment", "control"]

    def __post_init__(self) -> None:
        if not self.depth.is_finite() or not 0 <= self.depth < 1:
            raise ValueError("depth is a share, expected 0 to below 1")
        if self.valid_until <= self.valid_from:
            raise ValueError("valid_until must be after valid_from")


class OfferViewed(EventData, frozen=True, kw_only=True):
    """The customer saw an offer."""

    type: ClassVar[str] = "offer_viewed"

    offer_id: Code
    campaign_id: Code | None = None


class OfferRedeemed(EventData, frozen=True, kw_only=True):
    """The customer used an offer."""

    type: ClassVar[str] = "offer_redeemed"

    offer_id: Code
    campaign_id: Code | None = None
    order_id: Code | None = None


class OfferExpired(EventData, frozen=True, kw_only=True):
    """An offer ran out unused."""

    type: ClassVar[str] = "offer_expired"

    offer_id: Code
    campaign_id: Code | None = None


class Message(EventData, frozen=True, kw_only=True):
    """Something that was sent to the customer; its text is never stored."""

    message_id: Code
    channel: Code  # email, sms, push, ...
    campaign_id: Code | None = None


class MessageSent(Message, frozen=True, kw_only=True):
    """A message went out to the customer."""

    type: ClassVar[str] = "message_sent"


class MessageOpened(Message, frozen=True, kw_only=True):
    """The customer opened a message."""

    type: ClassVar[str] = "message_opened"


class MessageClicked(Message, frozen=True, kw_only=True):
    """The customer followed a link of a message; the address may hold anything, so no address."""

    type: ClassVar[str] = "message_clicked"

    link_id: Code | None = None


class Unsubscribed(EventData, frozen=True, kw_only=True):
    """The customer wants no more messages over a channel."""

    type: ClassVar[str] = "unsubscribed"

    channel: Code
    message_id: Code | None = None


class SupportContacted(EventData, frozen=True, kw_only=True):
    """The customer asked for help; what was said is classified elsewhere and never stored."""

    type: ClassVar[str] = "support_contacted"

    channel: Code
    topic: Code
    priority: Literal["low", "normal", "high", "urgent"] = "normal"
    sentiment: Annotated[float, Meta(ge=-1, le=1)] | None = None  # -1 upset, 1 delighted


class ProfileChanged(EventData, frozen=True, kw_only=True):
    """What we know of the customer changed; only what a model may read is repeated here."""

    type: ClassVar[str] = "profile_changed"

    country: Country | None = None
    changed: Annotated[list[Code], Meta(max_length=50)] = []  # names of fields, never their values


class Consent(EventData, frozen=True, kw_only=True):
    """A decision of the customer about one purpose, and where it was made."""

    purpose: Literal["profiling", "marketing", "training"]
    origin: Code | None = None  # form, call centre, import, ...
    wording: Code | None = None  # which version of the text was agreed to


class ConsentGranted(Consent, frozen=True, kw_only=True):
    """The customer allowed a purpose."""

    type: ClassVar[str] = "consent_granted"


class ConsentWithdrawn(Consent, frozen=True, kw_only=True):
    """The customer no longer allows a purpose."""

    type: ClassVar[str] = "consent_withdrawn"


class IdentitiesMerged(EventData, frozen=True, kw_only=True):
    """Two streams turned out to be one person's; this one goes on, the other ends."""

    type: ClassVar[str] = "identities_merged"

    merged: UUID  # the pseudonym that was given up


class CustomerRegistered(EventData, frozen=True, kw_only=True):
    """The customer became known to us; always version 1 of the stream."""

    type: ClassVar[str] = "customer_registered"

    country: Country


class CustomEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a type that this installation added; ``data`` fits the type's JSON Schema."""

    type: str
    schema_version: int
    data: dict[str, Any]


CATALOGUE: dict[str, type[EventData]] = {
    cls.type: cls
    for cls in (
        ItemViewed,
        ItemAddedToCart,
        ItemRemovedFromCart,
        CheckoutStarted,
        ItemPurchased,
        ItemReturned,
        OrderCancelled,
        OfferAssigned,
        OfferViewed,
        OfferRedeemed,
        OfferExpired,
        MessageSent,
        MessageOpened,
        MessageClicked,
        Unsubscribed,
        SupportContacted,
        CustomerRegistered,
        ProfileChanged,
        ConsentGranted,
        ConsentWithdrawn,
        IdentitiesMerged,
    )
}
# Amounts become strings, so that no digit is lost.
ENCODER = msgspec.json.Encoder(decimal_format="string")
