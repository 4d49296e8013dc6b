"""A campaign is launched: its entry in the policy ledger opens, and workers assign the arms."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction

from campaigns.errors import InvalidLaunch, LaunchNotRunning, LaunchOverlaps, SimulationNotFinished
from campaigns.grading import forecast_of
from campaigns.ledger import (
    KIND,
    OPEN,
    broken_launches,
    launch_by_id,
    overlapping_launch,
    stalled_launches,
)
from campaigns.models import Campaign, PolicyLedgerEntry, SimulationRun
from campaigns.selectors import campaign_by_id, simulation_by_id
from common.canonical_json import iso
from common.clock import truncated
from common.errors import OperationExpired, OperationFinished
from common.later import ask_later
from common.models import Operation
from common.operations import cancel_operation, create_operation

TASK = "campaigns.run_launch"
UNIT = "customers"
CHUNK_CUSTOMERS = 2_000  # one transaction, which holds up whoever else appends to their streams
MOST_NUDGES = 4
LARGEST_HOLDOUT = Decimal("0.9")
USUAL_HOLDOUT = Decimal("0.1")
LONGEST_WINDOW_DAYS = 365
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = timedelta(days=365)  # after the launch
Status = PolicyLedgerEntry.Status


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """A scenario of a simulation that is to become real, and how it is going to be measured."""

    simulation: SimulationRun
    depth: Decimal
    delay_days: int
    holdout_share: Decimal
    starts_at: datetime
    window_days: int

    def check(self, at: datetime) -> None:
        """Nothing happens where the plan can be launched.

        Raises:
            InvalidLaunch: a value is out of range.
        """
        _check("holdout_share", self.holdout_share, Decimal(0), LARGEST_HOLDOUT)
        _check("window_days", self.window_days, self.delay_days + 1, LONGEST_WINDOW_DAYS)
        _check("starts_at", self.starts_at, EARLIEST, at + LATEST)

    @property
    def scenario(self) -> int:
        """The place of the scenario in the simulation's grid.

        Raises:
            InvalidLaunch: the simulation has none of that depth and delay.
        """
        run = self.simulation
        grid = [(Decimal(depth), delay) for depth in run.depths for delay in run.delays_days]
        if (self.depth, self.delay_days) not in grid:
            shown = ", ".join(f"{depth} after {delay} days" for depth, delay in grid[:20])
            value = f"{self.depth} after {self.delay_days} days"
            raise InvalidLaunch(field="depth and delay_days", value=value, expected=shown)
        return grid.index((self.depth, self.delay_days))


@transaction.atomic
def launch_campaign(
    *,
    campaign_id: UUID,
    simulation_id: UUID,
    depth: Decimal,
    delay_days: int,
    launched_by: str,
    at: datetime,
    holdout_share: Decimal = USUAL_HOLDOUT,
    starts_at: datetime | None = None,
    window_days: int | None = None,
) -> PolicyLedgerEntry:
    """An open entry of the policy ledger with its operation; workers are told after the commit.

    What the customers do counts in [starts_at, starts_at + window_days); left out, from now on and
    for as long as the simulation looked ahead. ``starts_at`` may lie in the past, for history that
    was imported. The entry runs once every member of the audience has an arm or a reason why not.

    Raises:
        UnknownCampaign, UnknownSimulation: there is none of that id.
        SimulationNotFinished: there is no forecast to be graded against.
        InvalidLaunch: a value is out of range, or the simulation has no such scenario.
        LaunchOverlaps: the campaign has a launch that counts at the same time.
    """
    campaign = campaign_by_id(campaign_id)
    run = _finished_simulation(campaign, simulation_id)
    plan = LaunchPlan(
        simulation=run,
        depth=depth,
        delay_days=delay_days,
        holdout_share=holdout_share,
        starts_at=truncated(starts_at or at),
        window_days=run.horizon_days if window_days is None else window_days,
    )
    scenario = plan.scenario
    plan.check(at)
    entry = _entry(campaign, plan, scenario, launched_by, at)
    # Whoever launches the same campaign waits here and then sees this entry.
    Campaign.objects.select_for_update(no_key=True).get(id=campaign.id)
    other = overlapping_launch(campaign.id, entry.starts_at, entry.ends_at)
    if other is not None:
        raise LaunchOverlaps(launch_id=other.id, ends_at=iso(other.ends_at))
    entry.operation = _operation(entry)
    entry.save(force_insert=True)
    for _ in range(min(chunks_of(run), MOST_NUDGES)):
        ask_later(TASK, operation_id=str(entry.operation_id))
    return entry


@transaction.atomic
def cancel_launch(*, launch_id: UUID, at: datetime) -> PolicyLedgerEntry:
    """The launch is cancelled and will never be measured; cancelled again it stays so.

    Whoever has an arm keeps it in the history: the events have been stored, the offer may be out.

    Raises:
        UnknownLaunch: there is none of that id.
        LaunchNotRunning: it has been settled.
    """
    entry = launch_by_id(launch_id)
    # Where it has ended everybody has an arm, or nobody is going to get one any more.
    with suppress(OperationFinished, OperationExpired):
        cancel_operation(operation_id=entry.operation_id, at=at)
    open_entry = PolicyLedgerEntry.objects.filter(id=entry.id, status__in=OPEN)
    cancelled = open_entry.update(status=Status.CANCELLED)
    entry = launch_by_id(launch_id)
    if not cancelled and entry.status != Status.CANCELLED:
        todo = "what was measured stands"
        raise LaunchNotRunning(launch_id=launch_id, status=entry.status, todo=todo)
    return entry


def sweep_launches(*, at: datetime) -> int:
    """How many unfinished launches nobody works on; a worker is told about each of them.

    Launches whose operation ended in another way than by success are cancelled.
    """
    for entry in broken_launches():
        cancel_launch(launch_id=entry.id, at=at)
    stalled = stalled_launches(at)
    for operation_id in stalled:
        ask_later(TASK, operation_id=str(operation_id))
    return len(stalled)


def group_of(run: SimulationRun) -> int:
    """How many chunks of the simulation make one of the launch."""
    return max(1, CHUNK_CUSTOMERS // run.chunk_size)


def chunks_of(run: SimulationRun) -> int:
    """How many chunks a launch of the simulated customers has."""
    return -(-pinned(run) // (group_of(run) * run.chunk_size))


def pinned(run: SimulationRun) -> int:
    """With how many customers the simulation began; nobody else can be launched from it."""
    return int(run.manifest["customers"]["pinned"])


def _finished_simulation(campaign: Campaign, simulation_id: UUID) -> SimulationRun:
    run = simulation_by_id(simulation_id)
    if run.campaign_id != campaign.id:
        expected = f"a simulation of campaign {campaign.id}"
        raise InvalidLaunch(field="simulation_id", value=simulation_id, expected=expected)
    if run.result is None:
        raise SimulationNotFinished(simulation_id=run.id, status=run.operation.status)
    return run


def _entry(
    campaign: Campaign, plan: LaunchPlan, scenario: int, launched_by: str, at: datetime
) -> PolicyLedgerEntry:
    run, result = plan.simulation, plan.simulation.result or {}
    offer_starts_at = plan.starts_at + timedelta(days=plan.delay_days)
    return PolicyLedgerEntry(
        id=uuid4(),
        campaign=campaign,
        simulation=run,
        depth=plan.depth,
        delay_days=plan.delay_days,
        holdout_share=plan.holdout_share,
        rules=_rules(),
        starts_at=plan.starts_at,
        ends_at=plan.starts_at + timedelta(days=plan.window_days),
        offer_starts_at=offer_starts_at,
        offer_ends_at=offer_starts_at + timedelta(days=campaign.offer_days),
        model_version=run.model_version,
        model_sha256=run.manifest["model_version"]["sha256"],
        response={name: result["response"].get(name) for name in RESPONSE},
        forecast={"currency": result["currency"], **forecast_of(result, scenario)},
        launched_by=launched_by,
        launched_at=at,
    )


RESPONSE = ("name", "provenance", "assumption_share")


def _rules() -> dict[str, Any]:
    """The settings as they are now: the whole launch keeps to them, whatever is set meanwhile."""
    return {
        "global_holdout_share": settings.DTOC_GLOBAL_HOLDOUT_SHARE,
        "contact_cap": settings.DTOC_CONTACT_CAP,
        "contact_cap_days": settings.DTOC_CONTACT_CAP_DAYS,
    }


def _operation(entry: PolicyLedgerEntry) -> Operation:
    return create_operation(
        kind=KIND,
        unit=UNIT,
        total=pinned(entry.simulation),
        chunks=chunks_of(entry.simulation),
        requested_by=entry.launched_by,
        payload={"launch_id": str(entry.id)},
        at=entry.launched_at,
    )


def _check(field: str, value: Any, low: Any, high: Any) -> None:
    if not low <= value <= high:
        raise InvalidLaunch(field=field, value=value, expected=f"{low} to {high}")
