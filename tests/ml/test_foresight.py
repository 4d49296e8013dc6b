"""What a twin is said to have foreseen is what it would have answered the moment before."""

import numpy as np
import pytest
from hypothesis import given, settings

from ml.events import EventKind
from ml.foresight import NoMixture, foresee
from ml.mixture.lines import UNKNOWN
from ml.mixture.memory import Memory
from ml.mixture.network import NetworkComponents
from ml.twin import TwinModel
from tests.ml.histories import small_model, table
from tests.ml.mixture.shops import busy, countries, mixture


def model_with_mixture(*, with_network: bool) -> TwinModel:
    model = small_model()
    found = mixture()
    if with_network:
        network = NetworkComponents(model, found.frame.vocabulary)
        found = mixture(network=network)
    model.adopt(found)
    return model


MODELS = {n: model_with_mixture(with_network=n) for n in (False, True)}


@pytest.mark.parametrize("with_network", [False, True])
@settings(deadline=None, max_examples=30)
@given(made=busy)
def test_each_line_is_judged_by_what_the_twin_said_just_before_it(made, with_network):
    model = MODELS[with_network]
    found, events = model.next_item, table(made)
    assert found is not None
    start = model.initial_state(countries(len(made)))
    seen = foresee(model, start, events, found.market)
    expected = []
    for row in np.flatnonzero(events.kind == EventKind.PURCHASED).tolist():
        customer = int(events.customer[row])
        earlier = (events.customer == customer) & (np.arange(len(events)) < row)
        before = model.advance(start, events.rows(earlier)).take([customer])
        memory = Memory.from_bytes(before.items[0])
        if not memory.lines:
            continue
        share = found.distribution([memory], found.market, h=before.h if with_network else None)
        item = int(found.frame.lines(events.rows(np.array([row]))).item[0])
        nll = np.nan if item == UNKNOWN else -np.log(share[0, item])
        opens = not memory.continues(int(events.order[row]))
        expected.append((nll, opens, memory.orders))
    assert seen.nll == pytest.approx([nll for nll, _, _ in expected], rel=1e-4, nan_ok=True)
    assert list(zip(seen.opens.tolist(), seen.orders.tolist(), strict=True)) == [
        (opens, orders) for _, opens, orders in expected
    ]
    assert (np.isnan(seen.nll) == (seen.rank > len(found.frame.vocabulary))).all()


@settings(deadline=None, max_examples=20)
@given(made=busy)
def test_a_batch_foresees_as_much_as_its_halves(made):
    model, events = MODELS[True], table(made)
    assert model.next_item is not None
    market = model.next_item.market
    start = model.initial_state(countries(len(made)))
    whole = foresee(model, start, events, market)
    middle = np.median(events.occurred_at_ms) if len(events) else 0
    early = events.occurred_at_ms < middle
    first = foresee(model, start, events.rows(early), market)
    second = foresee(model, model.advance(start, events.rows(early)), events.rows(~early), market)
    assert len(whole) == len(first) + len(second)
    assert np.nansum(whole.nll) == pytest.approx(np.nansum(first.nll) + np.nansum(second.nll))


def test_a_model_without_a_mixture_foresees_nothing():
    model = small_model()
    with pytest.raises(NoMixture, match="train another version"):
        foresee(model, model.initial_state(["GB"]), table([[]]), MODELS[False].next_item.market)
