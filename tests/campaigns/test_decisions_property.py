"""Whatever is open, said, counted, stocked and held out: the rules are obeyed, the best is chosen.

What may be done is worked out here once more from the world as it was made, by other means than
those of the code: plain lists, no database.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from campaigns.holdout import arm_of, global_place
from campaigns.models import Campaign, Decision, Exposure, LiveOffer
from campaigns.services import ProductFacts, report_outcome, store_products
from tests.campaigns.decisions import (
    AT,
    DAY,
    HOUR,
    a_campaign,
    agrees,
    decided,
    live,
    unsubscribes,
    withdraws,
)
from tests.ml.histories import ITEMS
from twins.models import Twin

pytestmark = pytest.mark.django_db
CAP_DAYS, HOLD, OFFER_DAYS = 3, DAY, 2
CHANNEL = "web"
CAMPAIGNS = 3
skus = st.lists(st.sampled_from((*ITEMS[:6], "elsewhere")), unique=True, max_size=3)

an_offer = st.fixed_dictionaries(
    {
        "campaign": st.integers(0, CAMPAIGNS - 1),
        "depth": st.sampled_from((0.02, 0.05, 0.05, 0.1, 0.3)),
        "mean": st.sampled_from((0.0, 3.0, 4.0, 6.0, 6.0)),
        "spread": st.sampled_from((0.0, 0.5, 2.0)),
        "holdout": st.sampled_from((0.0, 0.5, 0.9)),
        "skus": st.one_of(st.just([]), skus),
        "least": st.sampled_from((None, None, 30, 5_000)),
        "window": st.sampled_from(("open",) * 7 + ("over", "to come", "closed")),
    }
)
a_campaign_of = st.fixed_dictionaries(
    {
        "margin": st.sampled_from((0.0, 0.6, 0.7, 0.9, 0.9)),
        "funded": st.sampled_from((0.0, 0.5)),
        "contact": st.sampled_from((0, 0, 1, 5)),
    }
)
a_statement = st.tuples(
    st.sampled_from(("agrees", "agrees", "withdraws", "no profiling", "profiling", "unsubscribes")),
    st.integers(1, 4),  # days ago
)
a_contact = st.tuples(
    st.integers(0, CAMPAIGNS - 1),
    st.sampled_from(("treatment", "treatment", "control")),
    st.integers(1, 24 * (CAP_DAYS + 1)),  # hours ago
    st.sampled_from(("shown", "not_shown", "")),
)
worlds = st.fixed_dictionaries(
    {
        "customer": st.integers(0, 11),
        "campaigns": st.lists(a_campaign_of, min_size=CAMPAIGNS, max_size=CAMPAIGNS),
        "offers": st.lists(an_offer, min_size=1, max_size=5),
        "said": st.one_of(
            st.just([("agrees", 4)]),
            st.lists(a_statement, max_size=4),
            st.lists(a_statement, max_size=3).map(lambda said: [*said, ("agrees", 0)]),
        ),
        "contacts": st.lists(a_contact, max_size=2),
        "stock": st.dictionaries(st.sampled_from(ITEMS[:6]), st.sampled_from((0, 0, 3, None))),
        "cap": st.sampled_from((0, 1, 2, 2)),
        "global": st.sampled_from((0.0, 0.0, 0.0, 0.3)),
        "channel": st.sampled_from(("", CHANNEL)),
        "basket": st.sampled_from((None, None, None, 10, 10_000)),
        "basis": st.sampled_from(("consent", "consent", "legitimate_interest")),
    }
)


@dataclass
class World:
    """The world as it was made; what each offer is can be told from here."""

    wish: dict
    who: UUID
    campaigns: list[Campaign]
    offers: dict[str, tuple[dict, LiveOffer]] = field(default_factory=dict)

    def forbids(self) -> bool:
        """Whether no offer at all may be made."""
        marketing, profiling, gone = None, None, False
        for said, _ in sorted(self.wish["said"], key=lambda one: -one[1]):  # the oldest first
            if said == "agrees":
                marketing, gone = True, False
            elif said == "withdraws":
                marketing = False
            elif said in ("profiling", "no profiling"):
                profiling = said == "profiling"
            else:
                gone = True
        silent = marketing is None and self.wish["basis"] == "consent"
        cap = self.wish["cap"]
        return (
            silent
            or marketing is False
            or profiling is False
            or (gone and self.wish["channel"] == CHANNEL)
            or global_place(self.who) < self.wish["global"]
            or (cap > 0 and self.contacts() >= cap)
        )

    def contacts(self) -> int:
        return sum(
            arm == "treatment"
            and (
                (outcome == "shown" and hours * HOUR < CAP_DAYS * DAY)
                or (outcome == "" and hours * HOUR < HOLD)
            )
            for _, arm, hours, outcome in self.wish["contacts"]
        )

    def may_be_made(self, wished: dict, value: Decimal) -> bool:
        """Whether the offer may be made, whatever it is worth; ``value`` is that of an order."""
        has_it = any(
            campaign == wished["campaign"]
            and outcome == "shown"
            and hours * HOUR < OFFER_DAYS * DAY
            for campaign, _, hours, outcome in self.wish["contacts"]
        )
        there = [sku for sku in wished["skus"] if self.wish["stock"].get(sku) != 0]
        too_small = wished["least"] is not None and value < wished["least"]
        return not has_it and not (wished["skus"] and not there) and not too_small


@contextmanager
def made(wish: dict, shop: list[UUID], config) -> Iterator[World]:
    """The world, for as long as the block lasts."""
    config.DTOC_CONTACT_CAP, config.DTOC_CONTACT_CAP_DAYS = wish["cap"], CAP_DAYS
    config.DTOC_GLOBAL_HOLDOUT_SHARE = wish["global"]
    config.DTOC_MARKETING_BASIS = wish["basis"]
    with transaction.atomic():
        who = shop[wish["customer"]]
        campaigns = [
            a_campaign(
                f"C{n}",
                offer_days=OFFER_DAYS,
                margin_rate=Decimal(str(one["margin"])),
                funded_share=Decimal(str(one["funded"])),
                contact_cost=Decimal(one["contact"]),
            )
            for n, one in enumerate(wish["campaigns"])
        ]
        world = World(wish, who, campaigns)
        _contact(world)
        for wished in wish["offers"]:
            offer = _opened(campaigns[wished["campaign"]], wished)
            if wished["window"] == "open":
                world.offers[str(offer.id)] = (wished, offer)
        for what, days in wish["said"]:
            _say(who, what, AT - days * DAY)
        stock = [ProductFacts(sku=sku, stock=left) for sku, left in wish["stock"].items()]
        store_products(facts=stock, at=AT)
        yield world
        transaction.set_rollback(True)


def _opened(campaign: Campaign, wished: dict) -> LiveOffer:
    windows = {
        "over": (AT - 3 * DAY, AT), "to come": (AT + timedelta(milliseconds=1), AT + DAY),
        "open": (AT, AT + DAY), "closed": (AT - DAY, AT + DAY),
    }  # fmt: skip
    starts_at, ends_at = windows[wished["window"]]
    offer = live(
        campaign,
        depth=Decimal(str(wished["depth"])),
        response={"mean": wished["mean"], "spread": wished["spread"]},
        holdout_share=Decimal(str(wished["holdout"])),
        skus=wished["skus"],
        least_order_value=None if wished["least"] is None else Decimal(wished["least"]),
        starts_at=starts_at,
        ends_at=ends_at,
        at=AT - 4 * DAY,
    )
    if wished["window"] == "closed":
        LiveOffer.objects.filter(id=offer.id).update(closed_at=AT - HOUR)
    return offer


def _contact(world: World) -> None:
    """Decisions of before, as if they had been made."""
    for campaign, arm, hours, outcome in world.wish["contacts"]:
        at = AT - hours * HOUR
        offer = live(world.campaigns[campaign], starts_at=AT - 9 * DAY, ends_at=AT)
        before = Decision.objects.create(
            pseudonym=world.who, decided_at=at, asked_by="a test", reason="chosen", words="",
            live_offer=offer, arm=arm, show_until=at + HOLD, candidates=[], rules={},
        )  # fmt: skip
        if outcome:
            report_outcome(decision_id=before.id, outcome=outcome, at=AT, shown_at=at)


def _say(who: UUID, what: str, at) -> None:
    if what == "agrees":
        agrees(who, at=at)
    elif what == "withdraws":
        withdraws(who, at=at)
    elif what == "unsubscribes":
        unsubscribes(who, CHANNEL, at)
    else:
        (agrees if what == "profiling" else withdraws)(who, purpose="profiling", at=at)


def asked(world: World) -> Decision:
    basket = world.wish["basket"]
    value = None if basket is None else Decimal(basket)
    return decided(world.who, channel=world.wish["channel"], basket_value=value)


def margin(candidate: dict) -> Decimal:
    return Decimal(candidate["expected_margin"]["mean"])


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wish=worlds)
def test_the_rules_are_obeyed_and_the_best_of_what_is_left_is_chosen(wish, shop, settings):
    with made(wish, shop, settings) as world:
        decision = asked(world)

        assert {one["live_offer_id"] for one in decision.candidates} == world.offers.keys()
        if world.forbids() or not world.offers:
            event("forbidden")
            assert (decision.arm, decision.exposure_id, decision.twin) == ("", None, None)
            return
        expected = Decimal(decision.twin["order_value"])
        value = expected if wish["basket"] is None else Decimal(wish["basket"])
        allowed = [
            one
            for one in decision.candidates
            if world.may_be_made(world.offers[one["live_offer_id"]][0], value)
        ]
        gains = [margin(one) for one in allowed if margin(one) > 0]
        if not gains:
            event("nothing is worth it")
            assert (decision.arm, decision.live_offer_id) == ("", None)
            return
        event("an offer")
        best = next(one for one in allowed if one["live_offer_id"] == str(decision.live_offer_id))
        assert margin(best) == max(gains) > 0
        wished, offer = world.offers[best["live_offer_id"]]
        assert decision.arm == arm_of(offer.campaign_id, world.who, wished["holdout"])
        assert (
            best["reason"]["code"] == {"treatment": "chosen", "control": "held_out"}[decision.arm]
        )
        assert [wish["stock"].get(sku) for sku in best["skus"]].count(0) == 0
        assert set(best["skus"]) <= set(wished["skus"])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wish=worlds)
def test_the_same_request_under_the_same_key_is_answered_alike(
    wish, shop, settings, api, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("campaigns.api.decisions.now", lambda: AT)
    with made(wish, shop, settings) as world:
        client = api("decisions:make")
        body, key = {"pseudonym": str(world.who)}, {"Idempotency-Key": str(uuid4())}
        if wish["channel"]:
            body["channel"] = wish["channel"]

        first, again = (client.post("/api/v1/decisions/", body, headers=key) for _ in range(2))

        assert first.status_code == again.status_code == 201
        assert again.json() == first.json()
        assert again["Idempotency-Replayed"] == "true"
        assert Decision.objects.count() == len(wish["contacts"]) + 1


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wish=worlds, many=st.integers(1, 4))
def test_however_often_one_asks_no_more_is_shown_than_the_cap_allows(wish, many, shop, settings):
    with made(wish, shop, settings) as world:
        for number in range(many):
            decision = asked(world)
            if decision.arm and number % 2:
                report_outcome(decision_id=decision.id, outcome="shown", at=AT)

        waiting = Decision.objects.filter(arm="treatment", outcome="", show_until__gt=AT)
        since = AT - CAP_DAYS * DAY
        shown = Exposure.objects.filter(arm="treatment", assigned_at__gt=since)
        if wish["cap"]:
            most = max(wish["cap"], world.contacts())
            assert waiting.count() + shown.count() <= most


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wish=worlds, order=st.randoms(use_true_random=False))
def test_the_verdict_does_not_depend_on_the_order_in_which_offers_were_opened(
    wish, order, shop, settings
):
    shuffled = list(wish["offers"])
    order.shuffle(shuffled)

    def told(offers: list[dict]) -> tuple:
        with made({**wish, "offers": offers}, shop, settings) as world:
            decision = asked(world)
            best = world.offers.get(str(decision.live_offer_id), ({}, None))[0]
            depths = sorted(
                (one["depth"], (one["expected_margin"] or {}).get("mean"))
                for one in decision.candidates
            )
            return best.get("depth"), bool(decision.live_offer_id), depths

    assert told(wish["offers"]) == told(shuffled)


def test_the_shop_of_these_worlds_has_twins_that_buy(shop: list[UUID]):
    assert Twin.objects.filter(pseudonym__in=shop).count() == 12
