"""The learned response: known effects come back, as surely as it says, and nothing else does."""

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.events import EventKind, EventTable
from ml.response import NoOffersToLearnFrom, learn_response
from ml.response.pooling import USUAL_SPREAD
from ml.rhythm.model import Rhythm
from ml.shop import ShopConfig
from ml.shop.coverage_history import history_of
from tests.ml.launches import BEGIN_MS, DAY, OPEN_DAYS, Planted, as_events, merged, trial

PLAIN = Rhythm.plain()


def learned(planted: Planted, seed: int = 1, rhythm: Rhythm = PLAIN):
    return learn_response(*planted.made(seed), rhythm)


@pytest.mark.parametrize(("hazard", "quantity"), [(1.2, 0.0), (0.0, 1.2), (0.9, 0.9), (-0.8, 0.4)])
def test_how_often_and_how_much_are_told_apart(hazard, quantity):
    estimate = learned(Planted(hazard=hazard, quantity=quantity, customers=4_000))

    for found, true in ((estimate.hazard, hazard), (estimate.quantity, quantity)):
        assert found.standard_error < 0.25
        assert found.mean == pytest.approx(true, abs=3 * found.standard_error)
    assert estimate.mean == pytest.approx(estimate.hazard.mean + estimate.quantity.mean)


CASES = {
    "arms by lot in every launch": Planted(),
    "the same arms in every launch": Planted(same_arms=True),
    "one in ten held out": Planted(treated_share=0.9, customers=600),
    "a single launch": Planted(launches=1, customers=1_200),
}


@pytest.mark.parametrize("planted", CASES.values(), ids=CASES)
def test_intervals_hold_the_truth_about_as_often_as_they_say(planted):
    estimates = [learned(planted, seed) for seed in range(80)]

    for name, true in (("hazard", planted.hazard), ("quantity", planted.quantity)):
        bounds = [getattr(estimate, name).interval() for estimate in estimates]
        held = sum(low < true < high for low, high in bounds)
        assert 64 <= held <= 80  # 72 of 80 expected; 64 is three deviations lower
        errors = [getattr(estimate, name).mean - true for estimate in estimates]
        assert abs(np.mean(errors)) < 4 * np.std(errors) / len(errors) ** 0.5


def test_how_launches_differ_is_carried_on_to_the_next_one():
    planted = Planted(spread=0.5, launches=16, customers=1_000)
    effects = [learned(planted, seed).hazard for seed in range(16)]
    nexts = NormalDist(planted.hazard, planted.spread)

    def held(name: str) -> float:
        """Return how often the next launch lies within 1.6449 of these deviations."""
        reach = [(e.mean, 1.6449 * getattr(e, name)) for e in effects]
        return np.mean([nexts.cdf(mean + by) - nexts.cdf(mean - by) for mean, by in reach])

    # Nine in ten, less what the belief takes from a spread five times as large as is believed.
    assert 0.7 < held("spread") < 0.95
    assert held("standard_error") < 0.4


def test_how_much_launches_differ_is_believed_until_they_show_it():
    many = {"launches": 12, "customers": 1_500}
    one = learned(Planted(launches=1, customers=1_500)).hazard.between
    alike = learned(Planted(**many)).hazard.between
    different = learned(Planted(spread=1.2, **many)).hazard.between

    assert USUAL_SPREAD < one < 2 * USUAL_SPREAD
    assert alike < 2 * USUAL_SPREAD
    assert different == pytest.approx(1.2, abs=0.6)


def test_what_was_expected_of_each_customer_narrows_the_estimate():
    events, trials = Planted(customers=800, launches=4, orders_per_day=0.2).made(3)

    fitted = Rhythm.fit(events, cut_off_ms=trials[0].opens_ms)
    knowing = learn_response(events, trials, fitted)
    ignorant = learn_response(_without_history(events, trials), trials, PLAIN)

    assert knowing.hazard.standard_error < 0.9 * ignorant.hazard.standard_error
    assert knowing.quantity.standard_error < 0.9 * ignorant.quantity.standard_error


def _without_history(events: EventTable, trials) -> EventTable:
    at = events.occurred_at_ms
    inside = [(at >= trial.opens_ms) & (at < trial.closes_ms) for trial in trials]
    return events.rows(np.any(inside, axis=0))


def test_offers_that_did_nothing_are_not_said_to_do_something():
    estimates = [learned(Planted(hazard=0.0, quantity=0.0), seed) for seed in range(40)]

    means = np.array([[e.hazard.mean, e.quantity.mean] for e in estimates])
    assert (np.abs(means.mean(axis=0)) < 4 * means.std(axis=0) / 40**0.5).all()


def test_who_comes_again_in_the_same_arm_counts_as_one_person():
    """Customers unlike what is expected of them: errors of many launches do not average out."""
    planted = Planted(launches=8, customers=300)
    found = []
    for same in (False, True):
        made = [replace(planted, same_arms=same).made(seed) for seed in range(9)]
        learned_ = [learn_response(_without_history(*one), one[1], PLAIN) for one in made]
        found.append(np.mean([estimate.hazard.standard_error for estimate in learned_]))
    by_lot, alike = found

    assert alike > 1.2 * by_lot


@settings(deadline=None, max_examples=20)
@given(factor=st.sampled_from([0.01, 7.0, 1_000.0]), seed=st.integers(0, 5))
def test_the_currency_does_not_matter(factor, seed):
    events, trials = Planted(customers=150).made(seed)
    other = replace(events, unit_price=events.unit_price * factor)

    one, scaled = (_blind(table, trials) for table in (events, other))

    assert scaled.hazard == one.hazard
    assert scaled.quantity.mean == pytest.approx(one.quantity.mean, rel=1e-6, abs=1e-9)
    assert scaled.quantity.standard_error == pytest.approx(one.quantity.standard_error, rel=1e-6)


def _blind(events: EventTable, trials):
    """Learn with an expectation that is the same for everybody, whatever was spent before."""
    return learn_response(_without_history(events, trials[:1]), trials[:1], PLAIN)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 3), order=st.permutations(range(6)))
def test_the_order_of_launches_and_customers_does_not_matter(seed, order):
    events, trials = Planted(customers=150).made(seed)
    turned = [_turned(trials[n]) for n in order]

    one, other = (learn_response(events, given_, PLAIN) for given_ in (trials, turned))

    assert sorted(other.launches) == sorted(one.launches)
    for name in ("hazard", "quantity"):
        found, again = getattr(one, name), getattr(other, name)
        assert again.mean == pytest.approx(found.mean, abs=1e-7)
        assert again.standard_error == pytest.approx(found.standard_error, rel=1e-6)


def _turned(launch):
    return replace(launch, customer=launch.customer[::-1], treated=launch.treated[::-1])


def test_only_orders_placed_while_the_offer_was_open_are_outcomes():
    events, trials = Planted(customers=300, launches=2).made(1)
    close = trials[-1].closes_ms
    later = np.array([[0, close + n, 50.0] for n in range(400)])
    returned = np.array([[0, trials[0].opens_ms + n, 50.0] for n in range(400)])

    more = merged(events, as_events(later))
    back = merged(events, as_events(returned, EventKind.RETURNED))

    assert learn_response(more, trials, PLAIN) == learn_response(events, trials, PLAIN)
    assert learn_response(back, trials, PLAIN) == learn_response(events, trials, PLAIN)


def test_lines_of_one_order_are_one_order():
    events, trials = Planted(customers=300, launches=2).made(1)
    twice = np.repeat(np.arange(len(events)), 2)
    lines = replace(events.rows(twice), unit_price=events.unit_price[twice] / 2)

    whole, split = (learn_response(table, trials, PLAIN) for table in (events, lines))

    assert (split.treated_orders, split.hazard) == (whole.treated_orders, whole.hazard)
    assert split.quantity.mean == pytest.approx(whole.quantity.mean, abs=1e-3)  # whole cents


def test_customers_who_have_never_bought_count_as_having_bought_nothing():
    events, trials = Planted(hazard=0.0, customers=400, launches=1).made(2)
    quiet = np.full(400, True)  # treated, without a single order
    joined = np.concatenate([trials[0].treated, quiet])

    estimate = learn_response(events, [trial("launch", 0.2, 60, joined)], PLAIN)

    assert estimate.customers == 800
    assert estimate.hazard.mean < learn_response(events, trials, PLAIN).hazard.mean - 1


def arms(treated: int, control: int) -> np.ndarray:
    return np.repeat([True, False], [treated, control])


def orders(customers: range, each: int) -> np.ndarray:
    rows = [
        (c, BEGIN_MS + 61 * DAY + n * DAY // 4, 20.0 + n) for c in customers for n in range(each)
    ]
    return np.array(rows).reshape(-1, 3)


@pytest.mark.parametrize(
    ("trials", "launches", "treated", "control"),
    [
        ([], 0, 0, 0),
        ([trial("all were treated", 0.2, 60, arms(20, 0))], 0, 0, 0),
        ([trial("nobody was treated", 0.2, 60, arms(0, 20))], 0, 0, 0),
        ([trial("a reminder", 0.0, 60, arms(10, 10))], 0, 0, 0),
        ([trial("few orders of the control", 0.2, 60, arms(15, 5))], 1, 60, 16),
        ([trial("before anybody bought", 0.2, 30, arms(10, 10))], 1, 0, 0),
    ],
    ids=lambda value: value[0].name if isinstance(value, list) and value else "",
)
def test_without_orders_in_both_arms_nothing_is_learned(trials, launches, treated, control):
    events = as_events(np.concatenate([orders(range(15), 4), orders(range(15, 19), 4)]))

    with pytest.raises(NoOffersToLearnFrom) as refused:
        learn_response(events, trials, PLAIN)

    facts = refused.value.fields
    assert (facts["launches"], facts["treated"], facts["control"]) == (launches, treated, control)
    assert "launch a campaign with a hold-out" in str(refused.value)


def test_the_fewest_orders_that_can_be_learned_from_give_a_finite_answer():
    events = as_events(orders(range(10), 4))

    estimate = learn_response(events, [trial("few", 0.2, 60, arms(5, 5))], PLAIN)

    assert (estimate.treated_orders, estimate.control_orders) == (20, 20)
    figures = [estimate.mean, estimate.spread, estimate.hazard.mean, estimate.quantity.mean]
    assert np.isfinite(figures).all()
    assert estimate.hazard.mean == pytest.approx(0, abs=1e-6)


def test_a_launch_in_which_one_arm_bought_nothing_does_not_upset_the_others():
    events, trials = Planted(customers=500, launches=3).made(4)
    silent = trial("nobody of the control bought", 0.2, 60, arms(40, 6))
    who = np.unique(events.customer[_in(events, silent)])
    control = np.setdiff1d(np.arange(500), who)[:6]
    silent = replace(
        silent, customer=np.concatenate([np.setdiff1d(np.arange(46), control), control])[-46:]
    )

    estimate = learn_response(events, [*trials, silent], PLAIN)

    assert np.isfinite([estimate.mean, estimate.spread]).all()
    assert estimate.mean == pytest.approx(learn_response(events, trials, PLAIN).mean, abs=0.5)


def _in(events: EventTable, launch) -> np.ndarray:
    at = events.occurred_at_ms
    return (at >= launch.opens_ms) & (at < launch.closes_ms)


def test_customers_who_answer_twice_over_make_both_errors_move_together():
    planted = Planted(launches=3, customers=150, orders_per_day=0.3)
    unlike, alike = (
        np.mean([learned(replace(planted, unlike=by), seed).correlation for seed in range(30)])
        for by in (3.0, 0.0)
    )

    assert abs(alike) < 0.1
    assert unlike > 0.2


def test_a_dose_is_what_an_elasticity_multiplies():
    for depth in (0.1, 0.5, 0.9):
        one = trial("one", depth, 60, arms(1, 1))
        assert np.exp(1.7 * one.dose) == pytest.approx((1 - depth) ** -1.7)


def test_a_further_launch_changes_what_is_learned():
    events, trials = Planted(launches=5).made(6)

    before, after = (learn_response(events, trials[:count], PLAIN) for count in (4, 5))

    assert after.launches == (*before.launches, "launch-4")
    assert after.hazard.standard_error < before.hazard.standard_error
    assert after.mean != before.mean


SHOP = ShopConfig(
    customers=1_000, days=186, seed=3, items=24, wave_share=1.0, wave_every_days=28,
    lines_per_order=2.0,
)  # fmt: skip


def test_the_synthetic_shop_is_recovered_by_channel():
    history = history_of(SHOP)
    assert len(history.trials) == 6
    assert history.trials[0].closes_ms - history.trials[0].opens_ms == OPEN_DAYS * DAY

    estimate = learn_response(
        history.events, history.trials, Rhythm.fit(history.events, cut_off_ms=history.end_ms)
    )

    for found in (estimate.hazard, estimate.quantity):
        assert found.standard_error < 0.5
        assert found.mean == pytest.approx(0.9, abs=3 * found.standard_error)
