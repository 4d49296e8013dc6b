"""One chunk of a simulation, computed. Loads torch; for workers only."""

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from campaigns.models import SimulationMember, SimulationRun
from campaigns.outcomes import MEASURES, PACKED, Integers, Sums
from campaigns.population import EPOCH, version_by_id
from campaigns.segments import SEGMENTS, segments_of
from campaigns.selectors import members_of_chunk
from ml.response import Response, response_from
from ml.rollout import Accounts, RolloutOutcome, RolloutPlan, Scenario, rollout
from ml.states import TwinStates
from ml.twin import TwinModel
from twins.selectors import loaded_model


def simulated(run: SimulationRun, chunk: int, response: Response) -> Sums:
    """What the customers of one chunk who have not been erased since do in every arm.

    Depends on nothing but the run's own rows and the model version that it names.
    """
    members = members_of_chunk(run.id, chunk)
    segment = segments_of(member.memory for member in members)
    plan = plan_of(run)
    if not members:
        return sums_of(RolloutOutcome.empty(plan, 0, segments=len(SEGMENTS)), segment)
    model = loaded_model(version_by_id(run.model_version))
    outcome = rollout(
        model,
        _states(members),
        row_keys([member.pseudonym for member in members]),
        [member.country for member in members],
        plan,
        response,
        accounts_of(run, model, segment),
    )
    return sums_of(outcome, segment)


def accounts_of(run: SimulationRun, model: TwinModel, segment: Integers) -> Accounts:
    """What goods cost in this run: the pinned unit costs, else what the margin rate leaves."""
    economics = run.manifest["economics"]
    rate = 0.0 if economics["margin_rate"] is None else 1 - float(economics["margin_rate"])
    shares = np.full(model.vocabulary, rate)
    places = {sku: place for place, sku in enumerate(model.dictionaries.items)}
    prices = model.item_price.cpu().numpy().astype(np.float64)
    for sku, cost in run.unit_costs.items():
        if sku in places:
            shares[places[sku]] = float(cost) / prices[places[sku]]
    return Accounts(
        cost_share=shares,
        funded_share=float(economics["funded_share"]),
        segment=segment,
        segments=len(SEGMENTS),
    )


def plan_of(run: SimulationRun) -> RolloutPlan:
    """The run's grid in the order of its scenarios: every delay of the first depth, and so on."""
    grid = [(depth, delay) for depth in run.depths for delay in run.delays_days]
    return RolloutPlan(
        scenarios=tuple(Scenario(float(depth), delay) for depth, delay in grid),
        horizon_days=run.horizon_days,
        offer_days=run.campaign.offer_days,
        replicates=run.replicates,
        seed=run.seed,
        start_ms=round((run.as_of - EPOCH).total_seconds() * 1000),
    )


def response_of(run: SimulationRun) -> Response:
    """The response model that the run's manifest names."""
    return response_from(run.manifest["response"])


def row_keys(pseudonyms: Sequence[UUID]) -> Integers:
    """The noise key of each customer: the first 64 bits of the pseudonym, as a signed number."""
    keys = (int.from_bytes(p.bytes[:8], "big", signed=True) for p in pseudonyms)
    return np.fromiter(keys, np.int64, len(pseudonyms))


def sums_of(outcome: RolloutOutcome, segment: Integers) -> Sums:
    """The part of an outcome that names nobody; ``segment`` is each customer's."""
    return Sums(
        segments=np.bincount(segment, minlength=len(SEGMENTS)),
        measures={name: getattr(outcome, name) for name in MEASURES},
        **{name: getattr(outcome, name) for name in PACKED},
    )


def _states(members: Sequence[SimulationMember]) -> TwinStates:
    return TwinStates.from_bytes(
        [bytes(member.h) for member in members],
        [bytes(member.c) for member in members],
        [member.memory for member in members],
    )
