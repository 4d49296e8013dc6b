"""Time to the next order: one law, in plain floats and in tensors."""

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml.baselines import fit_population
from ml.survival import SHORTEST_DAYS, TimeTensors
from ml.timing import DAY_MS, TimeToOrder, predictions

scales = st.floats(0.5, 500)
shapes = st.floats(0.3, 6)
shares = st.floats(0.001, 0.95)
times = st.builds(TimeToOrder, scale_days=scales, shape=shapes, never_share=shares)
days = st.floats(0, 2_000)


def tensors(time: TimeToOrder) -> TimeTensors:
    values = (time.scale_days, time.shape, time.never_share)
    return TimeTensors(*(torch.tensor(value, dtype=torch.float64) for value in values))


@given(times, days, days)
def test_survival_falls_from_one_towards_the_share_that_never_comes(time, first, second):
    early, late = sorted((first, second))
    assert time.survival(0) == 1
    assert 1 >= time.survival(early) >= time.survival(late) >= time.never_share


@given(times, days)
def test_the_tensor_form_is_the_plain_form(time, at):
    moment = torch.tensor(at, dtype=torch.float64)
    assert float(tensors(time).cumulative_hazard(moment)) == pytest.approx(
        time.cumulative_hazard(at), abs=1e-9
    )


@given(times, st.floats(0.001, 0.999), st.floats(0, 300))
def test_a_quantile_is_reached_with_its_probability_whatever_has_elapsed(time, q, elapsed):
    reached = time.quantile(q, elapsed)
    ever = 1 - time.never_share / time.survival(elapsed)
    if reached is None:
        assert ever <= q + 1e-6
    elif reached < 1e9:
        assert time.probability_within(reached, elapsed) == pytest.approx(q, abs=1e-6)


@given(times, st.floats(0.001, 0.99))
def test_both_inverse_hazards_agree_and_undo_the_hazard(time, part):
    hazard = -part * math.log(time.never_share)
    plain = time.inverse_cumulative_hazard(hazard)
    tensor = tensors(time).inverse_cumulative_hazard(torch.tensor(hazard, dtype=torch.float64))
    assert float(tensor) == pytest.approx(plain, rel=1e-6)
    assert time.cumulative_hazard(plain) == pytest.approx(hazard, rel=1e-6)


@given(times, st.floats(1.001, 9))
def test_a_hazard_beyond_the_share_that_never_comes_is_never_reached(time, part):
    hazard = -part * math.log(time.never_share)
    tensor = tensors(time).inverse_cumulative_hazard(torch.tensor(hazard, dtype=torch.float64))
    assert time.inverse_cumulative_hazard(hazard) is None
    assert math.isinf(float(tensor))


@given(times, st.floats(0.1, 400))
def test_the_density_is_the_slope_of_the_survival(time, at):
    slope = (time.survival(at * 0.9999) - time.survival(at * 1.0001)) / (at * 0.0002)
    density = math.exp(float(tensors(time).log_density(torch.tensor(at).double())))
    assert density == pytest.approx(slope, rel=1e-2, abs=1e-8)


@given(times, st.floats(0, 200), st.floats(0, 100), st.floats(0, 100))
def test_waiting_in_two_parts_is_waiting_once(time, elapsed, first, second):
    alone = (1 - time.probability_within(first, elapsed)) * (
        1 - time.probability_within(second, elapsed + first)
    )
    assert 1 - time.probability_within(first + second, elapsed) == pytest.approx(alone, abs=1e-9)


def test_the_censored_likelihood_recovers_the_parameters_that_made_the_data():
    generator = torch.Generator().manual_seed(5)
    truth = tensors(TimeToOrder(scale_days=25, shape=1.8, never_share=0.3))
    uniform = torch.rand(40_000, generator=generator, dtype=torch.float64)
    waits = truth.inverse_cumulative_hazard(-torch.log(uniform))
    cut_off = 20 + 380 * torch.rand(40_000, generator=generator, dtype=torch.float64)

    fitted = fit_population(torch.minimum(waits, cut_off), waits <= cut_off)

    assert float(fitted.scale_days) == pytest.approx(25, rel=0.03)
    assert float(fitted.shape) == pytest.approx(1.8, rel=0.03)
    assert float(fitted.never_share) == pytest.approx(0.3, abs=0.015)


def test_a_gap_of_nothing_counts_as_one_minute():
    time = tensors(TimeToOrder(scale_days=25, shape=0.8, never_share=0.3))
    nothing, minute = torch.tensor([0.0, SHORTEST_DAYS], dtype=torch.float64)
    assert float(time.log_density(nothing)) == float(time.log_density(minute))


def test_churn_rises_while_nothing_happens():
    stored = {"time_to_order": {"scale_days": 20.0, "shape": 1.5, "never_share": 0.2}}
    said = [predictions(stored, clock_ms=1, as_of_ms=1 + n * DAY_MS) for n in (0, 30, 200)]
    churn = [answer["churn"] for answer in said]
    assert churn == sorted(churn)
    assert said[0]["median_days_to_order"] == pytest.approx(20 * (0.5 / 0.3) ** (1 / 1.5))
    assert said[0]["interval_days_to_order"][1] is None
    assert said[2]["median_days_to_order"] is None


def test_stored_forecasts_are_read_without_loading_torch():
    """A web process answers from stored numbers; torch would cost it a second and 200 MB."""
    code = "import sys, ml, ml.timing, ml.events, ml.states, ml.encoding, ml.forecast, ml.errors"
    asked = subprocess.run(
        [sys.executable, "-c", f"{code}; print('torch' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert asked.stdout.strip() == "False"
