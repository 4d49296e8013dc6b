"""Reading decisions and the offers that they choose from."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from campaigns.decisions.errors import UnknownDecision, UnknownLiveOffer
from campaigns.models import Decision, LiveOffer


def live_offers() -> QuerySet[LiveOffer]:
    """All of them with their campaigns, the newest first."""
    return LiveOffer.objects.select_related("campaign").order_by("-opened_at", "-id")


def open_offers(at: datetime) -> QuerySet[LiveOffer]:
    """Those that are open at a moment or going to be."""
    return live_offers().filter(closed_at__isnull=True, ends_at__gt=at)


def live_offer_by_id(live_offer_id: UUID) -> LiveOffer:
    """One live offer with its campaign.

    Raises:
        UnknownLiveOffer: there is none of that id.
    """
    found = live_offers().filter(id=live_offer_id).first()
    if found is None:
        raise UnknownLiveOffer(live_offer_id=live_offer_id)
    return found


def decision_by_id(decision_id: UUID) -> Decision:
    """One decision.

    Raises:
        UnknownDecision: there is none of that id, or no longer.
    """
    found = Decision.objects.filter(id=decision_id).first()
    if found is None:
        raise UnknownDecision(decision_id=decision_id, days=settings.DTOC_DECISION_DAYS)
    return found


def customer_decisions(pseudonym: UUID) -> QuerySet[Decision]:
    """What was decided for a customer, the newest first."""
    return Decision.objects.filter(pseudonym=pseudonym).order_by("-decided_at", "-id")


def forgotten_decisions(at: datetime) -> QuerySet[Decision]:
    """Decisions older than they are kept for."""
    kept = timedelta(days=settings.DTOC_DECISION_DAYS)
    return Decision.objects.filter(decided_at__lt=at - kept)
