"""Long work in chunks. The truth is in PostgreSQL; the broker carries ids only.

A worker claims a chunk under a lease, computes, and hands in the result. Only the holder of the
lease may hand in, so a chunk counts once, however often it was delivered or started.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from common.errors import OperationExpired, OperationFinished, UnknownOperation
from common.models import Operation, WorkChunk

LEASE = timedelta(seconds=60)
KEPT = timedelta(days=7)
UNFINISHED = (Operation.Status.QUEUED, Operation.Status.RUNNING)


@transaction.atomic
def create_operation(
    *,
    kind: str,
    unit: str,
    total: int,
    chunks: int,
    requested_by: str,
    payload: dict[str, Any],
    at: datetime,
) -> Operation:
    """A queued operation with ``chunks`` chunks, numbered from 0, none of them begun."""
    operation = Operation.objects.create(
        kind=kind,
        unit=unit,
        total=total,
        requested_by=requested_by,
        payload=payload,
        created_at=at,
        expires_at=at + KEPT,
    )
    numbers = range(chunks)
    WorkChunk.objects.bulk_create(WorkChunk(operation=operation, number=n) for n in numbers)
    return operation


@transaction.atomic
def claim_chunk(*, operation_id: UUID, holder: str, at: datetime) -> WorkChunk | None:
    """The next chunk, leased to ``holder`` for 60 s; None where nothing is left to claim.

    A chunk whose lease ran out (its worker was killed) is given out again.
    """
    if not _begin(operation_id, at):
        return None
    free = Q(state=WorkChunk.State.QUEUED) | Q(state=WorkChunk.State.LEASED, lease_until__lt=at)
    chunk = (
        WorkChunk.objects.select_for_update(skip_locked=True)
        .filter(free, operation_id=operation_id)
        .order_by("number")
        .first()
    )
    if chunk is None:
        return None
    chunk.state = WorkChunk.State.LEASED
    chunk.holder = holder
    chunk.lease_until = at + LEASE
    chunk.attempt += 1
    chunk.save(update_fields=["state", "holder", "lease_until", "attempt"])
    return chunk


@transaction.atomic
def take_chunk(*, operation_id: UUID, holder: str, at: datetime) -> WorkChunk | None:
    """The next chunk that is not done, leased to ``holder`` even where another's lease still runs.

    For callers who know that the other is gone, or may be stopped: it cannot hand in any more.
    """
    if not _begin(operation_id, at):
        return None
    chunks = WorkChunk.objects.select_for_update().filter(operation_id=operation_id)
    chunk = chunks.exclude(state=WorkChunk.State.DONE).order_by("number").first()
    if chunk is not None:
        chunk.state, chunk.holder = WorkChunk.State.LEASED, holder
        chunk.lease_until, chunk.attempt = at + LEASE, chunk.attempt + 1
        chunk.save(update_fields=["state", "holder", "lease_until", "attempt"])
    return chunk


def give_chunk_back(*, chunk_id: int, holder: str) -> bool:
    """Whoever comes next may claim the chunk at once; False where the lease is no longer ours."""
    chunk = WorkChunk.objects.filter(id=chunk_id, holder=holder, state=WorkChunk.State.LEASED)
    return bool(chunk.update(state=WorkChunk.State.QUEUED, lease_until=None))


def renew_lease(*, chunk_id: int, holder: str, at: datetime) -> bool:
    """The lease runs for another 60 s; False where it is no longer ours or the work has ended."""
    # The holder is asked of the row itself: behind a join, who waited for somebody that took the
    # lease over would still see the old holder.
    chunk = WorkChunk.objects.filter(
        id=chunk_id,
        holder=holder,
        state=WorkChunk.State.LEASED,
        operation__in=Operation.objects.filter(status__in=UNFINISHED),
    )
    return bool(chunk.update(lease_until=at + LEASE))


@transaction.atomic
def finish_chunk(
    *, chunk_id: int, holder: str, result: dict[str, Any], done: int, at: datetime
) -> bool:
    """The chunk's result is kept and ``done`` units count as progress.

    False, and nothing written, where the lease went to another worker or the operation has ended.
    """
    chunk = WorkChunk.objects.select_for_update().select_related("operation").get(id=chunk_id)
    if chunk.holder != holder or chunk.state != WorkChunk.State.LEASED:
        return False
    if chunk.operation.is_finished:
        return False
    chunk.state, chunk.result, chunk.lease_until = WorkChunk.State.DONE, result, None
    chunk.save(update_fields=["state", "result", "lease_until"])
    Operation.objects.filter(id=chunk.operation_id).update(done=F("done") + done)
    return True


def succeed_operation(*, operation_id: UUID, result_url: str, at: datetime) -> bool:
    """The operation has succeeded; False where it had ended before."""
    return _end(operation_id, at, status=Operation.Status.SUCCEEDED, result_url=result_url)


def fail_operation(*, operation_id: UUID, code: str, detail: str, at: datetime) -> bool:
    """The operation has failed and says why; False where it had ended before."""
    error = {"code": code, "detail": detail}
    return _end(operation_id, at, status=Operation.Status.FAILED, error=error)


@transaction.atomic
def cancel_operation(*, operation_id: UUID, at: datetime) -> Operation:
    """No further chunk is given out and no running one is accepted.

    Raises:
        UnknownOperation: there is none of that id.
        OperationExpired, OperationFinished: it has ended.
    """
    operation = operation_by_id(operation_id)
    if not _end(operation_id, at, status=Operation.Status.CANCELLED):
        operation.refresh_from_db()
        if operation.status == Operation.Status.EXPIRED:
            raise OperationExpired(operation_id=operation_id)
        raise OperationFinished(operation_id=operation_id, status=operation.status)
    operation.refresh_from_db()
    return operation


def expire_operations(*, at: datetime) -> int:
    """Work that did not end within seven days has expired; returns how much it was."""
    forgotten = Operation.objects.filter(status__in=UNFINISHED, expires_at__lt=at)
    return forgotten.update(status=Operation.Status.EXPIRED, finished_at=at)


def operation_by_id(operation_id: UUID) -> Operation:
    """One operation.

    Raises:
        UnknownOperation: there is none of that id.
    """
    try:
        return Operation.objects.get(id=operation_id)
    except Operation.DoesNotExist:
        raise UnknownOperation(operation_id=operation_id) from None


def chunk_results(operation_id: UUID) -> list[dict[str, Any]]:
    """The results of the finished chunks in the order of their numbers."""
    done = WorkChunk.objects.filter(operation_id=operation_id, state=WorkChunk.State.DONE)
    return [result for result in done.order_by("number").values_list("result", flat=True) if result]


def remaining_chunks(operation_id: UUID) -> int:
    """How many chunks have no result yet."""
    chunks = WorkChunk.objects.filter(operation_id=operation_id)
    return chunks.exclude(state=WorkChunk.State.DONE).count()


def unfinished_operations(kind: str) -> list[UUID]:
    """Operations of one kind that still have work to do, oldest first."""
    unfinished = Operation.objects.filter(kind=kind, status__in=UNFINISHED)
    return list(unfinished.order_by("created_at").values_list("id", flat=True))


def _begin(operation_id: UUID, at: datetime) -> bool:
    queued = Operation.objects.filter(id=operation_id, status=Operation.Status.QUEUED)
    queued.update(status=Operation.Status.RUNNING, started_at=at)
    return Operation.objects.filter(id=operation_id, status=Operation.Status.RUNNING).exists()


def _end(operation_id: UUID, at: datetime, **fields: Any) -> bool:
    unfinished = Operation.objects.filter(id=operation_id, status__in=UNFINISHED)
    return bool(unfinished.update(finished_at=at, **fields))
