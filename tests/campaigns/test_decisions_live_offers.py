"""Offers go live only with what a decision needs, and what they rest on is kept."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import numpy as np
import pytest

from campaigns.decisions.effects import effects_of
from campaigns.decisions.errors import InvalidLiveOffer, UnknownLiveOffer
from campaigns.errors import UnknownCampaign
from campaigns.models import LiveOffer, SimulationRun
from campaigns.services import close_live_offer
from campaigns.services.live_offers import MOST_OPEN
from tests.campaigns.builders import campaign, started
from tests.campaigns.decisions import AT, DAY, HOUR, a_campaign, live

pytestmark = pytest.mark.django_db
LEARNED = {
    "kind": "learned",
    "estimate": {
        "hazard": {"mean": 1.2, "standard_error": 0.3, "between": 0.4},
        "quantity": {"mean": -0.2, "standard_error": 0.4, "between": 0.3},
        "correlation": -0.5,
    },
}


def test_a_live_offer_keeps_what_it_rests_on():
    offer = LiveOffer.objects.get(id=live(skus=["A", "B"]).id)

    assert offer.response == {
        "kind": "assumed", "hazard": {"mean": 2.0, "spread": 0.5},
        "quantity": {"mean": 2.0, "spread": 0.5}, "correlation": 1.0, "least": 0.0, "most": 20.0,
        "simulation_id": None,
    }  # fmt: skip
    assert (offer.depth, offer.skus, offer.starts_at) == (Decimal("0.1"), ["A", "B"], AT - DAY)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"depth": Decimal(0)}, "depth"),
        ({"depth": Decimal("0.91")}, "depth"),
        ({"holdout_share": Decimal("0.91")}, "holdout_share"),
        ({"holdout_share": Decimal("-0.1")}, "holdout_share"),
        ({"starts_at": AT - 400 * DAY}, "starts_at"),
        ({"starts_at": datetime.max.replace(tzinfo=UTC)}, "starts_at"),
        ({"ends_at": AT - DAY}, "ends_at"),
        ({"ends_at": AT + 400 * DAY}, "ends_at"),
        ({"starts_at": AT + DAY, "ends_at": AT + DAY}, "ends_at"),
        ({"least_order_value": Decimal(0)}, "least_order_value"),
        ({"skus": ["A", "A"]}, "skus"),
        ({"skus": [str(n) for n in range(21)]}, "skus"),
        ({"skus": [""]}, "skus"),
        ({"skus": ["A" * 65]}, "skus"),
        ({"skus": ["a@b"]}, "skus"),
        ({"skus": ["A\n"]}, "skus"),
        ({"response": None}, "response"),
        ({"response": {"mean": -1, "spread": 0.5}}, "response/mean"),
        ({"response": {"mean": 11, "spread": 0.5}}, "response/mean"),
        ({"response": {"mean": 1, "spread": -0.5}}, "response/spread"),
        ({"response": {"mean": math.nan, "spread": 0.5}}, "response/mean"),
        ({"response": {"mean": 1}}, "response/spread"),
    ],
)
def test_what_is_out_of_range_is_refused_and_leaves_nothing(change: dict, field: str):
    with pytest.raises(InvalidLiveOffer) as caught:
        live(**change)

    assert caught.value.fields["field"] == field
    assert not LiveOffer.objects.exists()


def test_a_campaign_that_cannot_be_weighed_is_refused():
    for of in (campaign(), a_campaign(offer_days=91)):
        with pytest.raises(InvalidLiveOffer, match="the campaign's"):
            live(of)
    of = a_campaign()
    of.id = UUID(int=7)
    with pytest.raises(UnknownCampaign):
        live(of)


def test_offers_that_are_open_at_a_time_share_a_currency():
    first = live()
    with pytest.raises(InvalidLiveOffer, match="expected GBP"):
        live(a_campaign(currency="EUR"))

    close_live_offer(live_offer_id=first.id, at=AT)

    live(a_campaign(currency="EUR"))


def test_so_many_offers_may_be_open_and_no_more():
    of = a_campaign()
    for _ in range(MOST_OPEN):
        live(of)

    with pytest.raises(InvalidLiveOffer, match="at most 50"):
        live(of)


def test_a_closed_offer_stays_closed_since_then():
    offer = live()

    close_live_offer(live_offer_id=offer.id, at=AT)
    again = close_live_offer(live_offer_id=offer.id, at=AT + HOUR)

    assert again.closed_at == AT == again.stops_at
    with pytest.raises(UnknownLiveOffer):
        close_live_offer(live_offer_id=UUID(int=7), at=AT)


def test_the_response_is_that_of_a_simulation_of_the_campaign(shop: list[UUID]):
    of = a_campaign()
    run = started(campaign_id=of.id)

    assert live(of, response=None, simulation_id=run.id).response["hazard"] == {
        "mean": 0.75, "spread": 0.25,
    }  # fmt: skip
    with pytest.raises(InvalidLiveOffer, match="a simulation of campaign"):
        live(a_campaign(), response=None, simulation_id=run.id)
    with pytest.raises(InvalidLiveOffer, match="stated twice"):
        live(of, simulation_id=run.id)


def test_an_estimate_is_taken_once_it_is_made(shop: list[UUID]):
    of = a_campaign()
    run = started(campaign_id=of.id)
    manifest = {**run.manifest, "response": {"kind": "elasticity"}}
    SimulationRun.objects.filter(id=run.id).update(manifest=manifest)
    with pytest.raises(InvalidLiveOffer, match="has been estimated"):
        live(of, response=None, simulation_id=run.id)
    estimate = {"mean": -0.4, "standard_error": 0.6, "skus": 9, "cells": 99, "lines": 999}

    manifest = {**manifest, "response": {"kind": "elasticity", "estimate": estimate}}
    SimulationRun.objects.filter(id=run.id).update(manifest=manifest)

    found = live(of, response=None, simulation_id=run.id).response
    assert (found["hazard"], found["least"]) == ({"mean": -0.2, "spread": 0.3}, 0.0)


def test_learned_effects_keep_both_spreads_and_how_they_go_together():
    found = effects_of(LEARNED)

    hazards, quantities = found.hazards(), found.quantities()
    assert found.hazard.spread == pytest.approx(0.5)
    assert found.quantity.spread == pytest.approx(0.5)
    assert found.correlation == pytest.approx(-0.5 * 0.3 * 0.4 / 0.25)
    assert hazards.mean() == pytest.approx(1.2)
    assert quantities.mean() == pytest.approx(-0.2)
    assert quantities.std() == pytest.approx(0.5, rel=0.05)
    seen = np.corrcoef(np.repeat(hazards, quantities.shape[1]), quantities.ravel())[0, 1]
    assert seen == pytest.approx(found.correlation, rel=0.05)


def test_one_elasticity_moves_both_effects_together_and_never_below_0():
    found = effects_of({"kind": "assumed", "mean": 0.5, "spread": 1.0})

    assert found.hazards().min() == 0
    assert (found.quantities()[:, 0] == found.hazards()).all()
