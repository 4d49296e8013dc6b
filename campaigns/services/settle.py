"""A launch is settled: what was forecast is graded against what was measured, once and for good."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction

from campaigns.errors import LaunchNotRunning, SettledTooEarly
from campaigns.grading import Figures, measured
from campaigns.ledger import due_launches, launch_by_id
from campaigns.measurement import measure
from campaigns.models import PolicyLedgerEntry
from campaigns.services.expose import message
from common.canonical_json import iso
from common.later import ask_later
from common.outbox import announce

TASK = "campaigns.settle_launch"
GRACE = timedelta(days=1)  # for events on their way: none that comes later changes a settlement
Status = PolicyLedgerEntry.Status


@transaction.atomic
def settle_launch(*, launch_id: UUID, at: datetime) -> PolicyLedgerEntry:
    """The launch holds its measured uplift and never changes again; settled before, it stays so.

    Only customers whose data may still be used are measured.

    Raises:
        UnknownLaunch: there is none of that id.
        LaunchNotRunning: customers are still being assigned, or it was cancelled.
        SettledTooEarly: its window has not ended.
    """
    # Whoever settles the same launch waits here and then finds it settled.
    PolicyLedgerEntry.objects.select_for_update(no_key=True).filter(id=launch_id).first()
    entry = launch_by_id(launch_id)
    if entry.status == Status.SETTLED:
        return entry
    if entry.status != Status.RUNNING:
        todo = "a cancelled one stays unmeasured, one that is being launched has to run first"
        raise LaunchNotRunning(launch_id=entry.id, status=entry.status, todo=todo)
    if at < entry.ends_at:
        raise SettledTooEarly(launch_id=entry.id, ends_at=iso(entry.ends_at), at=iso(at))
    entry.status, entry.settled_at = Status.SETTLED, at
    entry.measured = _measured(entry)
    entry.save(update_fields=["status", "settled_at", "measured"])
    announce(type="campaign.settled", body=message(entry) | _grade(entry.measured), at=at)
    return entry


def settle_launches(*, at: datetime, grace: timedelta = GRACE) -> int:
    """How many launches ended ``grace`` ago or earlier; a worker is told to settle each of them."""
    due = due_launches(at - grace)
    for launch_id in due:
        ask_later(TASK, launch_id=str(launch_id))
    return len(due)


def _measured(entry: PolicyLedgerEntry) -> Figures:
    found = measure(entry)
    days = (entry.ends_at - entry.starts_at).days
    figures = measured(found.arms, entry.forecast, window_days=days)
    left = sum(figures["customers"].values())
    return {
        **figures,
        "erased_or_restricted_meanwhile": entry.treated + entry.control - left,
        "lines_left_out": found.lines_left_out,
    }


def _grade(figures: Figures) -> dict[str, Any]:
    grades = figures["against_forecast"]
    return {"within_forecast": grades["revenue"]["within"] if grades else None}
