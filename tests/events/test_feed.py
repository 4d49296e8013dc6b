"""The feed: nothing missed, nothing twice, in order, however writers overlap."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from django.core import signing
from django.db import connection, transaction

from common.locks import lock_streams
from events.api.rendering import SALT, position_of
from events.feed import (
    START,
    FeedPosition,
    feed,
    feed_gap_age_seconds,
    feed_page,
    last_position,
    standing_position,
)
from events.services import append_batch, mark_feed, raise_feed_epoch
from tests.builders import DAY, NOON
from tests.events.builders import OpenAppend, in_other_connection, rows, viewed

pytestmark = pytest.mark.usefixtures("committed")
PATIENCE_SECONDS = 10


@contextmanager
def elsewhere() -> Iterator[Any]:
    """A transaction in another database of the same cluster; it is rolled back."""
    found = connection.settings_dict
    other = psycopg2.connect(
        dbname="postgres",
        user=found["USER"],
        host=found["HOST"],
        password=found["PASSWORD"] or None,
    )
    try:
        with other.cursor() as cursor:
            yield cursor
    finally:
        other.close()


def eventually(holds: Callable[[], bool]) -> None:
    """It holds within some seconds; each try asks the database."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline


def nobody_holds_the_feed() -> None:
    """Now and then autovacuum has a transaction of its own, which holds the feed for moments."""
    eventually(lambda: feed_gap_age_seconds() == 0)


def waits_for_a_lock(kind: str) -> None:
    """Some session waits for a lock of this kind."""
    eventually(
        lambda: (
            rows("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = %s", [kind])
            != [(0,)]
        )
    )


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
    assert feed(FeedPosition(1, 1, 1), 5) == []


def test_the_feed_can_be_read_by_the_time_at_which_things_happened():
    stream = uuid4()
    for day in range(4):
        append_batch(events=[viewed(stream, occurred_at=NOON + day * DAY)], at=NOON)

    found = feed(None, 9, since=NOON + DAY, until=NOON + 3 * DAY)

    assert [event.occurred_at for event in found] == [NOON + DAY, NOON + 2 * DAY]


def test_a_page_that_filters_leave_empty_ends_where_the_feed_does():
    append_batch(events=[viewed(uuid4()) for _ in range(5)], at=NOON)
    slow = OpenAppend(viewed(uuid4(), "SLOW"))
    end = last_position()

    page = feed_page(START, 10, type_name="item_purchased")
    slow.commit()
    later = feed_page(page.reached, 10, type_name="item_viewed")

    assert (page.events, page.reached) == ([], end)
    assert [event.data for event in later.events] == ['{"sku": "SLOW", "category": null}']


def test_a_full_page_ends_at_its_last_event():
    append_batch(events=[viewed(uuid4()) for _ in range(5)], at=NOON)

    page = feed_page(START, 3, type_name="item_viewed")

    assert page.reached == page.events[-1].feed_position < last_position()


def test_a_cursor_from_before_there_were_epochs_reads_on_in_the_first_one():
    cursor = signing.dumps([77, 5, {}], salt=SALT)
    with connection.cursor() as database:
        database.execute(
            "INSERT INTO events_feedepoch VALUES (1, 'before', now(), 1000) ON CONFLICT DO NOTHING"
        )

    assert position_of(cursor, {}) == FeedPosition(1, 77, 5)


def test_a_cursor_of_an_epoch_that_nobody_knows_is_told_to_begin_anew():
    assert standing_position(FeedPosition(2, 77, 5)) == START


def test_a_cursor_from_a_future_that_the_database_has_lost_goes_back_to_what_is_whole():
    append_batch(events=[viewed(uuid4())], at=NOON)
    mark_feed(at=NOON)
    last = last_position()
    ahead = FeedPosition(last.epoch, last.txid + 1_000_000, 1)

    found = standing_position(ahead)

    assert standing_position(last) == last
    assert last < found < ahead


def test_the_mark_never_goes_past_a_transaction_that_runs():
    slow = OpenAppend(viewed(uuid4(), "SLOW"))
    append_batch(events=[viewed(uuid4(), "QUICK")], at=NOON)
    mark_feed(at=NOON)
    (complete,) = rows("SELECT complete_txid FROM events_feedepoch ORDER BY epoch DESC LIMIT 1")[0]
    slow.commit()

    assert complete <= min(event.feed_position.txid for event in feed(None, 9))


def test_an_epoch_is_raised_only_when_every_writer_has_ended():
    stream = uuid4()
    slow = OpenAppend(viewed(stream, "OLD"))
    raised = []
    raising = in_other_connection(lambda: raised.append(raise_feed_epoch(at=NOON)))
    waits_for_a_lock("advisory")
    before = list(raised)
    late = in_other_connection(lambda: append_batch(events=[viewed(stream, "NEW")], at=NOON))
    slow.commit()
    raising.join()
    late.join()

    found = feed(None, 9)
    assert before == []
    assert [event.data[9:12] for event in found] == ["OLD", "NEW"]
    assert found[0].feed_position.epoch < raised[0] == found[1].feed_position.epoch


def test_a_transaction_that_holds_the_feed_shows_in_the_metric():
    nobody_holds_the_feed()

    slow = OpenAppend(viewed(uuid4()))
    age = feed_gap_age_seconds()
    slow.commit()

    assert age > 0
    nobody_holds_the_feed()


def test_a_transaction_in_another_database_holds_the_feed_and_shows_in_the_metric():
    append_batch(events=[viewed(uuid4())], at=NOON)
    nobody_holds_the_feed()
    with elsewhere() as other:
        other.execute("SELECT pg_current_xact_id()")
        append_batch(events=[viewed(uuid4())], at=NOON)

        assert len(feed(None, 9)) == 1
        assert feed_gap_age_seconds() > 0


def test_a_reader_and_a_replication_slot_hold_vacuum_but_not_the_feed():
    nobody_holds_the_feed()
    with elsewhere() as other:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT 1")
        other.execute("SELECT pg_create_physical_replication_slot('a_slot', true)")
        append_batch(events=[viewed(uuid4())], at=NOON)
        other.execute("SELECT pg_drop_replication_slot('a_slot')")

        assert len(feed(None, 9)) == 1
        assert feed_gap_age_seconds() == 0


def test_the_metric_tells_of_a_waiting_event_even_to_a_role_that_may_not_see_other_sessions():
    with connection.cursor() as cursor:
        cursor.execute("DROP ROLE IF EXISTS blind; CREATE ROLE blind")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO blind")
    slow = OpenAppend(viewed(uuid4()))
    append_batch(events=[viewed(uuid4())], at=NOON)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL ROLE blind")
            seen = rows(
                "SELECT count(xact_start) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
            )
            age = feed_gap_age_seconds()
    finally:
        slow.commit()
        with connection.cursor() as cursor:
            cursor.execute("DROP OWNED BY blind; DROP ROLE blind")

    assert seen == [(0,)]
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
