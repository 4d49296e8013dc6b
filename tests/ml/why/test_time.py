"""What the time to the next order rests on adds up to the law's own hazard and rate."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ml.predict import rhythms
from ml.rhythm.law import MOST_LOG_FACTOR, OWN_COLUMNS, WAITED_COLUMNS
from ml.rhythm.model import Rhythm
from ml.why.time import LABELS, OWN_GROUPS, WAITED_GROUPS, time_reason
from tests.ml.histories import DAY, OPENING_MS, Line, small_model, table

RNG = np.random.default_rng(5)
LEARNED = replace(
    Rhythm.plain().law,
    weekday=(1.5, 1.25, 1.0, 1.0, 1.25, 0.0, 1.0),
    level=-0.4,
    own=tuple(RNG.normal(0, 0.1, OWN_COLUMNS).tolist()),
    waited=tuple(RNG.normal(0, 0.1, WAITED_COLUMNS).tolist()),
    longest_days=50,
)


def asked(*days: int, waited: int, law=LEARNED):
    """The stored time of a customer with orders on these days, and what it rests on."""
    model = small_model()
    bought = [Line(OPENING_MS + day * DAY, order=n + 1) for n, day in enumerate(days)]
    states = model.advance(model.initial_state(["France"]), table([bought]))
    (time,), (buying,) = rhythms(replace(Rhythm.plain(), law=law), states)
    as_of_ms = OPENING_MS + (days[-1] if days else 0) * DAY + waited * DAY
    return time, time_reason(time, buying, as_of_ms), as_of_ms


@pytest.mark.parametrize("level", [-0.4, 3.0, 9.0])
@pytest.mark.parametrize("waited", [1, 3, 14, 49, 50, 51, 200])
def test_the_terms_are_the_logarithms_that_the_days_hazard_is_made_of(waited, level):
    law = replace(LEARNED, level=level)
    time, why, as_of_ms = asked(0, 9, 30, 44, waited=waited, law=law)

    day = as_of_ms // DAY
    plain = replace(time, level=0.0, law=replace(law, waited=(0.0,) * WAITED_COLUMNS))
    base, hazard = (float(t.hazards(day, 1, as_of_ms)[0]) for t in (plain, time))
    assert why.waited_days == waited
    assert hazard == pytest.approx(base * why.factor)
    if waited <= law.longest_days and level < MOST_LOG_FACTOR:
        assert math.log(why.factor) == pytest.approx(sum(term for _, term in why.terms))
    assert [abs(t) for _, t in why.terms] == sorted((abs(t) for _, t in why.terms), reverse=True)


def test_the_rate_is_the_weighted_mean_of_everybodys_and_the_own():
    time, why, _ = asked(0, 9, 30, 44, waited=2)

    own, everybody = 1 / why.own_gap_days, 1 / why.everybodys_gap_days
    assert why.own_gaps == 3
    assert 0 < why.own_weight < 1
    expected = why.own_weight * own + (1 - why.own_weight) * everybody
    assert 1 / why.usual_gap_days == pytest.approx(expected)
    assert time.shape / time.scale == pytest.approx(expected)


def test_the_own_gaps_weigh_more_with_every_order_and_nothing_before_the_second():
    weights = [asked(*range(0, 10 * n, 10), waited=1)[1].own_weight for n in (1, 2, 5)]

    assert weights[0] == 0
    assert weights == sorted(weights)
    assert weights[1] > 0


def test_a_customer_without_an_order_rests_on_everybody_alone():
    _, why, _ = asked(waited=3)

    assert (why.bought, why.own_gaps, why.own_gap_days) == (False, 0, None)
    assert why.usual_gap_days == why.everybodys_gap_days
    assert (why.waited_days, why.factor, why.terms) == (None, 1.0, ())


def test_the_weekday_of_asking_is_named_with_its_factor():
    _, why, _ = asked(0, waited=6)  # the shop's first day is a Sunday

    assert (why.weekday, why.weekday_factor) == (5, 0.0)


def test_the_groups_hold_every_column_and_have_words():
    assert sum(size for _, size in OWN_GROUPS) == OWN_COLUMNS
    assert sum(size for _, size in WAITED_GROUPS) == WAITED_COLUMNS
    assert {name for name, _ in (*OWN_GROUPS, *WAITED_GROUPS)} < LABELS.keys()
