"""The next order as web processes see it: closed forms in plain numbers, and no torch."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.rhythm.counts import CountLaw
from ml.rhythm.draws import Hazards
from ml.rhythm.law import Own
from ml.rhythm.statistics import COLUMNS
from ml.timing import DAY_MS, Buying, TimeToOrder, predictions
from tests.ml.rhythm.laws import MONDAY, a_law, times

days = st.floats(0, 300)
moments = st.integers(MONDAY * DAY_MS + DAY_MS // 2, (MONDAY + 300) * DAY_MS)


def bought_once(**changes) -> TimeToOrder:
    given_ = {
        "law": a_law(), "shape": 0.7, "scale": 55.0, "level": 0.0, "last_day": MONDAY,
        "last_day_share": 0.4, "gap_days": 0, "gap_before_days": 0, "bought": True,
    }  # fmt: skip
    return TimeToOrder(**{**given_, **changes})


@given(times(), moments, days, days)
def test_an_order_is_the_likelier_the_longer_one_waits(time, as_of_ms, first, second):
    early, late = sorted((first, second))
    assert time.probability_within(0, as_of_ms) == pytest.approx(0, abs=1e-12)
    chances = [time.probability_within(wait, as_of_ms) for wait in (early, late)]
    assert 0 <= chances[0] <= chances[1] + 1e-12 <= 1 + 1e-12


@given(times(), moments, days, days)
def test_waiting_in_two_parts_is_waiting_once(time, as_of_ms, first, second):
    if time.last_day is None:
        return  # then waiting begins when one asks
    middle_ms = as_of_ms + round(first * DAY_MS)
    alone = (1 - time.probability_within(first, as_of_ms)) * (
        1 - time.probability_within(second, middle_ms)
    )
    together = time.probability_within((middle_ms - as_of_ms) / DAY_MS + second, as_of_ms)
    assert 1 - together == pytest.approx(alone, abs=1e-8)


@given(times(), moments, st.lists(st.floats(0, 2_000), max_size=4), st.floats(0.001, 0.99))
def test_an_outlook_answers_alike_whatever_it_was_asked_before(time, as_of_ms, waits, q):
    outlook = time.seen_from(as_of_ms, 1)
    for wait in waits:
        alone = time.probability_within(wait, as_of_ms)
        assert outlook.probability_within(wait) == pytest.approx(alone, abs=1e-12)
    alone = time.quantile(q, as_of_ms)
    assert outlook.quantile(q) == (alone if alone is None else pytest.approx(alone, rel=1e-9))


@given(times(), moments, st.floats(0.001, 0.9))
def test_a_quantile_is_reached_with_its_probability_whatever_has_elapsed(time, as_of_ms, q):
    reached = time.quantile(q, as_of_ms)
    if reached is None:
        assert time.probability_within(1_800, as_of_ms) <= q
    else:
        assert time.probability_within(reached, as_of_ms) == pytest.approx(q, abs=1e-6)


@settings(max_examples=40)
@given(times(), moments, st.integers(0, 90 * DAY_MS))
def test_the_tensor_form_is_the_plain_form(time, as_of_ms, wait_ms):
    if time.last_day is None:
        return
    own = Own(
        *(
            torch.tensor([float(value)], dtype=torch.float64)
            for value in (time.shape, time.scale, time.level)
        ),
        torch.tensor([time.last_day]),
        *(
            torch.tensor([float(value)], dtype=torch.float64)
            for value in (
                time.last_day_share, time.gap_days, time.gap_before_days, time.bought,
            )
        ),
    )  # fmt: skip
    hazards = Hazards(time.law, own, as_of_ms // DAY_MS, 92)
    level = torch.ones_like(hazards.of_day)
    drawn = hazards.rows(torch.tensor([0]), level)
    grown = drawn.hazard_until(torch.tensor([as_of_ms + wait_ms])) - drawn.hazard_until(
        torch.tensor([as_of_ms])
    )
    plain = time.cumulative_hazard(as_of_ms, as_of_ms + wait_ms)
    assert float(grown) == pytest.approx(plain, rel=1e-9, abs=1e-12)


def test_the_base_is_the_posterior_of_a_rate_in_operational_time():
    law = a_law()
    base = bought_once(law=law, level=0.0)
    plain = TimeToOrder(
        **{
            **{name: getattr(base, name) for name in base.__slots__},
            "law": type(law)(
                **{
                    **{name: getattr(law, name) for name in law.__slots__},
                    "waited": (0.0,) * len(law.waited),
                }
            ),
        }
    )
    midnight = (MONDAY + 1) * DAY_MS
    for later in (1, 7, 20, 60):
        passed = law.time(np, np.array([MONDAY + later])) - law.time(np, np.array([MONDAY]))
        survives = (55.0 / (55.0 + passed[0])) ** 0.7
        assert 1 - plain.probability_within(later, midnight) == pytest.approx(survives, rel=1e-9)


def test_nothing_is_expected_on_a_day_without_business():
    time = bought_once()
    saturday = (MONDAY + 5) * DAY_MS
    on_it = time.probability_within(1, saturday)
    assert 200 * on_it < time.probability_within(1, saturday + 2 * DAY_MS)


def test_one_more_order_on_the_same_day_has_its_own_chance():
    time = bought_once(last_day_share=0.0)
    at_once = time.probability_within(1, MONDAY * DAY_MS)
    assert at_once == pytest.approx(time.law.same_day, rel=1e-9)
    assert bought_once(bought=False).probability_within(1, MONDAY * DAY_MS) == 0


def test_who_never_bought_and_never_came_waits_from_the_moment_of_asking():
    time = bought_once(bought=False, last_day=None)
    asked = [MONDAY + n for n in (10, 24)]  # both Thursdays
    chances = [time.probability_within(30, day * DAY_MS) for day in asked]
    assert chances[0] == pytest.approx(chances[1])


def test_a_quantile_beyond_five_years_is_none():
    assert bought_once(shape=0.05, scale=2_000.0).quantile(0.9, MONDAY * DAY_MS) is None


def stored(**purchases: int) -> dict:
    known = dict.fromkeys(COLUMNS, 0) | {
        "purchase_days": 3, "first_day": MONDAY - 40, "last_day": MONDAY, "gap_days": 20,
        "gap_before_days": 20, "spend_cents": 60_000, "last_day_cents": 10_000,
        "recent_0": 1 | 1 << 20 | 1 << 40,
    } | purchases  # fmt: skip
    counts = CountLaw(
        weights=(), horizon_days=90, orders_per_day=1.2, p=2.0, q=3.0, v=300.0
    )  # fmt: skip
    forecast = {
        "time_to_order": bought_once(shape=2.7, scale=90.0, gap_days=20).as_dict(),
        "buying": Buying(counts=counts, purchases=known).as_dict(),
    }
    return json.loads(json.dumps(forecast, allow_nan=False))


def test_churn_rises_while_nothing_happens():
    clock_ms = MONDAY * DAY_MS + DAY_MS // 2
    said = [predictions(stored(), clock_ms, clock_ms + n * 7 * DAY_MS) for n in (0, 6, 30)]
    churn = [answer["churn"] for answer in said]
    assert churn == sorted(churn)
    for answer in said:
        low, high = answer["interval_days_to_order"]
        assert low < answer["median_days_to_order"] < high
        assert answer["churn"] == 1 - answer["order_probability"]["within_90_days"]
        assert answer["expected_spend_90_days"] > 0


def test_orders_and_spend_follow_the_posterior_and_the_own_history():
    as_of_ms = (MONDAY + 30) * DAY_MS
    law = a_law()
    said = predictions(stored(), MONDAY * DAY_MS, as_of_ms)
    passed = law.time(np, np.array([MONDAY - 40, MONDAY + 29, MONDAY + 119]))
    days_expected = (law.shape + 2) / (law.scale + passed[1] - passed[0]) * (passed[2] - passed[1])
    assert said["expected_orders_90_days"] == pytest.approx(1.2 * days_expected)
    spend = 2.0 * (300.0 + 600.0) / (2.0 * 3 + 3.0 - 1)
    assert said["expected_spend_90_days"] == pytest.approx(days_expected * spend)


@given(times())
def test_what_is_stored_is_what_was_said(time):
    again = TimeToOrder.of(json.loads(json.dumps(time.as_dict(), allow_nan=False)))
    assert again == time
    assert math.isfinite(again.probability_within(30, (MONDAY + 4) * DAY_MS))


def test_stored_forecasts_are_read_without_loading_torch():
    """A web process answers from stored numbers; torch would cost it a second and 200 MB."""
    code = "import sys, ml, ml.timing, ml.events, ml.states, ml.encoding, ml.forecast, ml.errors"
    asked = subprocess.run(
        [sys.executable, "-c", f"{code}; print('torch' in sys.modules, 'scipy' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert asked.stdout.strip() == "False False"
