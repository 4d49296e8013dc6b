"""Simulated futures of many twins, untreated and treated, with common random numbers.

A row is one (customer, replicate, arm); until its offer opens, an arm shares the row of its
control. A row draws the time of its next order, then line after line of that order, and feeds each
one back into the core and into what is remembered of purchase days, until the next order lies
beyond the horizon: a customer's rate is learned on as the orders come.
Every replicate has a level of the whole shop of its own, which moves from week to week. Every draw
is addressed by (seed, customer, replicate, order and line, purpose), so the arms of one replicate
meet the same luck, and no row can tell with which others it was computed.

What the offer does comes from the response model alone: inside the offer's window it multiplies
the hazard of orders and the quantity of lines and lowers the price. The core is fed the lines as
they were bought, but not told of the offer, so that nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.encoding import look_up
from ml.response import Response
from ml.rollout_orders import Arms, Calendar, Orders
from ml.rollout_plan import (
    Accounts,
    BadPlan,
    Integers,
    RolloutOutcome,
    RolloutPlan,
    Scenario,
    StartBeforeClock,
)
from ml.rollout_rows import Customers
from ml.rollout_steps import Tile
from ml.rollout_tallies import Tallies
from ml.states import TwinStates
from ml.twin import TwinModel

__all__ = [
    "Accounts", "BadPlan", "RolloutOutcome", "RolloutPlan", "Scenario", "StartBeforeClock",
    "rollout",
]  # fmt: skip

# Fixed shapes, padded: the same row goes through the same instructions wherever it stands.
TILE_ROWS = {"cpu": 256, "cuda": 16_384}


def rollout(
    model: TwinModel,
    states: TwinStates,
    row_keys: Integers,
    countries: Sequence[str],
    plan: RolloutPlan,
    response: Response,
    accounts: Accounts | None = None,
) -> RolloutOutcome:
    """Return what these twins do within the plan's horizon, in every arm and replicate.

    ``row_keys`` (B,) are the customers' 64-bit noise keys: equal keys, equal luck. ``accounts`` say
    how it is counted; without them goods cost nothing. A customer's
    part of the outcome depends on nothing but that customer, the plan and the response, so any
    split of the customers adds up to the same integers on the CPU. Arms of depth 0 are the
    control. A twin without events is taken to begin at the start.

    Raises:
        StartBeforeClock: a twin has seen an event after the plan's start.
    """
    late = np.flatnonzero(states.clock_ms > plan.start_ms)
    if late.size:
        row = int(late[0])
        clock = int(states.clock_ms[row])
        raise StartBeforeClock(customer=row, clock_ms=clock, start_ms=plan.start_ms)
    if not len(states):
        return RolloutOutcome.empty(plan, 0, model.vocabulary, accounts.segments if accounts else 1)
    counted = accounts or Accounts.plain(len(states), model.vocabulary)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            distinct, places = plan.distinct
            found = _rolled_out(model, states, row_keys, countries, distinct, response, counted)
            return found.arms(places)
    finally:
        model.train(training)


def _rolled_out(
    model: TwinModel,
    states: TwinStates,
    row_keys: Integers,
    countries: Sequence[str],
    plan: RolloutPlan,
    response: Response,
    accounts: Accounts,
) -> RolloutOutcome:
    tile = TILE_ROWS.get(model.device.type, TILE_ROWS["cpu"])
    country = look_up(model.dictionaries.country_index(), countries)
    customers = Customers.of(model, states, row_keys, country, plan.start_ms)
    arms = _arms(plan, response, accounts, model.device)
    calendar = Calendar.of(model.rhythm, plan, model.device)
    tallies = Tallies.zero(plan, accounts, model.vocabulary, model.device)
    orders = Orders(customers, arms, plan, calendar)
    places = Tile.idle(tile, model.config.hidden, model.core.carried, model.device)
    while places.fill(orders):
        ended = places.step(model, arms, plan.seed, tallies)
        if ended is not None:
            orders.end(ended)
    return tallies.outcome()


def _arms(plan: RolloutPlan, response: Response, accounts: Accounts, device: torch.device) -> Arms:
    """Return what each arm does in each replicate, in which all customers answer alike."""
    effects = response.effects(plan.replicates, plan.seed)
    depths = [arm.depth for arm in plan.arms]

    def table(values: list[NDArray[np.float64]]) -> Tensor:
        return torch.from_numpy(np.stack(values)).to(device)

    windows = torch.tensor(plan.windows_ms(), dtype=torch.int64, device=device)
    return Arms(
        hazard=table([effects.hazard_multiplier(depth) for depth in depths]),
        quantity=table([effects.quantity_multiplier(depth) for depth in depths]),
        paid_share=1 - torch.tensor(depths, dtype=torch.float64, device=device),
        opens_ms=windows[:, 0].contiguous(),
        closes_ms=windows[:, 1].contiguous(),
        leaves_ms=torch.from_numpy(plan.leaves_ms()).to(device),
        cost_share=torch.from_numpy(accounts.cost_share).to(device),
        funded_share=accounts.funded_share,
    )
