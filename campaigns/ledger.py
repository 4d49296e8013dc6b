"""Reading the policy ledger: launches, who was exposed to them, and the record of the forecasts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, QuerySet

from campaigns.errors import LaunchNotRunning, UnknownLaunch
from campaigns.models import Decision, Exposure, PolicyLedgerEntry, SimulationMember
from common.models import Operation, WorkChunk
from common.operations import unfinished_operations
from customers.models import Customer

KIND = "launch"
BATCH = 2_000
Status = PolicyLedgerEntry.Status
OPEN = (Status.LAUNCHING, Status.RUNNING)
ENDED_BADLY = (Operation.Status.FAILED, Operation.Status.CANCELLED, Operation.Status.EXPIRED)


def launches(campaign_id: UUID | None = None) -> QuerySet[PolicyLedgerEntry]:
    """The policy ledger, all of it or of one campaign, the newest launch first."""
    entries = PolicyLedgerEntry.objects.select_related("campaign", "simulation", "operation")
    if campaign_id is not None:
        entries = entries.filter(campaign_id=campaign_id)
    return entries.order_by("-launched_at", "-id")


def launch_by_id(launch_id: UUID) -> PolicyLedgerEntry:
    """One launch with its campaign, simulation and operation.

    Raises:
        UnknownLaunch: there is none of that id.
    """
    entry = launches().filter(id=launch_id).first()
    if entry is None:
        raise UnknownLaunch(launch_id=launch_id)
    return entry


def launched_by_id(launch_id: UUID) -> PolicyLedgerEntry:
    """One launch of which every customer has an arm, and that was not cancelled.

    Raises:
        UnknownLaunch: there is none of that id.
        LaunchNotRunning: whom it is for is not settled yet, or nobody is to be made the offer.
    """
    entry = launch_by_id(launch_id)
    if entry.status not in (Status.RUNNING, Status.SETTLED):
        todo = "wait until all customers are assigned; the list of a cancelled one is not given out"
        raise LaunchNotRunning(launch_id=launch_id, status=entry.status, todo=todo)
    return entry


def launch_of_operation(operation_id: UUID) -> PolicyLedgerEntry:
    """The launch that an operation works on.

    Raises:
        UnknownLaunch: the operation is none of a launch.
    """
    entry = launches().filter(operation_id=operation_id).first()
    if entry is None:
        raise UnknownLaunch(launch_id=f"of operation {operation_id}")
    return entry


def overlapping_launch(
    campaign_id: UUID, starts_at: datetime, ends_at: datetime
) -> PolicyLedgerEntry | None:
    """A launch of the campaign that is not over and counts within [starts_at, ends_at)."""
    mine = PolicyLedgerEntry.objects.filter(campaign_id=campaign_id, status__in=OPEN)
    return mine.filter(starts_at__lt=ends_at, ends_at__gt=starts_at).first()


def members_in(run_id: UUID, first_chunk: int, end_chunk: int) -> list[UUID]:
    """Who of a simulation stands in its chunks [first, end), in ascending order.

    The erased are not among them: each keeps the place that the simulation gave it, so people who
    are erased meanwhile move nobody else from one piece of work into another.
    """
    members = SimulationMember.objects.filter(
        run_id=run_id, chunk__gte=first_chunk, chunk__lt=end_chunk
    )
    return list(members.order_by("pseudonym").values_list("pseudonym", flat=True))


def often_contacted(
    pseudonyms: Iterable[UUID], entry: PolicyLedgerEntry, *, cap: int, days: int
) -> set[UUID]:
    """Who was made ``cap`` offers or more within ``days`` before a launch, that launch left out.

    Offers of decisions count too, those that may still be shown included.
    """
    asked, at = list(pseudonyms), entry.assigned_at
    since = at - timedelta(days=days)
    treated = {"pseudonym__in": asked, "arm": Exposure.Arm.TREATMENT}
    made = Exposure.objects.filter(**treated, assigned_at__gt=since, assigned_at__lte=at)
    made = made.exclude(launch_id=entry.id)
    waiting = Decision.objects.filter(
        **treated, decided_at__gt=since, decided_at__lte=at, outcome="", show_until__gt=at
    )
    contacts: Counter[UUID] = Counter()
    for offers in (made, waiting):
        counted = offers.values("pseudonym").annotate(count=Count("id")).order_by()
        contacts.update(dict(counted.values_list("pseudonym", "count")))
    return {pseudonym for pseudonym, count in contacts.items() if count >= cap}


def campaign_exposures(campaign_id: UUID, arm: str | None = None) -> QuerySet[Exposure]:
    """Who was exposed to a campaign, in both arms or one, the newest first."""
    exposures = Exposure.objects.filter(campaign_id=campaign_id)
    return (exposures.filter(arm=arm) if arm else exposures).order_by("-id")


def customer_exposures(pseudonym: UUID) -> QuerySet[Exposure]:
    """What a customer was exposed to, the newest first."""
    return Exposure.objects.filter(pseudonym=pseudonym).order_by("-id")


def usable_exposures(entry: PolicyLedgerEntry, arm: str | None = None) -> QuerySet[Exposure]:
    """The exposures of a launch whose customers' data may still be used, by pseudonym."""
    active = Customer.objects.filter(pseudonym=OuterRef("pseudonym"), status=Customer.Status.ACTIVE)
    exposures = Exposure.objects.filter(Exists(active), launch=entry)
    return (exposures.filter(arm=arm) if arm else exposures).order_by("pseudonym")


def handed_over(entry: PolicyLedgerEntry, arm: str | None) -> Iterator[tuple[UUID, str, str]]:
    """Pseudonym, arm and depth of a launch's customers, read from the database bit by bit."""
    rows = usable_exposures(entry, arm).values_list("pseudonym", "arm", "depth")
    for pseudonym, its_arm, depth in rows.iterator(chunk_size=BATCH):
        yield pseudonym, its_arm, f"{depth.normalize():f}"


def stalled_launches(at: datetime) -> list[UUID]:
    """Operations of unfinished launches that nobody works on: no lease of theirs still runs."""
    worked_on = WorkChunk.objects.filter(operation_id=OuterRef("operation_id"), lease_until__gte=at)
    unfinished = PolicyLedgerEntry.objects.filter(operation_id__in=unfinished_operations(KIND))
    stalled = unfinished.filter(~Exists(worked_on)).order_by("launched_at")
    return list(stalled.values_list("operation_id", flat=True))


def broken_launches() -> QuerySet[PolicyLedgerEntry]:
    """Launches whose operation failed, expired or was cancelled before all were assigned."""
    return PolicyLedgerEntry.objects.filter(
        status=Status.LAUNCHING, operation__status__in=ENDED_BADLY
    )


def due_launches(before: datetime) -> list[UUID]:
    """Running launches whose window ended at ``before`` or earlier, the oldest first."""
    running = PolicyLedgerEntry.objects.filter(status=Status.RUNNING, ends_at__lte=before)
    return list(running.order_by("ends_at", "id").values_list("id", flat=True))


@dataclass(frozen=True, slots=True)
class Record:
    """How well forecasts of the uplift in revenue met what was measured."""

    settled: int
    compared: int
    within: int
    relative_errors: list[float]

    @property
    def within_share(self) -> float | None:
        return self.within / self.compared if self.compared else None

    @property
    def mean_relative_error(self) -> float | None:
        """Of the forecasts that were not 0; absolute error over the forecast's size."""
        errors = self.relative_errors
        return sum(errors) / len(errors) if errors else None


def record(model_version: UUID | None = None) -> Record:
    """The record of every model, or of one: launches that could not be graded count as settled."""
    settled = PolicyLedgerEntry.objects.filter(status=Status.SETTLED)
    if model_version is not None:
        settled = settled.filter(model_version=model_version)
    rows: list[dict[str, Any]] = list(settled.values_list("measured__against_forecast", flat=True))
    grades = [row["revenue"] for row in rows if row and row["revenue"]["within"] is not None]
    errors = [grade["relative_error"] for grade in grades]
    return Record(
        settled=len(rows),
        compared=len(grades),
        within=sum(grade["within"] for grade in grades),
        relative_errors=[error for error in errors if error is not None],
    )
