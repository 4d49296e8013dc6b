"""Offers go live for decisions, and are closed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction

from campaigns.decisions.effects import Effects, effects_of
from campaigns.decisions.errors import InvalidLiveOffer
from campaigns.decisions.selectors import live_offer_by_id, open_offers
from campaigns.models import Campaign, LiveOffer
from campaigns.selectors import campaign_by_id, simulation_by_id
from common.clock import truncated
from events.catalogue import Sku
from ml.incremental import HORIZON_DAYS

LOCK_CLASS, OPENING = 0x44546F4C, 0  # "DToL"
DEEPEST = Decimal("0.9")
LARGEST_HOLDOUT = Decimal("0.9")
USUAL_HOLDOUT = Decimal("0.1")
MOST_OPEN = 50  # a decision weighs all of them
MOST_SKUS = 20  # each is an event of every customer who is shown the offer
LONGEST = timedelta(days=366)


@transaction.atomic
def open_live_offer(
    *,
    campaign_id: UUID,
    depth: Decimal,
    ends_at: datetime,
    opened_by: str,
    at: datetime,
    starts_at: datetime | None = None,
    response: dict[str, Any] | None = None,
    simulation_id: UUID | None = None,
    skus: Sequence[str] = (),
    least_order_value: Decimal | None = None,
    holdout_share: Decimal = USUAL_HOLDOUT,
) -> LiveOffer:
    """From ``starts_at`` (now) until ``ends_at`` decisions may choose the campaign at this depth.

    What the offer does is stated, ``{"mean": m, "spread": s}``, an assumed elasticity, or is what a
    simulation of the campaign was run with. Without ``skus`` the offer holds for everything.

    Raises:
        UnknownCampaign, UnknownSimulation: there is none of that id.
        InvalidLiveOffer: a value is out of range, or the campaign cannot be decided about.
    """
    campaign = campaign_by_id(campaign_id)
    begins = truncated(starts_at or at)
    _check_campaign(campaign)
    _check_range("depth", depth, Decimal("0.00001"), DEEPEST)
    _check_range("holdout_share", holdout_share, Decimal(0), LARGEST_HOLDOUT)
    _check_range("starts_at", begins, at - LONGEST, at + LONGEST)
    _check_range("ends_at", ends_at, max(begins, at) + timedelta(minutes=1), begins + LONGEST)
    _check_skus(skus)
    if least_order_value is not None:
        _check_range("least_order_value", least_order_value, Decimal("0.01"), Decimal(10**8))
    found = _response(campaign, response, simulation_id)
    _check_beside(campaign, at)
    return LiveOffer.objects.create(
        campaign=campaign,
        depth=depth,
        skus=list(skus),
        least_order_value=least_order_value,
        holdout_share=holdout_share,
        response=msgspec.to_builtins(found),
        starts_at=begins,
        ends_at=truncated(ends_at),
        opened_by=opened_by,
        opened_at=at,
    )


@transaction.atomic
def close_live_offer(*, live_offer_id: UUID, at: datetime) -> LiveOffer:
    """No decision chooses the offer any more; who has it keeps it. Closed again it stays so.

    Raises:
        UnknownLiveOffer: there is none of that id.
    """
    LiveOffer.objects.filter(id=live_offer_id, closed_at__isnull=True).update(closed_at=at)
    return live_offer_by_id(live_offer_id)


def _check_campaign(campaign: Campaign) -> None:
    if campaign.margin_rate is None:
        raise InvalidLiveOffer(
            field="the campaign's margin_rate",
            value="not known",
            expected="a share: offers are compared by the margin that they add",
        )
    _check_range("the campaign's offer_days", campaign.offer_days, 1, HORIZON_DAYS)


def _check_beside(campaign: Campaign, at: datetime) -> None:
    """Whoever opens another offer at the same time waits until this one is stored."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, OPENING])
    others = list(open_offers(at).values_list("campaign__currency", flat=True))
    if len(others) >= MOST_OPEN:
        expected = f"at most {MOST_OPEN} with this one: close some"
        raise InvalidLiveOffer(field="open offers", value=len(others) + 1, expected=expected)
    if others and campaign.currency not in others:
        expected = f"{others[0]}, as of the offers that are open: margins are compared"
        raise InvalidLiveOffer(field="currency", value=campaign.currency, expected=expected)


def _response(
    campaign: Campaign, stated: dict[str, Any] | None, simulation_id: UUID | None
) -> Effects:
    """What the offer does: as it is stated, or as a simulation of the campaign took it to be."""
    if (stated is None) == (simulation_id is None):
        raise InvalidLiveOffer(
            field="response", value="stated twice or not at all",
            expected="either an assumed response or the id of a simulation",
        )  # fmt: skip
    if simulation_id is None:
        return effects_of({"kind": "assumed", **(stated or {})})
    run = simulation_by_id(simulation_id)
    if run.campaign_id != campaign.id:
        expected = f"a simulation of campaign {campaign.id}"
        raise InvalidLiveOffer(field="simulation_id", value=simulation_id, expected=expected)
    return effects_of(run.manifest["response"], str(simulation_id))


def _check_skus(skus: Sequence[str]) -> None:
    if len(skus) > MOST_SKUS or len(set(skus)) < len(skus):
        expected = f"at most {MOST_SKUS}, each once"
        raise InvalidLiveOffer(field="skus", value=f"{len(skus)} of them", expected=expected)
    try:
        msgspec.convert(list(skus), list[Sku])  # events name them: one that none can is refused
    except msgspec.ValidationError as error:
        expected = "1 to 64 letters, digits, spaces or _.:/#+&-, as the purchases name them"
        raise InvalidLiveOffer(field="skus", value=str(error), expected=expected) from error


def _check_range(field: str, value: Any, low: Any, high: Any) -> None:
    if not low <= value <= high:
        raise InvalidLiveOffer(field=field, value=value, expected=f"{low} to {high}")
