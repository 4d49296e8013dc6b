"""The next best action is decided, stored, and its outcome written down."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from django.conf import settings
from django.db import transaction

from campaigns.decisions.choosing import judge
from campaigns.decisions.documents import decision_of
from campaigns.decisions.errors import (
    AlreadyReported,
    CustomerRestricted,
    InvalidReport,
    NothingToReport,
)
from campaigns.decisions.look import look
from campaigns.decisions.rules import Ask, Rules
from campaigns.decisions.selectors import decision_by_id, forgotten_decisions, live_offer_by_id
from campaigns.models import Decision, Exposure, LiveOffer
from campaigns.population import active_standings_locked
from common.canonical_json import iso
from common.clock import truncated
from common.locks import lock_streams
from customers.selectors import customer_by_pseudonym
from events.catalogue import OfferAssigned
from events.services import append

FORGOTTEN_AT_ONCE = 10_000
Outcome = Decision.Outcome


@transaction.atomic
def decide(*, ask: Ask, asked_by: str, at: datetime) -> Decision:
    """The next best action for one customer, stored with all that it rests on.

    Decisions for one customer come one after the other, so two at the same moment do not both take
    the last contact that the cap allows. An offer that is made counts as a contact until it is
    reported as not shown or may no longer be shown.

    Raises:
        UnknownCustomer: there is none, or the customer is being erased.
        CustomerRestricted: the customer's data may not be used.
        NoActiveModel, TwinNotAdvanced: an offer may be made, and there is no twin to ask.
    """
    found = look(ask.pseudonym, at)
    verdict = judge(ask, found, Rules.current(), at)
    hours = timedelta(hours=settings.DTOC_DECISION_HOURS)
    decision = decision_of(verdict, asked_by=asked_by, at=at, show_until=at + hours)
    decision.save(force_insert=True)
    return decision


@transaction.atomic
def report_outcome(
    *, decision_id: UUID, outcome: str, at: datetime, shown_at: datetime | None = None
) -> Decision:
    """The outcome of a decision is known; reported again it is the same.

    What was shown is an exposure and an event of the customer from then on, in either arm: of the
    control group it says that the offer would have been shown. What was not shown leaves nothing
    but the decision, and no longer counts as a contact.

    Raises:
        UnknownDecision: there is none of that id, or no longer.
        NothingToReport: it neither made an offer nor held one back.
        AlreadyReported: another outcome was reported before.
        InvalidReport: ``shown_at`` lies before the decision or after ``at``.
        UnknownCustomer: the customer is being erased.
        CustomerRestricted: the customer's data may not be used.
    """
    pseudonym = decision_by_id(decision_id).pseudonym
    lock_streams([pseudonym])  # before any row is locked or written: the feed relies on that
    if pseudonym not in active_standings_locked([pseudonym]):
        customer_by_pseudonym(pseudonym)  # says so where there is no such customer
        raise CustomerRestricted(pseudonym=pseudonym)
    decision = decision_by_id(decision_id)
    if decision.outcome:
        return _reported_before(decision, outcome)
    moment = truncated(shown_at or at)
    _check(decision, moment, at)
    decision.outcome, decision.outcome_at, decision.reported_at = outcome, moment, at
    decision.save(update_fields=["outcome", "outcome_at", "reported_at"])
    if outcome == Outcome.SHOWN:
        assert decision.live_offer_id is not None  # noqa: S101 - it has an arm
        _expose(decision, live_offer_by_id(decision.live_offer_id), moment, at)
    return decision


def forget_decisions(*, at: datetime) -> int:
    """Decisions that are older than they are kept for are gone, some thousands of them at a time.

    Exposures stay: caps and measurements need them.
    """
    old = forgotten_decisions(at).order_by("decided_at").values_list("id", flat=True)
    return Decision.objects.filter(id__in=list(old[:FORGOTTEN_AT_ONCE])).delete()[0]


def _reported_before(decision: Decision, outcome: str) -> Decision:
    if decision.outcome != outcome:
        assert decision.reported_at is not None  # noqa: S101 - the database keeps them together
        raise AlreadyReported(
            decision_id=decision.id,
            outcome=decision.get_outcome_display(),
            reported_at=iso(decision.reported_at),
        )
    return decision


def _check(decision: Decision, moment: datetime, at: datetime) -> None:
    if not decision.arm:
        raise NothingToReport(decision_id=decision.id)
    if not decision.decided_at <= moment <= at:
        raise InvalidReport(value=iso(moment), decided_at=iso(decision.decided_at), now=iso(at))


def _expose(decision: Decision, offer: LiveOffer, moment: datetime, at: datetime) -> None:
    """The customer is in an arm of the campaign, and the customer's stream says so.

    An event names one product or means all, so an offer for several is told as several.
    """
    skus: list[str | None] = [*_skus(decision)] or [None]
    for sku in skus:
        append(
            stream=decision.pseudonym,
            event=_assigned(decision, offer, moment, sku),
            event_id=uuid5(decision.id, sku or ""),  # derived: nothing is stored twice
            occurred_at=moment,
            at=at,
            metadata={"source": "decisions"},
        )
    Exposure.objects.create(
        campaign=offer.campaign,
        live_offer=offer,
        decision=decision.id,
        pseudonym=decision.pseudonym,
        arm=decision.arm,
        depth=offer.depth,
        assigned_at=moment,
    )


def _assigned(
    decision: Decision, offer: LiveOffer, moment: datetime, sku: str | None
) -> OfferAssigned:
    return OfferAssigned(
        offer_id=str(offer.id),
        campaign_id=str(offer.campaign_id),
        kind=offer.campaign.offer_kind,
        depth=Decimal(f"{offer.depth.normalize():f}"),
        sku=sku,
        valid_from=moment,
        valid_until=moment + timedelta(days=offer.campaign.offer_days),
        arm=decision.arm,  # type: ignore[arg-type]  # one of the two: it has an outcome
    )


def _skus(decision: Decision) -> list[str]:
    """The products that the offer was for: those that were in stock; empty where it is for all."""
    best = str(decision.live_offer_id)
    return [
        sku for one in decision.candidates if one["live_offer_id"] == best for sku in one["skus"]
    ]
