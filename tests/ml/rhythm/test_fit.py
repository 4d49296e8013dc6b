"""What is learned: from the past alone, and better than the base where there are habits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from ml.events import EventTable
from ml.predict import rhythms
from ml.rhythm.counts import CountLaw
from ml.rhythm.days import PurchaseDays
from ml.rhythm.drift import Drift, fit_drift
from ml.rhythm.fit import Ended, PersonDays, poisson
from ml.rhythm.law import Law, Own
from ml.rhythm.likelihood import Waiting, overall_rate, own_of, without_factor
from ml.rhythm.model import Rhythm
from ml.rhythm.regression import recency, recency_of
from ml.rhythm.sizes import SizeLaw, fit_sizes
from ml.rhythm.statistics import Purchases
from tests.ml.histories import Line, histories, small_model, table
from tests.ml.rhythm.laws import MONDAY, a_law
from tests.ml.rhythm.shops import DAY, events_of, random_shop, steady_shop

CUT, HOUR = MONDAY + 210, 3_600_000
STEADY = steady_shop(150, 300, seed=0)
LEARNED = Rhythm.fit(STEADY, cut_off_ms=CUT * DAY)


def ahead(events: EventTable) -> Waiting:
    return Waiting.inside(PurchaseDays.of_events(events), CUT, CUT + 60)


def test_habits_that_a_rate_cannot_know_are_learned():
    waiting = ahead(STEADY)
    learned, base = (
        waiting.log_likelihood(law).mean() for law in (LEARNED.law, without_factor(LEARNED.law))
    )
    assert learned > base + 0.3
    days = PurchaseDays.of_events(STEADY)
    assert base > waiting.log_likelihood_of_rate(overall_rate(days, CUT)).mean() - 0.1


def test_where_there_are_no_habits_the_factor_costs_little():
    events = random_shop(800, 300, seed=2)
    law = Rhythm.fit(events, cut_off_ms=CUT * DAY).law
    assert law.shape == pytest.approx(0.8, rel=0.3)
    assert law.scale == pytest.approx(40, rel=0.4)
    learned, base = (
        ahead(events).log_likelihood(each).mean() for each in (law, without_factor(law))
    )
    assert learned > base - 0.02


def test_what_comes_after_the_cut_off_teaches_nothing():
    past = STEADY.rows(STEADY.occurred_at_ms < CUT * DAY)
    assert Rhythm.fit(past, cut_off_ms=CUT * DAY) == LEARNED


def test_a_day_that_is_not_over_teaches_nothing():
    assert Rhythm.fit(STEADY, cut_off_ms=CUT * DAY + DAY // 2) == LEARNED


def test_a_rhythm_survives_json():
    assert Rhythm.of(LEARNED.as_dict()) == LEARNED


@pytest.mark.parametrize("events", [EventTable.empty(), events_of([(0, 3.0, 1, 5.0)])])
def test_from_next_to_nothing_the_plain_law_is_learned(events):
    found = Rhythm.fit(events, cut_off_ms=(MONDAY + 20) * DAY)
    assert found.law == Law.plain()
    assert found.drift == Drift.none()
    assert found.sizes == SizeLaw.plain()


def test_the_regression_finds_the_weights_that_made_the_data():
    luck = np.random.default_rng(1)
    x = luck.normal(size=(200_000, 3))
    exposure = luck.uniform(0.001, 0.03, len(x))
    hazard = exposure * np.exp(0.3 + x @ np.array([0.5, -0.4, 0.0]))
    ended = luck.random(len(x)) < -np.expm1(-hazard)
    found = poisson(x, exposure, ended, np.ones(len(x)), ridge=1.0)
    assert found == pytest.approx([0.3, 0.5, -0.4, 0.0], abs=0.08)


def test_person_days_are_one_row_per_day_of_waiting():
    days = PurchaseDays.of_events(events_of([(0, 0.2, 1, 1.0), (0, 3.1, 2, 1.0), (1, 2.0, 3, 1.0)]))
    found = PersonDays.of(days, MONDAY + 5, most=100, seed=0)
    assert found.row.tolist() == [0, 0, 0, 1, 1, 2, 2, 2]
    assert found.waited.tolist() == [1, 2, 3, 1, 2, 1, 2, 3]
    assert found.ended.tolist() == [False, False, True, *[False] * 5]
    some = PersonDays.of(days, MONDAY + 5, most=4, seed=0)
    assert len(some.row) < 8


@settings(max_examples=40)
@given(histories)
def test_what_is_learned_from_is_what_twins_remember(made):
    """Every purchase day with what was known at its end equals the fold up to there."""
    events = table(made)
    days = PurchaseDays.of_events(events)
    ended = Ended.of(days)
    day = events.occurred_at_ms // DAY
    for row in range(len(days.day)):
        seen = events.rows(day <= days.day[row])
        known = Purchases.none(len(made)).folded(seen).rows(days.customer[[row]])
        assert known.purchase_days[0] == ended.gaps[row] + 1
        assert (known.first_day[0], known.last_day[0]) == (ended.first[row], ended.start[row])
        assert (known.gap_days[0], known.gap_before_days[0]) == (
            ended.gap[row], ended.gap_before[row],
        )  # fmt: skip
        assert known.spend_cents[0] == pytest.approx(
            100 * ended.mean_spend[row] * known.purchase_days[0], abs=0.01
        )
        assert known.last_day_cents[0] == pytest.approx(100 * ended.last_spend[row], abs=0.01)


@settings(max_examples=40)
@given(histories)
def test_recency_is_the_same_from_days_and_from_what_twins_remember(made):
    events = table(made)
    if not (events.kind == 1).any():
        return
    cut = int(events.occurred_at_ms.max() // DAY) + 1
    days = PurchaseDays.of_events(events)
    known = Purchases.none(len(made)).folded(events).rows(np.unique(days.customer))
    assert recency_of(known, cut) == pytest.approx(recency(days, cut), abs=1e-9)


def test_hazards_are_the_same_on_arrays_and_on_tensors():
    ended = Ended.of(PurchaseDays.of_events(STEADY))
    own = own_of(a_law(), ended)
    day = ended.start + 1 + np.arange(len(ended.start)) % 120
    plain = a_law().hazards(np, own, day)
    tensors = Own(*(torch.from_numpy(np.asarray(column)) for column in own))
    assert a_law().hazards(torch, tensors, torch.from_numpy(day)).numpy() == pytest.approx(plain)


def test_the_probabilities_of_all_ends_sum_to_one():
    ended = Ended.of(PurchaseDays.of_events(events_of([(0, 0.2, 1, 9.0), (0, 12.0, 2, 9.0)])))
    ends = MONDAY + 12 + np.arange(1, 400)
    asked = Waiting(
        customer=np.zeros(len(ends), np.int64),
        ended=ended.rows(np.ones(len(ends), np.int64)),
        begin=np.full(len(ends), MONDAY + 12),
        end=ends,
        observed=np.ones(len(ends), np.bool_),
    )
    came = np.exp(asked.log_likelihood(LEARNED.law)).sum()
    never = Waiting(asked.customer, asked.ended, asked.begin, ends, ~asked.observed)
    assert came + np.exp(never.log_likelihood(LEARNED.law))[-1] == pytest.approx(1, abs=1e-6)


def test_waiting_inside_a_window_begins_with_it_and_ends_with_it():
    days = PurchaseDays.of_events(
        events_of([(0, 0, 1, 1.0), (0, 9, 2, 1.0), (1, 4, 3, 1.0), (2, 1, 4, 1.0), (2, 3, 5, 1.0)])
    )
    found = Waiting.inside(days, MONDAY + 5, MONDAY + 12)
    assert found.customer.tolist() == [0, 0, 1, 2]
    assert (found.begin - MONDAY).tolist() == [4, 9, 4, 4]
    assert (found.end - MONDAY).tolist() == [9, 11, 11, 11]
    assert found.observed.tolist() == [True, False, False, False]


def test_medians_of_many_are_those_of_each():
    model = small_model()
    model.rhythm = replace(LEARNED, law=a_law())
    made = [
        [
            Line((MONDAY + day) * DAY + 9 * HOUR * (row % 2), order=n)
            for n, day in enumerate(days, 1)
        ]
        for row, days in enumerate([(0,), (0, 9), (0, 30, 60), (1, 2, 3), ()])
    ]
    states = model.advance(model.initial_state(["GB"] * 5), table(made))
    times, _ = rhythms(model.rhythm, states)
    own = model.rhythm.own(Purchases.of(states), states.clock_ms, states.last_order_ms)
    for wait in (0, HOUR, 30 * HOUR, 40 * DAY):
        asked = np.where(states.clock_ms > 0, states.clock_ms + wait, 0)
        found = model.rhythm.median_ms(own, asked, 90)
        for row, time in enumerate(times):
            one = time.quantile(0.5, int(asked[row]))
            one = 90 if one is None else min(one, 90)
            assert found[row] - asked[row] == pytest.approx(one * DAY, abs=2), (row, wait)


def test_expected_purchase_days_lie_between_the_rate_and_the_regression():
    past = STEADY.rows(STEADY.occurred_at_ms < CUT * DAY)
    known = Purchases.none(150).folded(past)
    counts, law = LEARNED.counts, LEARNED.law
    alone = CountLaw(**{**{n: getattr(counts, n) for n in counts.__slots__}, "weights": ()})
    both, rate = (each.purchase_days(law, known, CUT, 90) for each in (counts, alone))
    lately = both**2 / rate
    assert ((np.minimum(rate, lately) <= both) & (both <= np.maximum(rate, lately))).all()
    after = (STEADY.occurred_at_ms >= CUT * DAY) & (STEADY.occurred_at_ms < (CUT + 90) * DAY)
    bought = len(PurchaseDays.of_events(STEADY.rows(after)).day)
    assert both.sum() == pytest.approx(bought, rel=0.1)
    half = counts.purchase_days(law, known, CUT, 45)
    assert (half < both).all()


def test_who_has_bought_nothing_is_expected_to_buy_at_the_prior_rate():
    law, counts = LEARNED.law, LEARNED.counts
    expected = counts.purchase_days(law, Purchases.none(2), CUT, 90)
    span = law.time(np, np.array([CUT + 89])) - law.time(np, np.array([CUT - 1]))
    assert expected == pytest.approx(law.shape / law.scale * span[0])
    assert counts.spend_per_day(Purchases.none(1))[0] == pytest.approx(
        counts.p * counts.v / (counts.q - 1)
    )


def test_lines_weigh_the_own_orders_against_everybodys():
    law = SizeLaw(lines=10.0, weight=2.0, lines_spread=0.5, value_spread=0.5)
    assert law.expected_lines(np, np.array([0, 40]), np.array([0, 8])).tolist() == [10.0, 6.0]


def test_sizes_are_those_of_the_orders():
    luck = np.random.default_rng(4)
    rows = []
    for order in range(600):
        customer = order % 30
        lines = max(round((5 if customer < 15 else 20) * luck.lognormal(0, 0.3)), 1)
        rows += [(customer, order // 30 + 0.1, order + 1, 3.0)] * lines
    found = fit_sizes(events_of(rows))
    assert found.lines == pytest.approx(13, rel=0.15)
    assert found.lines_spread == pytest.approx(0.3, abs=0.06)
    assert found.value_spread == pytest.approx(found.lines_spread, abs=1e-9)
    assert found.weight <= 1.0


def test_a_level_that_moves_is_told_from_one_that_does_not():
    still = fit_drift(LEARNED.law, PurchaseDays.of_events(STEADY), CUT)
    days = PurchaseDays.of_events(STEADY)
    luck = np.random.default_rng(5)
    kept = np.ones(len(days.day), np.bool_)
    for week in range(0, CUT - MONDAY, 7):
        inside = (days.day >= MONDAY + week) & (days.day < MONDAY + week + 7)
        kept &= ~inside | (luck.random(len(days.day)) < luck.uniform(0.2, 1)) | days.is_first
    moving = fit_drift(LEARNED.law, days.rows(kept), CUT)
    assert moving.week > still.week
    assert still.week <= 0.1
