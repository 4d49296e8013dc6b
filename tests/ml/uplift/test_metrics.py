"""What a ranking is worth: small cases by hand, and scikit-uplift on the same data."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.uplift import metrics
from ml.uplift.calibration import calibration
from ml.uplift.errors import OneArmEmpty
from ml.uplift.intervals import Draws
from ml.uplift.metrics import Trial

NO_DRAWS = 0
OF_A_PEER = pytest.mark.filterwarnings("ignore::FutureWarning")  # scikit-uplift's own


def once(customers: int) -> Draws:
    return Draws(customers, draws=NO_DRAWS, seed=0)


def trial_of(treated: list[int], outcome: list[float]) -> Trial:
    return Trial(np.array(treated, dtype=bool), np.array(outcome, dtype=float))


def drawn_trial(seed: int, customers: int = 400) -> tuple[Trial, Any]:
    """A score that is worth something, with ties."""
    rng = np.random.default_rng(seed)
    score = rng.random(customers).round(2)
    treated = rng.random(customers) < 0.6
    outcome = (rng.random(customers) < 0.2 + 0.4 * treated * score).astype(float)
    return Trial(treated, outcome), score


@pytest.fixture(scope="module")
def peer() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages that draw its charts
        return import_module("sklift.metrics")


def test_a_ranking_by_hand():
    # best first: treated buys, control does not; treated does not, control buys
    trial, score = trial_of([1, 0, 1, 0], [1, 0, 0, 1]), np.array([4.0, 3, 2, 1])
    found = metrics.curves(trial, score, np.ones((1, 4)))
    assert found.qini.tolist() == [[0, 1, 1, 1, 0]]
    assert found.uplift.tolist() == [[0, 1, 2, 1.5, 0]]
    # area 3 under the Qini curve, 0 under the straight line; 4 customers, 2 of them treated
    assert metrics.qini(trial, score, once(4)).value == pytest.approx(3 / 8)
    assert metrics.auuc(trial, score, once(4)).value == pytest.approx(4.5 / 16)
    assert metrics.uplift_at(trial, score, 0.5, once(4)).value == 1
    assert metrics.mean_difference(trial, once(4)).value == 0


def test_the_ideal_ranking_has_all_of_the_gain():
    trial, _ = drawn_trial(1)
    assert metrics.qini_normalised(trial, metrics.qini_ideal(trial), once(400)).value == 1
    assert metrics.auuc_normalised(trial, metrics.auuc_ideal(trial), once(400)).value == 1


def test_a_score_that_tells_nobody_apart_is_worth_nothing():
    trial, _ = drawn_trial(2)
    found = metrics.qini(trial, np.ones(400), Draws(400, draws=20, seed=0))
    assert (found.value, found.low, found.high) == pytest.approx((0, 0, 0))
    assert metrics.auuc_gain(trial, np.ones(400), once(400)).value == pytest.approx(0)


@OF_A_PEER
@pytest.mark.parametrize("seed", range(5))
def test_curves_are_those_of_scikit_uplift(peer: Any, seed: int):
    trial, score = drawn_trial(seed)
    found = metrics.curves(trial, score, np.ones((1, 400)))
    for theirs, ours in ((peer.qini_curve, found.qini), (peer.uplift_curve, found.uplift)):
        x, y = theirs(trial.outcome, score, trial.treated.astype(int))
        np.testing.assert_allclose(found.targeted[0], x)
        np.testing.assert_allclose(ours[0], y)


@OF_A_PEER
@pytest.mark.parametrize("seed", range(5))
def test_coefficients_are_those_of_scikit_uplift(peer: Any, seed: int):
    trial, score = drawn_trial(seed)
    told = trial.outcome, score, trial.treated.astype(int)
    ours = metrics.qini_normalised(trial, score, once(400)).value
    assert ours == pytest.approx(peer.qini_auc_score(*told))
    ours = metrics.auuc_normalised(trial, score, once(400)).value
    assert ours == pytest.approx(peer.uplift_auc_score(*told))


@OF_A_PEER
@pytest.mark.parametrize("share", [0.1, 0.2, 0.3])
def test_uplift_of_the_best_is_that_of_scikit_uplift(peer: Any, share: float):
    trial, _ = drawn_trial(3)
    score = np.random.default_rng(9).random(400)  # no ties: at the edge the two cut differently
    theirs = peer.uplift_at_k(
        trial.outcome, score, trial.treated.astype(int), strategy="overall", k=share
    )
    assert metrics.uplift_at(trial, score, share, once(400)).value == pytest.approx(theirs)


@given(st.integers(0, 10_000), st.floats(0.1, 50))
def test_a_score_stretched_ranks_the_same(seed: int, factor: float):
    trial, score = drawn_trial(seed, 60)
    before = metrics.qini(trial, score, once(60)).value
    assert metrics.qini(trial, score * factor - 3, once(60)).value == pytest.approx(before)


def test_a_customer_drawn_twice_counts_twice():
    trial, score = drawn_trial(4, 40)
    twice = Trial(np.repeat(trial.treated, 2), np.repeat(trial.outcome, 2))
    weighted = metrics.curves(trial, score, np.full((1, 40), 2.0))
    doubled = metrics.curves(twice, np.repeat(score, 2), np.ones((1, 80)))
    np.testing.assert_allclose(weighted.qini, doubled.qini)


def test_intervals_hold_a_known_uplift_nine_times_in_ten():
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        treated = rng.random(300) < 0.7
        trial = Trial(treated, rng.standard_normal(300) + 0.5 * treated)
        held += metrics.mean_difference(trial, Draws(300, draws=200, seed=seed)).holds(0.5)
    assert 165 <= held <= 195


def test_a_trial_without_controls_says_what_to_do():
    with pytest.raises(OneArmEmpty, match="3 customers were offered something and 0 were not"):
        trial_of([1, 1, 1], [0, 1, 2])


def test_predictions_of_the_right_size_have_slope_one_and_halved_ones_two():
    rng = np.random.default_rng(1)
    truth = rng.random(40_000)
    treated = rng.random(40_000) < 0.5
    trial = Trial(treated, rng.standard_normal(40_000) * 0.1 + truth * treated)
    draws = Draws(40_000, draws=50, seed=0)
    right, halved = (calibration(trial, truth * factor, draws) for factor in (1, 0.5))
    assert right.slope.holds(1)
    assert right.slope.value == pytest.approx(1, abs=0.05)
    assert halved.slope.value == pytest.approx(2, abs=0.1)
    assert [group.customers for group in right.groups] == [4_000] * 10
    assert all(g.measured.low - 0.02 < g.predicted < g.measured.high + 0.02 for g in right.groups)
    assert right.groups[0].predicted < right.groups[-1].predicted
