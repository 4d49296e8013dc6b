"""Prediction intervals over replicates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from campaigns.intervals import prediction_interval
from campaigns.results import amount

values = st.lists(st.integers(-(10**12), 10**12), min_size=2, max_size=30)


@given(values)
def test_the_interval_holds_its_mean_and_has_a_width_of_0_only_for_equal_replicates(
    values: list[int],
):
    found = prediction_interval(np.array([values]))

    assert found.low[0] <= found.mean[0] <= found.high[0]
    assert (found.low[0] == found.high[0]) == (len(set(values)) == 1)


@given(st.integers(-(10**15), 10**15), st.integers(2, 1000))
def test_equal_replicates_give_exactly_their_value(value: int, replicates: int):
    found = prediction_interval(np.full((1, replicates), value))

    assert found.low[0] == found.mean[0] == found.high[0] == value


def test_one_further_replicate_lies_inside_as_often_as_the_interval_promises():
    draws = np.random.default_rng(3).normal(1e6, 1e5, (20_000, 11)).round().astype(np.int64)
    found = prediction_interval(draws[:, :10])

    inside = (found.low <= draws[:, 10]) & (draws[:, 10] <= found.high)

    assert inside.mean() == pytest.approx(0.9, abs=0.01)


def test_the_interval_of_a_known_sample_is_the_textbook_one():
    found = prediction_interval(np.array([[8, 10, 12]]))

    reach = stats.t.ppf(0.95, 2) * 2 * np.sqrt(4 / 3)
    assert found.low[0] == pytest.approx(10 - reach)
    assert found.high[0] == pytest.approx(10 + reach)


@pytest.mark.parametrize(
    ("cents", "text"),
    [
        (0, "0.00"),
        (-0.0, "0.00"),
        (-0.4, "0.00"),
        (5, "0.05"),
        (123456.5, "1234.56"),
        (-250, "-2.50"),
    ],
)
def test_amounts_have_two_digits_and_zero_has_no_sign(cents: float, text: str):
    assert amount(cents) == text
