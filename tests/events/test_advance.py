"""The to-do list of the twins."""

import threading
from uuid import uuid4

import pytest
from django.db import connection, transaction

from common.locks import slot_of
from events.selectors import lagging_total, streams
from events.services import append_batch, claim_lagging, mark_advanced, set_advanced_from
from tests.builders import NOON
from tests.events.builders import viewed


def one_shard(count: int) -> list:
    """Streams of shard 0."""
    found = []
    while len(found) < count:
        stream = uuid4()
        if slot_of(stream) % 16 == 0:
            found.append(stream)
    return found


@pytest.mark.django_db
def test_a_lagging_stream_is_claimed_until_it_is_marked():
    mine = one_shard(3)
    append_batch(events=[viewed(stream) for stream in mine * 2], at=NOON)

    claims = claim_lagging(shard=0, limit=10)
    mark_advanced(versions={claim.stream: claim.version for claim in claims})

    assert {claim.stream for claim in claims} == set(mine)
    assert {(claim.version, claim.advanced_version) for claim in claims} == {(2, 0)}
    assert claim_lagging(shard=0, limit=10) == []
    assert lagging_total() == 0


@pytest.mark.django_db
def test_a_stream_of_another_shard_is_not_claimed():
    append_batch(events=[viewed(one_shard(1)[0])], at=NOON)

    assert claim_lagging(shard=1, limit=10) == []


@pytest.mark.django_db
def test_marking_never_moves_a_stream_back_or_past_its_last_event():
    (stream,) = one_shard(1)
    append_batch(events=[viewed(stream), viewed(stream)], at=NOON)

    mark_advanced(versions={stream: 2})
    mark_advanced(versions={stream: 1})
    assert lagging_total() == 0
    mark_advanced(versions={stream: 9})

    assert streams(None, 10)[0].advanced_version == 2


@pytest.mark.django_db
def test_setting_where_the_twins_stand_covers_every_stream():
    known, unknown = uuid4(), uuid4()
    append_batch(events=[viewed(known), viewed(known), viewed(unknown)], at=NOON)
    mark_advanced(versions={known: 2, unknown: 1})

    set_advanced_from(versions={known: 1})

    assert {head.stream: head.advanced_version for head in streams(None, 9)} == {
        known: 1,
        unknown: 0,
    }


@pytest.mark.django_db
def test_the_to_do_list_is_a_partial_index_and_not_a_scan():
    append_batch(events=[viewed(uuid4()) for _ in range(300)], at=NOON)

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT stream FROM events_stream"
            " WHERE shard = 3 AND version > advanced_version"
        )
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert "events_stream_lagging" in plan


def test_two_workers_never_hold_the_same_stream(committed):
    append_batch(events=[viewed(stream) for stream in one_shard(6)], at=NOON)
    others = []

    def claim_beside() -> None:
        with transaction.atomic():
            others.extend(claim_lagging(shard=0, limit=10))
        connection.close()

    with transaction.atomic():
        mine = claim_lagging(shard=0, limit=4)
        thread = threading.Thread(target=claim_beside)
        thread.start()
        thread.join()

    assert len(mine) == 4
    assert len(others) == 2
    assert not {claim.stream for claim in mine} & {claim.stream for claim in others}


def test_claiming_outside_a_transaction_is_a_fault(committed):
    with pytest.raises(RuntimeError, match="needs a transaction"):
        claim_lagging(shard=0, limit=1)
