"""What the rules of a decision need to know of one customer, and the offers that are open."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
from django.conf import settings
from django.db import connection

from campaigns.decisions.effects import Effects
from campaigns.decisions.errors import CustomerRestricted
from customers.errors import UnknownCustomer

LOOK = "SELECT * FROM campaigns_look(%s, %s, %s)"


class OpenOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A live offer with what its campaign says of it."""

    id: UUID
    campaign_id: UUID
    name: str
    kind: str
    depth: Decimal
    skus: list[str]
    offer_days: int
    least_order_value: Decimal | None
    currency: str
    holdout_share: Decimal
    response: Effects
    margin_rate: Decimal
    funded_share: Decimal
    contact_cost: Decimal


@dataclass(frozen=True, slots=True)
class Look:
    """What holds for the customer at the moment; ``held`` says until when, by campaign.

    ``marketing`` and ``profiling`` are None where the customer has said nothing. ``contacts`` are
    offers made within the days of the cap, those not reported yet included.
    """

    marketing: bool | None
    profiling: bool | None
    unsubscribed: frozenset[str]
    contacts: int
    held: dict[UUID, datetime]
    offers: list[OpenOffer]


_held = msgspec.json.Decoder(dict[UUID, datetime])
_offers = msgspec.json.Decoder(list[OpenOffer])


def look(pseudonym: UUID, at: datetime) -> Look:
    """The customer's row is locked until the transaction ends, and this is what holds.

    Raises:
        UnknownCustomer: there is none, or the customer is being erased.
        CustomerRestricted: the customer's data may not be used.
    """
    counted_from = at - timedelta(days=settings.DTOC_CONTACT_CAP_DAYS)
    with connection.cursor() as cursor:
        cursor.execute(LOOK, [pseudonym, at, counted_from])
        status, marketing, profiling, unsubscribed, contacts, held, offers = cursor.fetchone()
    if status == "restricted":
        raise CustomerRestricted(pseudonym=pseudonym)
    if status != "active":
        raise UnknownCustomer(pseudonym=pseudonym)
    return Look(
        marketing=marketing,
        profiling=profiling,
        unsubscribed=frozenset(unsubscribed),
        contacts=contacts,
        held=_held.decode(held or "{}"),
        offers=_offers.decode(offers or "[]"),
    )
