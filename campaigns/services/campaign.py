"""Campaigns come into being."""

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal

from campaigns.errors import InvalidCampaign
from campaigns.models import Campaign

LONGEST_OFFER_DAYS = 365
MOST_MONEY = 10**8
RANGES = {
    "margin_rate": (-1, 1),
    "funded_share": (0, 1),
    "contact_cost": (0, MOST_MONEY - 1),
    "fixed_cost": (0, MOST_MONEY),
    "budget": (0, MOST_MONEY),
}
CURRENCY = re.compile(r"[A-Z]{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Economics:
    """What a campaign costs, and what is left of a sale; see ``models.Campaign``."""

    margin_rate: Decimal | None = None
    funded_share: Decimal = Decimal(0)
    contact_cost: Decimal = Decimal(0)
    fixed_cost: Decimal = Decimal(0)
    budget: Decimal | None = None

    def check(self) -> None:
        """Nothing happens where all figures are in range.

        Raises:
            InvalidCampaign: one is not.
        """
        for field, (low, high) in RANGES.items():
            value = getattr(self, field)
            if value is not None and not low <= value <= high:
                raise InvalidCampaign(field=field, value=value, expected=f"{low} to {high}")


NONE_KNOWN = Economics()


def create_campaign(
    *,
    name: str,
    offer_days: int,
    currency: str,
    created_by: str,
    at: datetime,
    economics: Economics = NONE_KNOWN,
) -> Campaign:
    """A campaign that offers a discount on everything for ``offer_days``.

    Raises:
        InvalidCampaign: a field is out of range.
    """
    economics.check()
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
        **asdict(economics),
        created_by=created_by,
        created_at=at,
    )
