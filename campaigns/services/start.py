"""A simulation begins: its twins are pinned, its chunks queued, workers are told."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction

from campaigns.errors import EmptyAudience, NotRepeatable
from campaigns.models import Audience, Campaign, SimulationMember, SimulationRun
from campaigns.plan import SimulationPlan, check_start
from campaigns.population import (
    active_standings_locked,
    active_version,
    moment_of,
    twins_of,
    version_by_id,
)
from campaigns.selectors import (
    KIND,
    audience_by_id,
    campaign_by_id,
    simulation_by_id,
    unit_costs,
)
from campaigns.services.audience import in_words
from common.canonical_json import dumps, iso, sha256_hex
from common.ids import code_version
from common.later import ask_later
from common.models import Operation
from common.operations import create_operation
from twins.models import ModelVersion, Twin

TASK = "campaigns.run_simulation"
MOST_NUDGES = 8
BATCH = 2_000
UNIT = "customers"
ECONOMICS = ("margin_rate", "funded_share", "contact_cost", "fixed_cost", "budget")


@dataclass(frozen=True, slots=True)
class Pins:
    """Twins as they are to be simulated, in the run's fixed order, and who could not be pinned."""

    members: list[SimulationMember]
    left_out: dict[str, int]

    @property
    def sha256(self) -> str:
        """The SHA-256 over every member's pseudonym, stream version, country and state."""
        digest = hashlib.sha256()
        for member in self.members:
            facts = [str(member.pseudonym), member.stream_version, member.country, member.memory]
            digest.update(dumps(facts))
            digest.update(bytes(member.h))
            digest.update(bytes(member.c))
        return digest.hexdigest()


@transaction.atomic
def start_simulation(
    *,
    campaign_id: UUID,
    audience_id: UUID,
    depths: Sequence[Decimal],
    delays_days: Sequence[int],
    horizon_days: int,
    replicates: int,
    seed: int,
    response: dict[str, Any],
    requested_by: str,
    at: datetime,
    as_of: datetime | None = None,
) -> SimulationRun:
    """A queued simulation with its operation; workers are told once the transaction commits.

    The members' states are copied now, so whatever the twins see later changes nothing. The
    horizon begins at ``as_of``; left out, at the newest moment that any twin has seen. Members who
    were erased or restricted since the audience was evaluated do not take part, nor do those
    whose twins have seen an event after ``as_of``.

    Raises:
        UnknownCampaign, UnknownAudience: there is none of that id.
        InvalidSimulation, GridTooLarge: the plan cannot be run.
        NoActiveModel: no model is active.
        EmptyAudience: no member is left who has a twin.
    """
    campaign, audience = campaign_by_id(campaign_id), audience_by_id(audience_id)
    plan = SimulationPlan(
        depths=[_plain(depth) for depth in depths],
        delays_days=list(delays_days),
        horizon_days=horizon_days,
        replicates=replicates,
        seed=seed,
        response=response,
    )
    plan.check()
    check_start(as_of, at)
    version = active_version()
    moment = moment_of(version, as_of)
    pins = _pins_of(audience, version, moment)
    if not pins.members:
        raise EmptyAudience(considered=audience.size, left_out=in_words(pins.left_out))
    return _begin(campaign, audience, plan, version, moment, pins, requested_by, at)


@transaction.atomic
def repeat_simulation(*, simulation_id: UUID, requested_by: str, at: datetime) -> SimulationRun:
    """A new run of the same plan on the same pinned twins: its result is equal to the last digit.

    Raises:
        UnknownSimulation: there is none of that id.
        NotRepeatable: people were erased since, so the twins are no longer the same.
    """
    first = simulation_by_id(simulation_id)
    plan = SimulationPlan(
        depths=[Decimal(depth) for depth in first.depths],
        delays_days=first.delays_days,
        horizon_days=first.horizon_days,
        replicates=first.replicates,
        seed=first.seed,
        response=first.response,
    )
    kept = list(first.members.order_by("pseudonym"))
    allowed = active_standings_locked(member.pseudonym for member in kept)
    members = [_pin(member, member.country) for member in kept if member.pseudonym in allowed]
    pinned = first.manifest["customers"]["pinned"]
    if len(members) < pinned:
        raise NotRepeatable(simulation_id=first.id, pinned=pinned, left=len(members))
    pins = Pins(members, first.manifest["customers"]["left_out"])
    version = version_by_id(first.model_version)
    return _begin(
        first.campaign, first.audience, plan, version, first.as_of, pins, requested_by, at, first
    )


def _begin(
    campaign: Campaign,
    audience: Audience,
    plan: SimulationPlan,
    version: ModelVersion,
    as_of: datetime,
    pins: Pins,
    requested_by: str,
    at: datetime,
    repeats: SimulationRun | None = None,
) -> SimulationRun:
    size = plan.chunk_size(len(pins.members))
    run = SimulationRun(
        id=uuid4(),
        campaign=campaign,
        audience=audience,
        repeats=repeats,
        depths=[str(depth) for depth in plan.depths],
        delays_days=plan.delays_days,
        horizon_days=plan.horizon_days,
        replicates=plan.replicates,
        seed=plan.seed,
        chunk_size=size,
        response=plan.response,
        unit_costs=repeats.unit_costs if repeats else unit_costs(),
        model_version=version.id,
        as_of=as_of,
        code_version=code_version(),
        requested_by=requested_by,
        created_at=at,
    )
    run.manifest = _manifest(run, version, pins)
    run.manifest_sha256 = sha256_hex(run.manifest)
    run.operation = _operation(run, len(pins.members))
    run.save()
    _store_members(run, pins.members)
    for _ in range(min(-(-len(pins.members) // size), MOST_NUDGES)):
        ask_later(TASK, operation_id=str(run.operation_id))
    return run


def _operation(run: SimulationRun, members: int) -> Operation:
    return create_operation(
        kind=KIND,
        unit=UNIT,
        total=members,
        chunks=-(-members // run.chunk_size),
        requested_by=run.requested_by,
        payload={"simulation_id": str(run.id)},
        at=run.created_at,
    )


def _store_members(run: SimulationRun, members: Iterable[SimulationMember]) -> None:
    rows = list(members)
    for index, member in enumerate(rows):
        member.run = run
        member.chunk = index // run.chunk_size
    SimulationMember.objects.bulk_create(rows, batch_size=BATCH)


def _pins_of(audience: Audience, version: ModelVersion, as_of: datetime) -> Pins:
    wanted = list(audience.members.values_list("pseudonym", flat=True))
    allowed = active_standings_locked(wanted)
    found = twins_of(version, allowed)
    usable = [twin for twin in found if twin.clock_at is None or twin.clock_at <= as_of]
    members = [_pin(twin, allowed[twin.pseudonym].country) for twin in usable]
    left_out = {
        "erased_or_restricted": audience.size - len(allowed),
        "no_twin": len(allowed) - len(found),
        "seen_later": len(found) - len(usable),
    }
    return Pins(members, left_out)


def _pin(twin: Twin | SimulationMember, country: str) -> SimulationMember:
    return SimulationMember(
        pseudonym=twin.pseudonym,
        stream_version=twin.stream_version,
        country=country,
        h=twin.h,
        c=twin.c,
        memory=twin.memory,
    )


def _manifest(run: SimulationRun, version: ModelVersion, pins: Pins) -> dict[str, Any]:
    """Everything that the result depends on, and nothing that differs between equal runs."""
    return {
        "seed": run.seed,
        "replicates": run.replicates,
        "depths": run.depths,
        "delays_days": run.delays_days,
        "horizon_days": run.horizon_days,
        "offer": {"kind": run.campaign.offer_kind, "days": run.campaign.offer_days},
        "currency": run.campaign.currency,
        "economics": _economics(run),
        "response": run.repeats.manifest["response"] if run.repeats else run.response,
        "as_of": iso(run.as_of),
        "model_version": {"id": str(version.id), "name": version.name, "sha256": version.sha256},
        "audience": {"id": str(run.audience_id), "sha256": run.audience.sha256},
        "customers": {"pinned": len(pins.members), "left_out": pins.left_out},
        "twins_sha256": pins.sha256,
        "chunk_size": run.chunk_size,
        "code_version": run.code_version,
    }


def _economics(run: SimulationRun) -> dict[str, Any]:
    """What margin and profit are computed with; amounts and shares as decimal strings."""
    campaign = run.campaign
    figures = {name: getattr(campaign, name) for name in ECONOMICS}
    return {
        **{name: None if value is None else f"{value:f}" for name, value in figures.items()},
        "unit_costs": {"products": len(run.unit_costs), "sha256": sha256_hex(run.unit_costs)},
    }


def _plain(depth: Decimal) -> Decimal:
    """``depth`` without trailing zeros or an exponent, so that 0.10 and 0.1 are one depth."""
    return Decimal(f"{depth.normalize():f}")
