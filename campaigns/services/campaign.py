"""Campaigns come into being."""

import re
from datetime import datetime

from campaigns.errors import InvalidCampaign
from campaigns.models import Campaign

LONGEST_OFFER_DAYS = 365
CURRENCY = re.compile(r"[A-Z]{3}")


def create_campaign(
    *, name: str, offer_days: int, currency: str, created_by: str, at: datetime
) -> Campaign:
    """A campaign that offers a discount on everything for ``offer_days``.

    Raises:
        InvalidCampaign: a field is out of range.
    """
    if not name.strip():
        raise InvalidCampaign(field="name", value="empty", expected="1 to 200 characters")
    if not 1 <= offer_days <= LONGEST_OFFER_DAYS:
        expected = f"1 to {LONGEST_OFFER_DAYS} days"
        raise InvalidCampaign(field="offer_days", value=offer_days, expected=expected)
    if not CURRENCY.fullmatch(currency):
        expected = "three capital letters (ISO 4217), for example GBP"
        raise InvalidCampaign(field="currency", value=repr(currency), expected=expected)
    return Campaign.objects.create(
        name=name.strip(),
        offer_days=offer_days,
        currency=currency,
        created_by=created_by,
        created_at=at,
    )
