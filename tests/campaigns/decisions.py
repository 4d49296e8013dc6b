"""Decisions that tests are built on: statements of customers, live offers, and who is asked for."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from campaigns.decisions.rules import Ask
from campaigns.models import Campaign, Decision, LiveOffer
from campaigns.services import Economics, create_campaign, decide, open_live_offer
from events.catalogue import ConsentGranted, ConsentWithdrawn, Unsubscribed
from events.services import append
from tests.builders import NOON

AT = NOON  # some weeks after all that the twins of the shop have seen
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STRONG = {"mean": 4.0, "spread": 1.0}  # pays for a small discount at a margin of 0.6
WEAK = {"mean": 0.2, "spread": 0.1}


def says(who: UUID, event, at: datetime = AT - DAY) -> None:
    append(stream=who, event=event, event_id=uuid4(), occurred_at=at, at=at)


def agrees(*customers: UUID, purpose: str = "marketing", at: datetime = AT - DAY) -> None:
    for who in customers:
        says(who, ConsentGranted(purpose=purpose), at)


def withdraws(*customers: UUID, purpose: str = "marketing", at: datetime = AT - DAY) -> None:
    for who in customers:
        says(who, ConsentWithdrawn(purpose=purpose), at)


def unsubscribes(who: UUID, channel: str, at: datetime = AT - DAY) -> None:
    says(who, Unsubscribed(channel=channel), at)


def a_campaign(name: str = "Spring", **changes) -> Campaign:
    """A campaign whose margin is known; ``changes`` are of its economics, days or currency."""
    facts = {"offer_days": 14, "currency": "GBP"}
    facts |= {key: changes.pop(key) for key in tuple(changes) if key in facts}
    economics = Economics(**{"margin_rate": Decimal("0.6"), **changes})
    return create_campaign(name=name, created_by="a test", at=NOON, economics=economics, **facts)


def live(of: Campaign | None = None, **changes) -> LiveOffer:
    """A live offer that pays and of which nobody is held out, unless something else is asked."""
    facts = {
        "depth": Decimal("0.1"),
        "ends_at": AT + 30 * DAY,
        "response": STRONG,
        "holdout_share": Decimal(0),
        "opened_by": "a test",
        "at": AT - DAY,
    }
    return open_live_offer(campaign_id=(of or a_campaign()).id, **{**facts, **changes})


def decided(who: UUID, at: datetime = AT, **facts) -> Decision:
    return decide(ask=Ask(pseudonym=who, **facts), asked_by="a test", at=at)


def reasons(decision: Decision) -> dict[str, str]:
    """By live offer."""
    return {one["live_offer_id"]: one["reason"]["code"] for one in decision.candidates}
