"""Workers take a simulation's chunks, one after the other, until none is left."""

import logging
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

from django.db import transaction
from django.urls import reverse

from campaigns.models import SimulationRun
from campaigns.outcomes import Sums, total
from campaigns.results import result_of
from campaigns.selectors import simulation_of_operation
from campaigns.services.estimate import with_estimate
from campaigns.services.lease import Clock, kept_lease
from common.errors import DtocError
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
from ml.errors import MlError

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 5


def run_simulation(
    *,
    operation_id: UUID,
    holder: str,
    clock: Clock,
    until: datetime | None = None,
    most_chunks: int | None = None,
) -> bool:
    """Chunks were computed until none was left to claim: True. Or until a bound was met: False.

    Any number of workers may do this at once: every chunk counts once, and whoever finds all of
    them done writes the result. A cancelled simulation ends at the next chunk. ``holder`` must be
    different for every call.

    Raises:
        UnknownSimulation: the operation is none of a simulation.
    """
    run = simulation_of_operation(operation_id)
    if run.operation.is_finished:
        return True
    try:
        run = with_estimate(run)
        for _ in _rounds(clock, until, most_chunks):
            chunk = claim_chunk(operation_id=operation_id, holder=holder, at=clock())
            if chunk is None:
                complete_simulation(run=run, at=clock())
                return True
            _work_on(run, chunk, holder, clock)
    except (DtocError, MlError) as error:
        logger.warning("simulation failed", extra={"simulation": str(run.id), "code": error.code})
        _fail(run, code=error.code, detail=str(error), at=clock())
        return True
    return False


def _rounds(clock: Clock, until: datetime | None, most: int | None) -> Iterator[int]:
    for number in count():
        if (most is not None and number >= most) or (until is not None and clock() >= until):
            return
        yield number


def complete_simulation(*, run: SimulationRun, at: datetime) -> bool:
    """The result stands where every chunk is done; False where it stood before or cannot yet."""
    if remaining_chunks(run.operation_id):
        return False
    sums = total(Sums.from_json(part) for part in chunk_results(run.operation_id))
    result = result_of(run, sums)
    steps = int(sums.measures["lines"].sum())
    url = reverse("simulation", args=[run.id])
    with transaction.atomic():
        # The one who ends the operation writes the result; whoever comes second finds it ended.
        if not succeed_operation(operation_id=run.operation_id, result_url=url, at=at):
            return False
        SimulationRun.objects.filter(id=run.id).update(result=result, steps=steps)
        announce(type="simulation.succeeded", body=_message(run), at=at)
    return True


@transaction.atomic
def _fail(run: SimulationRun, *, code: str, detail: str, at: datetime) -> None:
    if fail_operation(operation_id=run.operation_id, code=code, detail=detail, at=at):
        announce(type="simulation.failed", body={**_message(run), "code": code}, at=at)


def _message(run: SimulationRun) -> dict[str, Any]:
    return {
        "simulation_id": str(run.id),
        "campaign_id": str(run.campaign_id),
        "operation_id": str(run.operation_id),
        "links": {"simulation": reverse("simulation", args=[run.id])},
    }


def _work_on(run: SimulationRun, chunk: WorkChunk, holder: str, clock: Clock) -> None:
    if chunk.attempt > MOST_ATTEMPTS:
        # It has taken its worker down every time; an endless loop would take down all of them.
        detail = f"chunk {chunk.number} was begun {MOST_ATTEMPTS} times and never finished"
        _fail(run, code="chunk-never-finished", detail=detail, at=clock())
        return
    from campaigns.rollouts import response_of, simulated  # torch: only where a chunk is computed

    with kept_lease(chunk_id=chunk.id, holder=holder, clock=clock):
        sums = simulated(run, chunk.number, response_of(run))
    finish_chunk(
        chunk_id=chunk.id,
        holder=holder,
        result=sums.as_json(),
        done=_planned_size(run, chunk.number),
        at=clock(),
    )


def _planned_size(run: SimulationRun, number: int) -> int:
    """Progress counts the customers that the chunk began with, so that it reaches its total."""
    pinned = int(run.manifest["customers"]["pinned"])
    return min(run.chunk_size, pinned - number * run.chunk_size)
