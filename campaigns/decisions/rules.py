"""What a decision obeys: rules that rule everything out, and rules that rule out a single offer."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.conf import settings

from campaigns.decisions.look import Look, OpenOffer
from campaigns.holdout import in_global_holdout

LEGITIMATE_INTEREST = "legitimate_interest"  # every other basis needs consent


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings that a decision keeps to; see ``dtoc_project.settings``."""

    marketing_basis: str
    global_holdout_share: float
    contact_cap: int
    contact_cap_days: int

    @staticmethod
    def current() -> "Rules":
        """The settings as they are now."""
        return Rules(
            marketing_basis=settings.DTOC_MARKETING_BASIS,
            global_holdout_share=settings.DTOC_GLOBAL_HOLDOUT_SHARE,
            contact_cap=settings.DTOC_CONTACT_CAP,
            contact_cap_days=settings.DTOC_CONTACT_CAP_DAYS,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked for whom; ``basket_value`` is that of the order under way, where there is one.

    ``channel`` is where the offer would be shown.
    """

    pseudonym: UUID
    channel: str = ""
    basket_value: Decimal | None = None


def objection(ask: Ask, found: Look, rules: Rules) -> str | None:
    """Why the customer is to be made no offer at all, whatever the twin says; the first reason."""
    needs_consent = rules.marketing_basis != LEGITIMATE_INTEREST
    checks = (
        ("no_marketing_consent", found.marketing is None and needs_consent),
        ("marketing_withdrawn", found.marketing is False),
        ("profiling_withdrawn", found.profiling is False),
        ("unsubscribed", bool(ask.channel) and ask.channel in found.unsubscribed),
        ("global_holdout", in_global_holdout(ask.pseudonym, rules.global_holdout_share)),
        ("over_contact_cap", bool(rules.contact_cap) and found.contacts >= rules.contact_cap),
        ("no_open_offer", not found.offers),
    )
    return next((reason for reason, holds in checks if holds), None)


def obstacle(offer: OpenOffer, found: Look, there: list[str], order_value: Decimal) -> str | None:
    """Why this offer cannot be made to the customer, however good it is; the first reason.

    ``there`` are those of its products that are in stock, ``order_value`` is what an order is or
    is expected to be worth.
    """
    least = offer.least_order_value
    checks = (
        ("already_offered", offer.campaign_id in found.held),
        ("out_of_stock", bool(offer.skus) and not there),
        ("order_too_small", least is not None and order_value < least),
    )
    return next((reason for reason, holds in checks if holds), None)
