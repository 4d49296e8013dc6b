"""Long work in chunks: a chunk counts once, whoever computes it however often."""

from datetime import timedelta
from uuid import uuid4

import pytest

from common.errors import OperationFinished, UnknownOperation
from common.models import Operation
from common.operations import (
    LEASE,
    cancel_operation,
    chunk_results,
    claim_chunk,
    create_operation,
    finish_chunk,
    operation_by_id,
    remaining_chunks,
    renew_lease,
    succeed_operation,
    unfinished_operations,
)
from tests.builders import NOON

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def three_chunks() -> Operation:
    return create_operation(
        kind="test",
        unit="customers",
        total=30,
        chunks=3,
        requested_by="a test",
        payload={},
        at=NOON,
    )


def test_every_chunk_is_given_out_once_while_its_lease_runs():
    operation = three_chunks()

    claimed = [claim_chunk(operation_id=operation.id, holder="a", at=NOON) for _ in range(4)]

    assert [chunk.number if chunk else None for chunk in claimed] == [0, 1, 2, None]


def test_the_chunk_of_a_dead_worker_is_given_out_again_when_its_lease_has_run_out():
    operation = three_chunks()
    first = claim_chunk(operation_id=operation.id, holder="dead", at=NOON)

    again = claim_chunk(operation_id=operation.id, holder="alive", at=NOON + LEASE + SECOND)

    assert again.id == first.id
    assert again.attempt == 2


def test_a_worker_that_lost_its_lease_cannot_hand_in_its_result():
    operation = three_chunks()
    slow = claim_chunk(operation_id=operation.id, holder="slow", at=NOON)
    late = NOON + LEASE + SECOND
    quick = claim_chunk(operation_id=operation.id, holder="quick", at=late)

    handed_in = finish_chunk(chunk_id=quick.id, holder="quick", result={"n": 2}, done=10, at=late)
    refused = finish_chunk(chunk_id=slow.id, holder="slow", result={"n": 1}, done=10, at=late)

    assert (handed_in, refused) == (True, False)
    assert chunk_results(operation.id) == [{"n": 2}]
    assert operation_by_id(operation.id).done == 10


def test_a_chunk_handed_in_twice_counts_once():
    operation = three_chunks()
    chunk = claim_chunk(operation_id=operation.id, holder="a", at=NOON)

    for _ in range(2):
        finish_chunk(chunk_id=chunk.id, holder="a", result={"n": 1}, done=10, at=NOON)

    assert operation_by_id(operation.id).done == 10
    assert remaining_chunks(operation.id) == 2


def test_a_renewed_lease_keeps_the_chunk():
    operation = three_chunks()
    chunk = claim_chunk(operation_id=operation.id, holder="a", at=NOON)

    assert renew_lease(chunk_id=chunk.id, holder="a", at=NOON + LEASE)
    assert not renew_lease(chunk_id=chunk.id, holder="b", at=NOON + LEASE)

    other = claim_chunk(operation_id=operation.id, holder="b", at=NOON + LEASE + SECOND)
    assert other.number == 1


def test_cancelled_work_gives_out_nothing_and_accepts_nothing():
    operation = three_chunks()
    chunk = claim_chunk(operation_id=operation.id, holder="a", at=NOON)

    cancel_operation(operation_id=operation.id, at=NOON)

    assert claim_chunk(operation_id=operation.id, holder="a", at=NOON) is None
    assert not finish_chunk(chunk_id=chunk.id, holder="a", result={}, done=10, at=NOON)
    assert unfinished_operations("test") == []


def test_finished_work_cannot_be_cancelled():
    operation = three_chunks()
    succeed_operation(operation_id=operation.id, result_url="/there/", at=NOON)

    with pytest.raises(OperationFinished):
        cancel_operation(operation_id=operation.id, at=NOON)


def test_an_operation_that_does_not_exist_is_named_in_the_error():
    missing = uuid4()

    with pytest.raises(UnknownOperation, match=str(missing)):
        operation_by_id(missing)
