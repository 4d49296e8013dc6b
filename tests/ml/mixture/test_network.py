"""The network gives distributions over the mixture's vocabulary, which need not be its own."""

import numpy as np
import pytest
from hypothesis import given, settings

from ml.mixture.network import FLOOR, NetworkComponents
from tests.ml.histories import ITEMS, small_model, table
from tests.ml.mixture.shops import busy, countries

MODEL = small_model()
VOCABULARY = (*ITEMS[:15], "first sold later", "another")
NETWORK = NetworkComponents(MODEL, VOCABULARY)


def test_both_distributions_sum_to_one_and_rule_out_no_item_that_the_network_does_not_know():
    h = MODEL.initial_state(["France", "Malta", "France"]).h
    for share in NETWORK.shares(h):
        assert share.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)
        assert share[:, 15:] == pytest.approx(np.full((3, 2), FLOOR / len(VOCABULARY)))


def test_the_line_that_goes_on_and_the_line_that_opens_have_a_distribution_each():
    continuing, opening = NETWORK.shares(MODEL.initial_state(["France"]).h)
    assert np.abs(continuing - opening).max() > 1e-3


@settings(deadline=None, max_examples=25)
@given(busy)
def test_the_states_before_events_are_those_of_the_twin_advanced_so_far(made):
    events = table(made)
    before = NETWORK.states_before(events, countries(len(made)))
    for row in range(0, len(events), 3):
        customer = int(events.customer[row])
        earlier = (events.customer == customer) & (np.arange(len(events)) < row)
        start = MODEL.initial_state(countries(len(made)))
        after = MODEL.advance(start, events.rows(earlier))
        np.testing.assert_allclose(before[row], after.h[customer], atol=1e-5)
