"""The feed: nothing missed, nothing twice, in order, however writers overlap."""

import random
import threading
from collections import Counter
from uuid import uuid4

import pytest
from django.db import connection, transaction

from common.locks import lock_streams
from events.selectors import FeedPosition, feed, feed_gap_age_seconds, last_position
from events.services import append_batch
from tests.builders import NOON
from tests.events.builders import OpenAppend, in_other_connection, viewed

pytestmark = pytest.mark.usefixtures("committed")


def test_an_event_of_a_slow_transaction_is_never_skipped():
    slow = OpenAppend(viewed(uuid4(), "SLOW"))
    append_batch(events=[viewed(uuid4(), "QUICK")], at=NOON)

    before = feed(None, 10)  # QUICK is committed, but SLOW may still come before it
    slow.commit()
    after = feed(None, 10)

    assert before == []
    assert [event.data for event in after] == [
        '{"sku": "SLOW", "category": null}',
        '{"sku": "QUICK", "category": null}',
    ]


def test_a_reader_that_goes_on_from_its_position_reads_everything_once():
    events = [viewed(uuid4()) for _ in range(25)]
    for event in events:
        append_batch(events=[event], at=NOON)

    read, position = [], None
    while page := feed(position, 4):
        read += page
        position = page[-1].feed_position

    assert [event.event_id for event in read] == [event.event_id for event in events]
    assert position == last_position()


def test_the_feed_can_be_read_by_type_and_by_customer():
    mine, other = uuid4(), uuid4()
    append_batch(events=[viewed(mine), viewed(other)], at=NOON)

    assert [event.stream for event in feed(None, 9, pseudonym=mine)] == [mine]
    assert feed(None, 9, type_name="item_purchased") == []
    assert len(feed(None, 9, type_name="item_viewed")) == 2


def test_an_empty_feed_has_no_last_position():
    assert last_position() is None
    assert feed(FeedPosition(1, 1), 5) == []


def test_a_transaction_that_holds_the_feed_shows_in_the_metric():
    assert feed_gap_age_seconds() == 0

    slow = OpenAppend(viewed(uuid4()))
    age = feed_gap_age_seconds()
    slow.commit()

    assert age > 0


def test_a_second_writer_of_a_stream_waits_before_it_gets_a_transaction_id():
    stream = uuid4()
    first = OpenAppend(viewed(stream, "FIRST"))
    ids = []

    def second() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            lock_streams([stream])
            cursor.execute("SELECT pg_current_xact_id_if_assigned() IS NULL")
            ids.append(cursor.fetchone()[0])
            append_batch(events=[viewed(stream, "SECOND")], at=NOON)

    waiting = in_other_connection(second)
    first.commit()
    waiting.join()

    assert ids == [True]
    assert [event.version for event in feed(None, 9)] == [1, 2]


def test_the_same_event_sent_by_many_at_once_is_stored_once():
    event = viewed(uuid4())
    statuses = []
    start = threading.Barrier(8)

    def send() -> None:
        start.wait(10)
        statuses.extend(result.status for result in append_batch(events=[event], at=NOON))

    for thread in [in_other_connection(send) for _ in range(8)]:
        thread.join()

    assert Counter(statuses) == {"accepted": 1, "duplicate": 7}
    assert len(feed(None, 9)) == 1


def test_concurrent_writers_lose_double_and_reorder_nothing_for_a_reader_that_never_stops():
    streams = [uuid4() for _ in range(12)]
    done = threading.Event()
    read, sent = [], []

    def write(seed: int) -> None:
        draw = random.Random(seed)
        for _ in range(40):
            chosen = draw.choices(streams, k=draw.randint(1, 12))  # overlapping, in any order
            batch = [viewed(stream) for stream in chosen]
            more = [viewed(uuid4())] if draw.random() < 0.3 else []
            with transaction.atomic():
                # Who appends twice takes all locks first, or waits in a circle with others.
                lock_streams(event.stream for event in (*batch, *more))
                append_batch(events=batch, at=NOON)
                append_batch(events=more, at=NOON)
            sent.extend(event.event_id for event in (*batch, *more))

    def follow() -> None:
        position = None
        while True:
            is_last = done.is_set()
            page = feed(position, 100)
            read.extend(page)
            position = page[-1].feed_position if page else position
            if is_last and not page:
                return

    reader = in_other_connection(follow)
    for thread in [in_other_connection(lambda seed=seed: write(seed)) for seed in range(6)]:
        thread.join()
    done.set()
    reader.join()

    assert Counter(event.event_id for event in read) == Counter(sent)  # none lost, none doubled
    for stream in streams:  # none reordered
        versions = [event.version for event in read if event.stream == stream]
        assert versions == list(range(1, len(versions) + 1))
