"""What an offer adds in expectation: the same as rollouts find, and laws that it has to keep."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml import response
from ml.incremental import (
    HAZARD_SHARE,
    HORIZON_DAYS,
    OrderCurve,
    hazard_multiplier,
    normal_quantiles,
    quantity_multiplier,
)
from ml.response import AssumedResponse
from ml.rhythm.counts import CountLaw
from ml.rhythm.law import Law
from ml.rhythm.statistics import COLUMNS
from ml.rollout import RolloutPlan, Scenario, rollout
from ml.timing import DAY_MS, Buying, TimeToOrder
from tests.ml.histories import habits, small_model
from tests.ml.rhythm.laws import a_law

TODAY = 15_000
NOW_MS = TODAY * DAY_MS + 9 * 3_600_000
OFFER_DAYS = 14


def forecast(time: TimeToOrder, **purchases) -> dict:
    """A forecast as it is stored, as far as it is read here; ``purchases`` change what was."""
    known = dict.fromkeys(COLUMNS, 0)
    if time.bought:
        known |= {
            "purchase_days": 3, "first_day": time.last_day - 90, "last_day": time.last_day,
            "gap_days": time.gap_days, "spend_cents": 9_000, "last_day_cents": 2_500, "recent_0": 1,
        }  # fmt: skip
    buying = Buying(counts=CountLaw.plain(), purchases={**known, **purchases})
    return {"time_to_order": time.as_dict(), "buying": buying.as_dict()}


def buyer(law: Law, **changes) -> TimeToOrder:
    """Somebody who bought ten days ago, about every month."""
    facts = {
        "law": law, "shape": 2.7, "scale": 100.0, "level": 0.0, "last_day": TODAY - 10,
        "last_day_share": 0.4, "gap_days": 25, "gap_before_days": 0, "bought": True,
    }  # fmt: skip
    return TimeToOrder(**{**facts, **changes})


def curve(time: TimeToOrder, **purchases) -> OrderCurve:
    return OrderCurve(forecast(time, **purchases), clock_ms=0, as_of_ms=NOW_MS)


def memoryless(**changes) -> TimeToOrder:
    """Nothing but the own rate decides: no learned factor, no second order on a day."""
    law = replace(Law.plain(), same_day=1e-12)
    return buyer(law, **{"shape": 1.7, "scale": 300.0, **changes})


@st.composite
def buyers(draw: st.DrawFn) -> TimeToOrder:
    bought = draw(st.booleans())
    gap = draw(st.integers(1, 120)) if bought and draw(st.booleans()) else 0
    return buyer(
        a_law(draw(st.integers(0, 5))),
        shape=draw(st.floats(0.5, 20)), scale=draw(st.floats(20, 400)),
        level=draw(st.floats(-1, 1)) if bought else 0.0,
        last_day=TODAY - draw(st.integers(0, 200)) if bought or draw(st.booleans()) else None,
        gap_days=gap, gap_before_days=draw(st.integers(1, 90)) if gap else 0, bought=bought,
    )  # fmt: skip


@pytest.fixture(scope="module")
def twins():
    """Five twins of a model whose law has learned a lot, and no luck of the whole shop."""
    model = small_model()
    counts = CountLaw(weights=(), horizon_days=90, orders_per_day=1.08, p=6.0, q=8.0, v=60.0)
    model.rhythm = replace(model.rhythm, law=a_law(), counts=counts)
    events, countries = habits(customers=5, orders=4)
    states = model.advance(model.initial_state(countries), events)
    start = int(states.clock_ms.max()) + 3 * DAY_MS
    return model, states, countries, start


def rolled_out(twins, *, days: int, depth: float, elasticity: float, replicates: int):
    model, states, countries, start = twins
    plan = RolloutPlan(
        scenarios=(Scenario(depth, 0),), horizon_days=days, offer_days=OFFER_DAYS,
        replicates=replicates, seed=5, start_ms=start,
    )  # fmt: skip
    stated = AssumedResponse(mean=elasticity, spread=0.0)
    return rollout(model, states, np.arange(len(states)) * 7_919, countries, plan, stated)


def curves(twins) -> list[OrderCurve]:
    model, states, _, start = twins
    found = zip(model.forecast(states), states.clock_ms.tolist(), strict=True)
    return [OrderCurve(f.as_dict(), clock_ms=clock, as_of_ms=start) for f, clock in found]


def near(values: np.ndarray, expected: float, *, part: float) -> None:
    """The mean of replicates is the expectation, but for their luck and a small part of it."""
    luck = 4 * values.std() / len(values) ** 0.5
    assert abs(values.mean() - expected) < luck + part * expected


def test_untreated_orders_are_those_of_rollouts(twins):
    found = rolled_out(twins, days=HORIZON_DAYS, depth=0.0, elasticity=0.0, replicates=250)

    expected = [one.orders(OFFER_DAYS, np.ones(1)) for one in curves(twins)]

    near(found.orders[0], sum(float(one.total[0]) for one in expected), part=0.02)


def test_orders_and_revenue_under_the_offer_are_those_of_rollouts(twins):
    depth, elasticity, share = 0.3, 2.0, 0.5
    found = rolled_out(twins, days=OFFER_DAYS, depth=depth, elasticity=elasticity, replicates=1_500)
    effect = np.array([share * elasticity])
    multiplier = hazard_multiplier(effect, depth)

    expected = [(one, one.orders(OFFER_DAYS, multiplier).inside[0]) for one in curves(twins)]

    near(found.orders[1], sum(float(orders) for _, orders in expected), part=0.02)
    paid = (1 - depth) * float(quantity_multiplier(effect, depth)[0])
    revenue = sum(float(orders) * one.value * paid for one, orders in expected)
    near(found.revenue_cents[1] / 100, revenue, part=0.04)


@pytest.mark.parametrize("days", [1, 14, 60, HORIZON_DAYS])
def test_a_rate_alone_gives_so_many_orders_a_day(days: int):
    time = memoryless()
    known = time.scale + float(time.law.time(np, TODAY - 1) - time.law.time(np, time.last_day))
    rate = time.shape / known
    multipliers = np.array([1.0, 1.2, 1.5])

    found = curve(time).orders(days, multipliers)

    usual = rate * (HORIZON_DAYS - days + multipliers * days)
    assert found.total == pytest.approx(usual, rel=0.03)
    assert found.inside == pytest.approx(rate * days * multipliers, rel=0.03)


def test_nobody_is_taken_for_a_frequent_buyer_because_of_an_offer():
    found = curve(memoryless(shape=4.7, scale=100.0)).orders(30, np.array([1.0, 2.0]))

    assert found.inside[1] > 1.9 * found.inside[0]
    assert found.after[1] < 1.02 * found.after[0]


@given(time=buyers(), days=st.integers(1, HORIZON_DAYS))
@settings(max_examples=60, deadline=None)
def test_no_offer_adds_nothing_however_long_it_is_open(time: TimeToOrder, days: int):
    one = curve(time)

    assert one.orders(days, np.ones(1)).total == pytest.approx(one.orders(1, np.ones(1)).total)
    assert np.isfinite(one.orders(days, np.array([2.5])).total).all()


@given(time=buyers(), days=st.integers(1, HORIZON_DAYS))
@settings(max_examples=60, deadline=None)
def test_a_stronger_offer_brings_more_orders_while_it_is_open(time: TimeToOrder, days: int):
    inside = curve(time).orders(days, np.array([0.8, 1.0, 1.1, 2.0])).inside

    assert (np.diff(inside) > 0).all()


@given(time=buyers())
@settings(max_examples=60, deadline=None)
def test_the_probability_is_the_one_that_the_twin_tells(time: TimeToOrder):
    told = time.probability_within(HORIZON_DAYS, NOW_MS)

    assert curve(time).probability_within(HORIZON_DAYS) == pytest.approx(told, rel=1e-6)


@given(
    elasticity=st.floats(0, 8),
    depth=st.floats(0, 0.9),
)
@settings(max_examples=100, deadline=None)
def test_the_effect_is_that_of_the_response_models(elasticity: float, depth: float):
    one = np.array([elasticity])

    assert HAZARD_SHARE == response.HAZARD_SHARE
    hazard = hazard_multiplier(HAZARD_SHARE * one, depth)
    quantity = quantity_multiplier((1 - HAZARD_SHARE) * one, depth)
    assert hazard == pytest.approx(response.hazard_multiplier(one, depth))
    assert quantity == pytest.approx(response.quantity_multiplier(one, depth))
    assert hazard_multiplier(one, 0.0) == 1.0 == quantity_multiplier(one, 0.0)


def test_an_offer_for_a_part_of_the_order_has_that_part_of_the_effect():
    elasticities = np.array([0.5, 2.0])

    whole, half = (hazard_multiplier(elasticities, 0.2, share) for share in (1.0, 0.5))

    assert half - 1 == pytest.approx((whole - 1) / 2)
    assert (hazard_multiplier(elasticities, 0.2, 0.0) == 1).all()


def test_quantiles_are_evenly_likely():
    drawn = normal_quantiles(40)

    assert drawn.mean() == pytest.approx(0, abs=1e-12)
    assert drawn.std() == pytest.approx(1)
    assert (np.diff(drawn) > 0).all()
