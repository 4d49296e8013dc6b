"""Replaying all of a reason or a source: here and now, or in chunks where they are many."""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.urls import reverse

from common.later import ask_later
from common.models import Operation, WorkChunk
from common.operations import (
    claim_chunk,
    create_operation,
    fail_operation,
    finish_chunk,
    operation_by_id,
    remaining_chunks,
    succeed_operation,
    unfinished_operations,
)
from events.models import QuarantinedEvent
from events.services.replay import CHUNK, ReplayReport, replay

audit = logging.getLogger("dtoc.audit")

KIND = "quarantine_replay"
TASK = "events.replay_quarantined"
LIST_ROUTE = "quarantine"
AT_ONCE = 500
MOST_ATTEMPTS = 5
# The first id of every chunk; rows that come later than this moment belong to another replay.
CUTS = """
SELECT id FROM (
    SELECT id, row_number() OVER (ORDER BY id) AS number FROM events_quarantinedevent
    WHERE status = 'waiting' AND (%(reason)s = '' OR reason = %(reason)s)
        AND (%(source)s = '' OR source = %(source)s) AND id <= %(last)s
) AS numbered WHERE number %% %(chunk)s = 1 ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class BulkReplay:
    """What came of asking: a report, or the operation that will do it."""

    report: ReplayReport | None = None
    operation: Operation | None = None


def replay_all(*, reason: str, source: str, by: str, at: datetime) -> BulkReplay:
    """All that wait with this reason and of this source ("": any) are replayed or about to be.

    Up to 500 at once; more of them in the background, as an operation with progress.
    """
    extra = {"reason": reason, "source": source, "by": by}
    audit.info("quarantined events replayed in bulk", extra=extra)
    ids = list(_matching(reason, source).values_list("id", flat=True)[: AT_ONCE + 1])
    if len(ids) <= AT_ONCE:
        return BulkReplay(report=replay(ids=ids, by=by, at=at))
    return BulkReplay(operation=_start(reason, source, by, at))


def run_replay(*, operation_id: UUID, holder: str, at: datetime) -> bool:
    """One chunk of the operation is replayed; False where nothing was left to do.

    Any number of workers may do this at once, and a chunk that was begun twice stores nothing
    twice.
    """
    chunk = claim_chunk(operation_id=operation_id, holder=holder, at=at)
    if chunk is None:
        if not remaining_chunks(operation_id):
            url = reverse(LIST_ROUTE)
            succeed_operation(operation_id=operation_id, result_url=url, at=at)
        return False
    operation = operation_by_id(operation_id)
    if chunk.attempt > MOST_ATTEMPTS:
        detail = f"chunk {chunk.number} was begun {MOST_ATTEMPTS} times and never finished"
        fail_operation(operation_id=operation_id, code="chunk-never-finished", detail=detail, at=at)
        return False
    report = replay(ids=_ids_of(operation, chunk), by=operation.requested_by, at=at)
    counted = {**report.counts(), "problems": dict(report.problems())}
    finish_chunk(
        chunk_id=chunk.id, holder=holder, result=counted, done=_size(operation, chunk), at=at
    )
    return True


def resume_replays() -> int:
    """A worker is told about each replay that is not finished; returns how many they are."""
    unfinished = unfinished_operations(KIND)
    for operation_id in unfinished:
        ask_later(TASK, operation_id=str(operation_id))
    return len(unfinished)


def _start(reason: str, source: str, by: str, at: datetime) -> Operation:
    facts: dict[str, Any] = {"reason": reason, "source": source}
    last = _matching(reason, source).order_by("-id").values_list("id", flat=True)[0]
    facts["last"] = last
    with connection.cursor() as cursor:
        cursor.execute(CUTS, {**facts, "chunk": CHUNK})
        facts["cuts"] = [row[0] for row in cursor]
    rest = _matching(reason, source).filter(id__gte=facts["cuts"][-1], id__lte=last).count()
    operation = create_operation(
        kind=KIND,
        unit="events",
        total=(len(facts["cuts"]) - 1) * CHUNK + rest,
        chunks=len(facts["cuts"]),
        requested_by=by,
        payload=facts,
        at=at,
    )
    ask_later(TASK, operation_id=str(operation.id))
    return operation


def _matching(reason: str, source: str) -> Any:
    rows = QuarantinedEvent.objects.filter(status=QuarantinedEvent.Status.WAITING)
    if reason:
        rows = rows.filter(reason=reason)
    return (rows.filter(source=source) if source else rows).order_by("id")


def _ids_of(operation: Operation, chunk: WorkChunk) -> list[int]:
    cuts, last = operation.payload["cuts"], operation.payload["last"]
    end = cuts[chunk.number + 1] if chunk.number + 1 < len(cuts) else last + 1
    rows = _matching(operation.payload["reason"], operation.payload["source"])
    found = rows.filter(id__gte=cuts[chunk.number], id__lt=end)
    return list(found.values_list("id", flat=True))


def _size(operation: Operation, chunk: WorkChunk) -> int:
    """What the chunk began with, so that progress reaches its total."""
    is_last = chunk.number == len(operation.payload["cuts"]) - 1
    return operation.total - chunk.number * CHUNK if is_last else CHUNK
