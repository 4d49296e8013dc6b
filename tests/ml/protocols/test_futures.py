"""Protocol D: scores of simulated futures with known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.protocols import run_futures
from ml.protocols.futures import (
    curve_correlation,
    distance_from_even,
    pit,
    ratio,
    weekly,
    weeks_covered,
)
from ml.protocols.tables import Section, cell, short
from ml.protocols.twin import TwinStatesOfLines, trained
from tests.ml.protocols.builders import OPENING_DAY, day_ms, shop


def test_weeks_are_sums_of_seven_days_and_a_rest():
    assert weekly(np.ones((2, 15))).tolist() == [[7, 7, 1]] * 2


def test_a_ratio_is_the_mean_over_the_truth():
    found = ratio(np.array([8.0, 10.0, 12.0]), 20.0)
    assert found["value"] == 0.5
    assert found["low"] < 0.5 < found["high"]
    assert ratio(np.array([1.0]), 0.0) == {"n": 0}


def test_curves_that_rise_together_correlate_and_weeks_outside_are_counted():
    simulated = np.array([[1.0, 2, 3], [1.2, 2.2, 3.2]])
    assert curve_correlation(simulated, np.array([10.0, 20, 30]))["value"] == pytest.approx(1)
    assert curve_correlation(simulated, np.ones(3)) == {"n": 0}
    assert weeks_covered(simulated, np.array([1.1, 2.1, 9]))["value"] == pytest.approx(2 / 3)
    hundred = np.arange(100.0)[:, None].repeat(2, axis=1)
    assert weeks_covered(hundred, np.array([2.0, 97.0]))["value"] == 0  # in the outer tenth


@given(st.integers(0, 20))
def test_pit_is_even_where_futures_and_truth_have_one_law(seed: int):
    luck = np.random.default_rng(seed)
    rates = luck.gamma(1, size=2_000)
    simulated, actual = luck.poisson(rates, (200, 2_000)), luck.poisson(rates)
    assert distance_from_even(pit(simulated, actual, seed=seed)) < 0.05
    assert distance_from_even(pit(simulated, actual + 1, seed=seed)) > 0.2


def test_distance_from_even_has_its_known_values():
    assert distance_from_even((np.arange(100) + 0.5) / 100) == pytest.approx(0.005)
    assert distance_from_even(np.zeros(10)) == 1


def test_cells_are_short_and_a_gap_is_a_dash():
    assert cell({"value": 0.1211, "low": 0.1148, "high": 0.13, "n": 4}) == ".1211 [.1148, .1300]"
    assert cell({"value": -2.27, "low": -2.3, "high": -2.2, "n": 4}) == "-2.270 [-2.300, -2.200]"
    assert cell({"n": 0}) == cell(None) == "-"
    assert short(-0.5, 2) == "-.50"
    assert Section("t", {"a": "A"}).columns == {"a": "A"}


def test_futures_of_a_trained_twin_are_compared_with_the_truth():
    rows = [(f"c{n % 12}", 3 * n % 180, f"o{n}", "abcd"[n % 4]) for n in range(400)]
    lines = shop(rows)
    cut = OPENING_DAY + 120
    model = trained(lines, cut_off_ms=day_ms(120), validation_ms=day_ms(90), epochs=1)
    report = run_futures.run(lines, model, cut_day=cut, horizon=30, replicates=3)
    twin = report.methods["the twin"]
    assert twin["orders"]["value"] > 0
    assert twin["orders"]["n"] == 3
    assert 0 < twin["items"]["value"] <= 1
    assert 0 < twin["pit"]["value"] < 1
    again = run_futures.run(lines, model, cut_day=cut, horizon=30, replicates=3)
    assert again.methods == report.methods


def test_a_twins_spell_probabilities_sum_to_at_most_one_and_chances_are_chances():
    from ml.rhythm.days import PurchaseDays
    from ml.rhythm.spells import Counts, Spells

    lines = shop([(f"c{n % 12}", 3 * n % 180, f"o{n}", "abcd"[n % 4]) for n in range(400)])
    model = trained(lines, cut_off_ms=day_ms(120), validation_ms=day_ms(90), epochs=1)
    states = TwinStatesOfLines(model, lines)
    ends = np.arange(1, 400)
    day = int(lines.day[lines.customer == 0][3])
    spells = Spells(
        customer=np.zeros(len(ends), int),
        first=np.full(len(ends), day),
        start=np.full(len(ends), day),
        end=day + ends,
        observed=np.ones(len(ends), bool),
        number=np.zeros(len(ends), int),
    )
    total = np.exp(states.spell_likelihood(spells)).sum()
    assert 0.1 < total <= 1 + 1e-6
    counts = Counts.of(PurchaseDays.of(lines), OPENING_DAY + 120)
    found = states.expected(counts, OPENING_DAY + 120, 30)
    assert ((found.chance > 0) & (found.chance < 1)).all()
    assert (found.purchase_days > 0).all()
    assert ((found.spend > 10) & (found.spend < 20)).all()  # several orders of 2 a day
