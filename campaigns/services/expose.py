"""Workers give every member of an audience an arm, or a reason why not, chunk by chunk."""

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID, uuid5

from django.db import transaction
from django.urls import reverse

from campaigns.grading import scaled
from campaigns.holdout import Arm, arm_of, in_global_holdout
from campaigns.ledger import launch_of_operation, members_in, often_contacted
from campaigns.models import Exposure, PolicyLedgerEntry
from campaigns.population import active_standings_locked, standings
from campaigns.services.launch import group_of, pinned
from campaigns.services.lease import Clock, kept_lease
from common.errors import DtocError
from common.locks import lock_streams
from common.models import WorkChunk
from common.operations import (
    chunk_results,
    claim_chunk,
    fail_operation,
    finish_chunk,
    remaining_chunks,
    succeed_operation,
)
from common.outbox import announce
from events.catalogue import OfferAssigned
from events.errors import EventIdConflict
from events.services import NewEvent, append_batch

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 5
LEFT_OUT = ("not_simulated", "erased", "restricted", "global_holdout", "over_contact_cap")
Status = PolicyLedgerEntry.Status


@dataclass(frozen=True, slots=True)
class Placing:
    """The arms of some customers, and how many others have none, by the first reason."""

    arms: dict[UUID, Arm]
    left_out: Counter[str]


def run_launch(
    *,
    operation_id: UUID,
    holder: str,
    clock: Clock,
    until: datetime | None = None,
    most_chunks: int | None = None,
) -> bool:
    """Chunks were assigned until none was left to claim: True. Or until a bound was met: False.

    Any number of workers may do this at once, and any of them may be killed: every customer has one
    exposure and one event. ``holder`` must be different for every call.

    Raises:
        UnknownLaunch: the operation is none of a launch.
    """
    entry = launch_of_operation(operation_id)
    if entry.operation.is_finished:
        return True
    for number in count():
        if (most_chunks is not None and number >= most_chunks) or (until and clock() >= until):
            break
        chunk = claim_chunk(operation_id=operation_id, holder=holder, at=clock())
        if chunk is None:
            complete_launch(entry=entry, at=clock())
            return True
        if not _worked_on(entry, chunk, holder, clock):
            return True
    return False


def _worked_on(entry: PolicyLedgerEntry, chunk: WorkChunk, holder: str, clock: Clock) -> bool:
    """The chunk is done, or somebody else's; False where the whole launch has failed."""
    if chunk.attempt > MOST_ATTEMPTS:
        # It has taken its worker down every time; an endless loop would take down all of them.
        detail = f"chunk {chunk.number} was begun {MOST_ATTEMPTS} times and never finished"
        _fail(entry, code="chunk-never-finished", detail=detail, at=clock())
        return False
    try:
        with kept_lease(chunk_id=chunk.id, holder=holder, clock=clock):
            assign_chunk(entry=entry, chunk=chunk, holder=holder, at=clock())
    except DtocError as error:
        logger.warning("launch failed", extra={"launch": str(entry.id), "code": error.code})
        _fail(entry, code=error.code, detail=str(error), at=clock())
        return False
    return True


@transaction.atomic
def assign_chunk(*, entry: PolicyLedgerEntry, chunk: WorkChunk, holder: str, at: datetime) -> bool:
    """Every customer of a chunk has an arm, an event that says so, and the chunk is done.

    All of it or nothing: False where the lease has gone to another worker or the launch has been
    cancelled. Done again, as after a restore, the ids of the events are the same and nothing is
    stored twice.
    """
    run = entry.simulation
    first = chunk.number * group_of(run)
    members = members_in(run.id, first, first + group_of(run))
    planned = _planned(entry, chunk.number)
    lock_streams(members)  # before any row is locked or written: the feed relies on that
    placing = _placed(entry, members)
    closed = _append(entry, placing.arms, at)
    exposed = {who: arm for who, arm in placing.arms.items() if who not in closed}
    _expose(entry, exposed)
    placing.left_out["erased"] += planned - len(members) + len(closed)
    arms: dict[str, Any] = dict(Counter(exposed.values()))
    result = arms | {"left_out": placing.left_out}
    if finish_chunk(chunk_id=chunk.id, holder=holder, result=result, done=planned, at=at):
        return True
    transaction.set_rollback(True)
    return False


def complete_launch(*, entry: PolicyLedgerEntry, at: datetime) -> bool:
    """The launch runs where everybody has an arm; False where it did before or cannot yet."""
    if remaining_chunks(entry.operation_id):
        return False
    parts = chunk_results(entry.operation_id)
    treated = sum(part.get("treatment", 0) for part in parts)
    control = sum(part.get("control", 0) for part in parts)
    url = reverse("launch", args=[entry.id])
    with transaction.atomic():
        # The one who ends the operation opens the window; whoever comes second finds it ended.
        if not succeed_operation(operation_id=entry.operation_id, result_url=url, at=at):
            return False
        PolicyLedgerEntry.objects.filter(id=entry.id, status=Status.LAUNCHING).update(
            status=Status.RUNNING,
            treated=treated,
            control=control,
            left_out=_left_out(entry, parts),
            forecast=scaled(entry.forecast, treated),
        )
        counts = {"treated": treated, "control": control}
        announce(type="campaign.launched", body=message(entry) | counts, at=at)
    return True


def message(entry: PolicyLedgerEntry) -> dict[str, Any]:
    """What others are told of a launch: ids and links."""
    links = {
        "launch": reverse("launch", args=[entry.id]),
        "export": reverse("launch-export", args=[entry.id]),
    }
    return {"launch_id": str(entry.id), "campaign_id": str(entry.campaign_id), "links": links}


def _placed(entry: PolicyLedgerEntry, members: list[UUID]) -> Placing:
    known = standings(members)
    active = active_standings_locked(members)
    rules, often = entry.rules, set[UUID]()
    if rules["contact_cap"]:
        cap, days = rules["contact_cap"], rules["contact_cap_days"]
        often = often_contacted(active, entry, cap=cap, days=days)
    placing = Placing({}, Counter())
    for member in members:
        if member not in active:
            restricted = member in known and known[member].status == "restricted"
            placing.left_out["restricted" if restricted else "erased"] += 1
        elif in_global_holdout(member, rules["global_holdout_share"]):
            placing.left_out["global_holdout"] += 1
        elif member in often:
            placing.left_out["over_contact_cap"] += 1
        else:
            share = float(entry.holdout_share)
            placing.arms[member] = arm_of(entry.campaign_id, member, share)
    return placing


def _append(entry: PolicyLedgerEntry, arms: dict[UUID, Arm], at: datetime) -> set[UUID]:
    """Each customer's stream says which arm; answers whose stream an erasure has closed.

    Raises:
        EventIdConflict: an event of that id says something else.
    """
    events = [_event(entry, pseudonym, arm) for pseudonym, arm in arms.items()]
    stored = append_batch(events=events, at=at)
    for event, result in zip(events, stored, strict=True):
        if result.status == "conflict":
            raise EventIdConflict(event_id=event.event_id)
    return {
        event.stream
        for event, result in zip(events, stored, strict=True)
        if result.status == "closed"
    }


def _event(entry: PolicyLedgerEntry, pseudonym: UUID, arm: Arm) -> NewEvent:
    return NewEvent(
        stream=pseudonym,
        event_id=uuid5(entry.id, str(pseudonym)),  # derived: a retry stores nothing twice
        type=OfferAssigned.type,
        schema_version=OfferAssigned.schema_version,
        occurred_at=entry.assigned_at,
        data=OfferAssigned(
            offer_id=str(entry.id),
            campaign_id=str(entry.campaign_id),
            kind=entry.campaign.offer_kind,
            depth=Decimal(f"{entry.depth.normalize():f}"),  # the same text, however it was read
            valid_from=entry.offer_starts_at,
            valid_until=entry.offer_ends_at,
            arm=arm,
        ),
        metadata={"source": "campaigns"},
    )


def _expose(entry: PolicyLedgerEntry, arms: dict[UUID, Arm]) -> None:
    Exposure.objects.bulk_create(
        (
            Exposure(
                campaign_id=entry.campaign_id,
                launch=entry,
                pseudonym=pseudonym,
                arm=arm,
                depth=entry.depth,
                assigned_at=entry.assigned_at,
            )
            for pseudonym, arm in arms.items()
        ),
        ignore_conflicts=True,
    )


def _planned(entry: PolicyLedgerEntry, number: int) -> int:
    """How many customers the chunk began with, so that progress reaches its total."""
    size = group_of(entry.simulation) * entry.simulation.chunk_size
    return min(size, pinned(entry.simulation) - number * size)


def _left_out(entry: PolicyLedgerEntry, parts: list[dict[str, Any]]) -> dict[str, int]:
    """With the treated and the control these add up to the audience as it was evaluated."""
    sums: Counter[str] = Counter()
    for part in parts:
        sums.update(part["left_out"])
    sums["not_simulated"] = entry.simulation.audience.size - pinned(entry.simulation)
    return {reason: sums[reason] for reason in LEFT_OUT}


@transaction.atomic
def _fail(entry: PolicyLedgerEntry, *, code: str, detail: str, at: datetime) -> None:
    fail_operation(operation_id=entry.operation_id, code=code, detail=detail, at=at)
    launching = PolicyLedgerEntry.objects.filter(id=entry.id, status=Status.LAUNCHING)
    launching.update(status=Status.CANCELLED)
