"""What every response model promises a rollout, and whoever stores it."""

import json
import pickle
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.response import (
    AssumedResponse,
    Effect,
    ElasticityEstimate,
    ElasticityResponse,
    LearnedEstimate,
    LearnedResponse,
    response_from,
)

LEARNED = LearnedEstimate(
    hazard=Effect(mean=0.8, standard_error=0.1, between=0.05),
    quantity=Effect(mean=0.6, standard_error=0.08, between=0.06),
    correlation=-0.4,
    launches=("spring", "autumn"),
    depths=(0.1, 0.3),
    customers=900,
    treated_orders=300,
    control_orders=250,
)
SURE = ElasticityEstimate(mean=1.4, standard_error=0.2, skus=9, cells=99, lines=999)
RESPONSES = [
    AssumedResponse(mean=1.4, spread=0.2),
    ElasticityResponse(estimate=SURE),
    LearnedResponse(estimate=LEARNED),
]
UNSURE = [
    AssumedResponse(mean=0.1, spread=9.0),
    ElasticityResponse(
        estimate=ElasticityEstimate(mean=-0.5, standard_error=9.0, skus=9, cells=99, lines=999)
    ),
    LearnedResponse(
        estimate=LearnedEstimate(
            hazard=Effect(mean=-0.5, standard_error=50.0, between=2.0),
            quantity=Effect(mean=0.5, standard_error=50.0, between=2.0),
            correlation=0.9,
            launches=("one",),
            depths=(0.1, 0.1),
            customers=40,
            treated_orders=20,
            control_orders=20,
        )
    ),
]
STATED = {  # hazard: mean and spread; quantity: the same; correlation of the two
    "assumed": ((0.7, 0.1), (0.7, 0.1), 1.0),
    "elasticity": ((0.7, 0.1), (0.7, 0.1), 1.0),
    "learned": (
        (0.8, np.hypot(0.1, 0.05)),
        (0.6, 0.1),
        -0.4 * 0.1 * 0.08 / np.hypot(0.1, 0.05) / 0.1,
    ),
}
NAMES = [response.name for response in RESPONSES]
pytestmark = pytest.mark.parametrize("place", range(len(RESPONSES)), ids=NAMES)


def both(effects):
    return effects.hazard, effects.quantity


def multipliers(effects, depth: float):
    return effects.hazard_multiplier(depth), effects.quantity_multiplier(depth)


def test_it_is_named_and_says_what_it_rests_on(place):
    provenances = {"assumed": "assumption", "elasticity": "data", "learned": "data"}

    assert RESPONSES[place].name == list(provenances)[place]
    assert RESPONSES[place].provenance == provenances[RESPONSES[place].name]


@pytest.mark.parametrize("responses", [RESPONSES, UNSURE], ids=["sure", "unsure"])
def test_no_discount_multiplies_by_exactly_one(place, responses):
    effects = responses[place].effects(500, 1)

    assert all((multiplier == 1.0).all() for multiplier in multipliers(effects, 0.0))


@settings(deadline=None, max_examples=50)
@given(depths=st.tuples(st.floats(0.001, 0.9), st.floats(0.001, 0.9)).map(sorted))
def test_a_deeper_offer_does_more_of_what_a_shallow_one_does(place, depths):
    effects = RESPONSES[place].effects(60, 2)

    for effect, shallow, deep in zip(
        both(effects), multipliers(effects, depths[0]), multipliers(effects, depths[1]), strict=True
    ):
        assert (effect > 0).any()
        assert (deep[effect > 0] >= shallow[effect > 0]).all()
        assert (deep[effect < 0] <= shallow[effect < 0]).all()
        assert (shallow[effect > 0] > 1).all()


@pytest.mark.parametrize("depth", [0.0, 0.3, 0.9])
def test_however_unsure_no_multiplier_is_negative_or_without_bounds(place, depth):
    for multiplier in multipliers(UNSURE[place].effects(5_000, 3), depth):
        assert np.isfinite(multiplier).all()
        assert (multiplier > 0).all()


def test_only_what_was_measured_in_experiments_may_say_that_offers_keep_customers_away(place):
    effects = both(UNSURE[place].effects(500, 4))

    keeps_away = [bool((effect < 0).any()) for effect in effects]

    assert keeps_away == [UNSURE[place].name == "learned"] * 2


def test_both_effects_have_one_entry_for_each_replicate(place):
    effects = RESPONSES[place].effects(7, 1)

    assert all(effect.shape == (7,) and effect.dtype == np.float64 for effect in both(effects))


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**63 - 1))
def test_equal_seeds_draw_equal_effects_and_others_do_not(place, seed):
    response = RESPONSES[place]

    first, again, other = (response.effects(20, s) for s in (seed, seed, seed // 2 + 1))

    assert all(np.array_equal(a, b) for a, b in zip(both(first), both(again), strict=True))
    assert seed == seed // 2 + 1 or not np.array_equal(first.hazard, other.hazard)
    assert seed == seed // 2 + 1 or not np.array_equal(first.quantity, other.quantity)


@settings(deadline=None, max_examples=50)
@given(few=st.integers(1, 50), more=st.integers(0, 50))
def test_more_replicates_begin_with_the_same_effects(place, few, more):
    short, long = (RESPONSES[place].effects(count, 3) for count in (few, few + more))

    assert np.array_equal(long.hazard[:few], short.hazard)
    assert np.array_equal(long.quantity[:few], short.quantity)


def test_effects_have_the_stated_mean_spread_and_correlation(place):
    count = 40_000
    effects = RESPONSES[place].effects(count, 1)

    hazard, quantity, correlation = STATED[RESPONSES[place].name]
    for effect, (mean, spread) in zip(both(effects), (hazard, quantity), strict=True):
        assert effect.mean() == pytest.approx(mean, abs=5 * spread / count**0.5)
        assert effect.std() == pytest.approx(spread, rel=0.02)
    found = np.corrcoef(effects.hazard, effects.quantity)[0, 1]
    assert found == pytest.approx(correlation, abs=0.02)


def test_what_json_keeps_draws_the_same(place):
    response = RESPONSES[place]

    read = response_from(json.loads(json.dumps(response.as_dict())))

    assert read == response
    assert response.as_dict()["kind"] == response.name
    assert np.array_equal(read.effects(9, 5).quantity, response.effects(9, 5).quantity)


def test_it_goes_to_another_process_and_stays_what_it_is(place):
    response = RESPONSES[place]

    assert pickle.loads(pickle.dumps(response)) == response  # noqa: S301 - our own bytes
    with pytest.raises(FrozenInstanceError):
        setattr(response, fields(response)[0].name, None)


def test_no_global_generator_is_touched(place):
    before = torch.get_rng_state().clone(), np.random.get_state()[1].copy()

    RESPONSES[place].effects(10, 1)

    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
