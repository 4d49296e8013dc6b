"""Figures are counted against the model, and their intervals resample customers."""

import numpy as np
import pytest

from ml import baselines
from ml.baselines import Histories
from ml.encoding import encode
from ml.metrics import Bootstrap, ItemScores
from tests.ml.histories import DAY, OPENING_MS, Line, small_model, table


def test_ranks_beyond_the_list_count_nothing():
    values = ItemScores(np.array([1, 4, 11, 21]), np.zeros(4)).values()
    assert values["top_1"].tolist() == [1, 0, 0, 0]
    assert values["top_10"].tolist() == [1, 1, 0, 0]
    assert values["mrr_20"] == pytest.approx([1, 1 / 4, 1 / 11, 0])


def test_an_interval_resamples_customers_not_lines():
    values = np.repeat([0.0, 1.0], 5_000)
    two = Bootstrap(np.repeat([7, 9], 5_000), draws=200, seed=0).figure(values)
    many = Bootstrap(np.arange(10_000), draws=200, seed=0).figure(values)
    assert two["value"] == many["value"] == 0.5
    assert (two["low"], two["high"]) == (0, 1)
    assert many["high"] - many["low"] < 0.03


def test_values_that_do_not_exist_are_left_out():
    figure = Bootstrap(np.arange(3), draws=50, seed=0).figure(np.array([1.0, np.nan, 3.0]))
    assert figure["value"] == 2
    assert figure["n"] == 2
    assert Bootstrap(np.arange(1), draws=5, seed=0).figure(np.array([np.nan])) == {"n": 0}


def shop() -> Histories:
    """Two customers; early on item 0 sold twice, and item 1 followed item 0 once."""
    bought = [
        [("item-0", 0), ("item-1", 1), ("item-0", 9), ("item-1", 10)],
        [("item-0", 2), ("item-1", 9), ("item-2", 10)],
    ]
    made = [
        [Line(OPENING_MS + day * DAY, sku, n + 1) for n, (sku, day) in enumerate(lines)]
        for lines in bought
    ]
    events = table(made)
    model = small_model()
    columns = encode(events, model.initial_state(["France"] * 2), model.dictionaries)
    early = events.occurred_at_ms < OPENING_MS + 5 * DAY
    return Histories(events, columns, early, np.array([1, 2, 4, 5]), known=4)


def test_popularity_counts_early_lines_only():
    assert shop().popularity() == pytest.approx(np.array([2.1, 1.1, 0.1, 0.1]) / 3.4)
    scores = baselines.score_popularity(shop())
    assert scores.rank.tolist() == [1, 2, 2, 4]  # ties stand against the target
    assert np.exp(-scores.nll) == pytest.approx(np.array([2.1, 1.1, 1.1, 0.1]) / 3.4)


def test_own_frequency_holds_every_earlier_line_of_the_customer_and_of_no_other():
    scores = baselines.score_own(shop())
    expected = 0.75 * np.array([2.1, 1.1, 1.1, 0.1]) / 3.4
    expected += 0.25 * np.array([1 / 2, 1 / 3, 0, 0])
    assert np.exp(-scores.nll) == pytest.approx(expected)


def test_transitions_are_learned_from_early_lines_and_start_from_the_last_purchase():
    scores = baselines.score_markov(shop())
    share = np.array([2.1, 1.1, 0.1]) / 3.4
    assert np.exp(-scores.nll) == pytest.approx(
        [share[0], 0.6 * share[1] + 0.4, 0.6 * share[1] + 0.4, share[2]]
    )


def test_an_item_without_a_row_is_a_miss_and_has_no_likelihood():
    past = shop()
    past = Histories(past.events, past.columns, past.early, past.asked, known=2)
    for method in (baselines.score_popularity, baselines.score_own, baselines.score_markov):
        scores = method(past)
        assert scores.rank[3] > 10**6
        assert np.isnan(scores.nll[3])
