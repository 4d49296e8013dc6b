"""The score: by hand where that can be done, and laws that it keeps where it cannot."""

from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.decisions.effects import Effects, effects_of
from campaigns.decisions.look import OpenOffer
from campaigns.decisions.scoring import Score, Scorer, Table
from campaigns.decisions.shelf import Basket, Goods, basket_of, in_stock
from ml.incremental import HORIZON_DAYS, OrderCurve
from tests.ml.rhythm.laws import a_law
from tests.ml.test_incremental import buyer, curve

CURVE: OrderCurve = curve(buyer(a_law(), shape=6.0, scale=120.0))
WHOLE = Basket(share=1.0, cost_inside=0.4, cost_outside=0.4)


def stated(mean: float, spread: float = 0.0) -> Effects:
    return effects_of({"kind": "assumed", "mean": mean, "spread": spread})


def an_offer(**changes) -> OpenOffer:
    facts = {
        "id": UUID(int=1), "campaign_id": UUID(int=2), "name": "Spring", "kind": "discount",
        "depth": Decimal("0.1"), "skus": [], "offer_days": 14, "least_order_value": None,
        "currency": "GBP", "holdout_share": Decimal(0), "response": stated(4.0),
        "margin_rate": Decimal("0.6"), "funded_share": Decimal(0), "contact_cost": Decimal(0),
    }  # fmt: skip
    return OpenOffer(**{**facts, **changes})


def scored(basket: Basket = WHOLE, **changes) -> Score:
    offer = an_offer(**changes)
    return Scorer(CURVE, [(offer, basket)]).score(offer, basket)


def by_hand(elasticity: float, depth: float, basket: Basket, *, funded: float, days: int) -> float:
    """The margin that the offer adds, from the orders alone."""
    answer = (1 - depth) ** (-elasticity / 2)
    multiplier = 1 + basket.share * (answer - 1)
    with_it, without = (CURVE.orders(days, np.array([m])) for m in (multiplier, 1.0))
    goods = basket.share * basket.cost_inside + (1 - basket.share) * basket.cost_outside
    inside = basket.share * answer * (1 - depth - basket.cost_inside + depth * funded)
    outside = (1 - basket.share) * (1 - basket.cost_outside)
    orders = float(with_it.inside[0]) * (inside + outside) + float(with_it.after[0]) * (1 - goods)
    return CURVE.value * (orders - float(without.total[0]) * (1 - goods))


@given(
    elasticity=st.floats(0, 8),
    depth=st.integers(1, 50),
    share=st.floats(0, 1),
    costs=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    funded=st.integers(0, 10),
    contact=st.integers(0, 300),
    days=st.integers(1, HORIZON_DAYS),
)
@settings(max_examples=80, deadline=None)
def test_a_score_is_what_one_works_out_by_hand(
    elasticity, depth, share, costs, funded, contact, days
):
    basket = Basket(share, *costs)
    found = scored(
        basket, depth=Decimal(depth) / 100, response=stated(elasticity), offer_days=days,
        funded_share=Decimal(funded) / 10, contact_cost=Decimal(contact) / 100,
    )  # fmt: skip

    hand = by_hand(elasticity, depth / 100, basket, funded=funded / 10, days=days)
    expected = hand - contact / 100

    assert float(found.mean) == pytest.approx(expected, abs=2e-3)
    assert found.low == pytest.approx(found.mean) == pytest.approx(found.high)


def test_the_score_is_the_mean_over_what_may_be_and_the_interval_its_middle():
    response = stated(4.0, 1.0)
    each = [
        by_hand(2 * elasticity, 0.1, WHOLE, funded=0.0, days=14)
        for elasticity in response.hazards()
    ]

    found = scored(response=response)

    assert float(found.mean) == pytest.approx(np.mean(each), abs=1e-3)
    low, high = np.quantile(each, (0.05, 0.95), method="hazen")
    assert (float(found.low), float(found.high)) == pytest.approx((low, high), abs=1e-3)


def test_a_wider_spread_gives_a_wider_interval():
    narrow, wide = (scored(response=stated(4.0, spread)) for spread in (0.2, 1.0))

    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


def test_more_margin_more_funding_and_a_cheaper_contact_are_worth_more():
    usual = scored()

    assert scored(Basket(1.0, 0.3, 0.3)).mean > usual.mean
    assert scored(funded_share=Decimal("0.5")).mean > usual.mean
    assert scored(contact_cost=Decimal("0.5")).mean == usual.mean - Decimal("0.5")


def test_nobody_answers_so_the_discount_is_given_away():
    found = scored(response=stated(0.0))

    control = CURVE.orders(14, np.ones(1))
    assert float(found.mean) == pytest.approx(
        -0.1 * CURVE.value * float(control.inside[0]), abs=1e-3
    )
    assert found.orders == pytest.approx(found.orders_offered)


def test_several_offers_are_scored_as_each_alone():
    offers = [
        (an_offer(depth=Decimal(depth) / 100, offer_days=days), basket)
        for depth, days, basket in (
            (5, 7, WHOLE), (10, 7, Basket(0.3, 0.2, 0.5)), (40, 7, WHOLE), (20, 30, WHOLE),
        )
    ]  # fmt: skip
    together = Scorer(CURVE, offers)

    for offer, basket in offers:
        alone = Scorer(CURVE, [(offer, basket)]).score(offer, basket)
        assert float(together.score(offer, basket).mean) == pytest.approx(
            float(alone.mean), abs=2e-3
        )


@given(
    least=st.floats(0.5, 1),
    most=st.floats(1, 6),
    places=st.lists(st.floats(0, 1), min_size=1, max_size=9),
    days=st.integers(1, HORIZON_DAYS),
)
@settings(max_examples=60, deadline=None)
def test_between_its_points_a_table_tells_what_the_curve_does(least, most, places, days):
    multipliers = np.exp(np.log(least) + np.log(most / least) * np.array(places))

    found = Table(CURVE, days, least, most).at(multipliers)

    direct = CURVE.orders(days, multipliers)
    assert found.inside == pytest.approx(direct.inside, rel=1e-5)
    assert found.after == pytest.approx(direct.after, rel=1e-5)


items = st.lists(
    st.tuples(st.sampled_from("ABCDEF"), st.floats(0.001, 0.15)),
    unique_by=lambda item: item[0],
    max_size=6,
)


@given(items=items, skus=st.sets(st.sampled_from("ABCXY")), usual=st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_a_basket_is_split_without_loss(items, skus, usual):
    told = [{"sku": sku, "probability": p} for sku, p in items]
    shelf = {"A": Goods(Decimal(10), Decimal(9), None), "B": Goods(Decimal(10), None, 3)}

    found = basket_of(told, skus, shelf, usual)
    whole = basket_of(told, [], shelf, usual)

    named = sum(p for sku, p in items if sku in skus)
    assert found.share == pytest.approx(named if skus else 1.0)
    assert whole.share == 1.0
    assert found.cost == pytest.approx(whole.cost)
    first = sum(p for sku, p in items if sku == "A")
    assert whole.cost == pytest.approx(0.9 * first + usual * (1 - first))


def test_what_is_not_counted_is_taken_to_be_there():
    shelf = {"A": Goods(None, None, 0), "B": Goods(None, None, None), "C": Goods(None, None, 1)}

    assert in_stock(["A", "B", "C", "D"], shelf) == ["B", "C", "D"]
    assert replace(shelf["C"], stock=-1).is_sold_out
