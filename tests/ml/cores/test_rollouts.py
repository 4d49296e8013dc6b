"""Rollouts with every core: no row can tell with which others it was computed."""

import numpy as np
import pytest
import torch

import ml.rollout as rollout_module
from ml.cores import CORES
from ml.response import AssumedResponse
from ml.rollout import RolloutOutcome, RolloutPlan, Scenario, rollout
from ml.states import TwinStates
from ml.timing import DAY_MS
from ml.twin import TwinModel
from tests.ml.histories import habits, small_model

RESPONSE = AssumedResponse(mean=1.5, spread=0.5)
CUSTOMERS = 24


@pytest.fixture(scope="module", params=CORES)
def model(request: pytest.FixtureRequest) -> TwinModel:
    made = small_model(core=request.param)
    with torch.no_grad():
        made.heads.same_order.weight.mul_(0.3)
    return made


def twins(model: TwinModel) -> tuple[TwinStates, list[str], RolloutPlan]:
    events, countries = habits(customers=CUSTOMERS, orders=3)
    states = model.advance(model.initial_state(countries), events)
    plan = RolloutPlan(
        scenarios=(Scenario(0.2), Scenario(0.0, 2)), horizon_days=30, offer_days=8, replicates=2,
        seed=12, start_ms=int(states.clock_ms.max()) + DAY_MS,
    )  # fmt: skip
    return states, countries, plan


def rolled(model: TwinModel, rows: np.ndarray) -> RolloutOutcome:
    states, countries, plan = twins(model)
    return rollout(model, states.take(rows), rows, [countries[r] for r in rows], plan, RESPONSE)


def test_any_chunking_and_any_order_of_customers_end_in_the_same_integers(model):
    every = np.arange(CUSTOMERS)
    whole = rolled(model, every)
    mixed = np.random.default_rng(0).permutation(CUSTOMERS)

    parts = RolloutOutcome.combined([rolled(model, part) for part in np.split(every, [5, 6, 17])])
    shuffled = rolled(model, mixed)

    assert whole.lines.sum() > 100
    for name in ("orders", "lines", "revenue_cents", "by_day", "customer_revenue_cents"):
        assert np.array_equal(getattr(parts, name), getattr(whole, name)), name
    wanted = whole.customer_revenue_cents[:, mixed]
    assert np.array_equal(shuffled.customer_revenue_cents, wanted)


def test_an_offer_of_nothing_equals_the_control(model):
    outcome = rolled(model, np.arange(CUSTOMERS))
    assert np.array_equal(outcome.revenue_cents[2], outcome.revenue_cents[0])
    assert not np.array_equal(outcome.revenue_cents[1], outcome.revenue_cents[0])


def test_the_lines_drawn_are_fed_back_into_the_state(model, monkeypatch):
    """The core is asked with the state that it gave for the row's line before.

    Between two orders of a row, others have their turn.
    """
    monkeypatch.setitem(rollout_module.TILE_ROWS, "cpu", 1)
    given: list[tuple[torch.Tensor, ...]] = []
    forward = model.core.forward

    def spy(x, h, c):
        after = forward(x, h, c)
        given.append((h.clone(), c.clone(), *(part.clone() for part in after)))
        return after

    monkeypatch.setattr(model.core, "forward", spy)
    states, _, _ = twins(model)
    for customer in range(CUSTOMERS):  # luck under which there is something to see
        given.clear()
        rolled(model, np.array([customer]))
        if len(given) > 6:
            break
    onward = sum(
        any(
            torch.equal(asked[0], told[2]) and torch.equal(asked[1], told[3])
            for told in given[:place]
        )
        for place, asked in enumerate(given)
    )
    begun = [asked for asked in given if torch.equal(asked[0][0], torch.tensor(states.h[customer]))]
    assert 0 < len(begun) <= 4  # control and treated, twice
    assert onward + len(begun) == len(given) > 6
