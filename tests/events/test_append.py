"""Appending: gap-free, idempotent, in order, once."""

from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from common.locks import slot_of
from events import subscribers
from events.catalogue import ItemViewed, OrderCancelled
from events.errors import AppendOutOfOrder, ConcurrentAppend, EventIdConflict
from events.selectors import events_after
from events.services import Appended, append, append_batch
from tests.builders import DAY, NOON
from tests.events.builders import line, rows, viewed

pytestmark = pytest.mark.django_db


def versions(stream) -> list[int]:
    return [event.version for event in events_after({stream: 0})]


def test_versions_of_a_stream_have_no_gaps():
    one, other = uuid4(), uuid4()

    append_batch(events=[viewed(one), viewed(other), viewed(one)], at=NOON)
    append_batch(events=[viewed(other), viewed(one)], at=NOON)

    assert versions(one) == [1, 2, 3]
    assert versions(other) == [1, 2]


def test_the_stream_row_counts_what_was_appended_and_knows_its_shard():
    stream = uuid4()

    append_batch(events=[viewed(stream), viewed(stream)], at=NOON)

    found = rows(
        "SELECT version, advanced_version, shard FROM events_stream WHERE stream = %s", [stream]
    )
    assert found == [(2, 0, slot_of(stream) % 16)]


def test_the_same_event_sent_again_is_a_duplicate_with_the_first_version():
    stream = uuid4()
    event = viewed(stream)
    append_batch(events=[event, viewed(stream)], at=NOON)

    (again,) = append_batch(events=[event], at=NOON + DAY)

    assert again == Appended("duplicate", 1)
    assert versions(stream) == [1, 2]


def test_an_event_repeated_within_one_batch_is_stored_once():
    stream = uuid4()
    event = viewed(stream)

    results = append_batch(events=[event, viewed(stream), event], at=NOON)

    assert results == [Appended("accepted", 1), Appended("accepted", 2), Appended("duplicate", 1)]


@pytest.mark.parametrize(
    "changes",
    [
        {"sku": "22423"},
        {"occurred_at": NOON + DAY},
        {"type": "order_cancelled", "data": OrderCancelled(order_id="1")},
    ],
)
def test_a_known_event_id_with_other_content_is_a_conflict_and_changes_nothing(changes):
    stream = uuid4()
    event = viewed(stream)
    append_batch(events=[event], at=NOON)

    other = viewed(stream, **{**changes, "event_id": event.event_id})
    results = append_batch(events=[other, viewed(stream)], at=NOON)

    assert results == [Appended("conflict", 1), Appended("accepted", 2)]
    assert events_after({stream: 0})[0].data == ItemViewed(sku="85123A")


def test_conflicting_content_within_one_batch_is_a_conflict():
    stream = uuid4()
    event = viewed(stream)

    results = append_batch(
        events=[event, viewed(stream, "22423", event_id=event.event_id)], at=NOON
    )

    assert results == [Appended("accepted", 1), Appended("conflict", 1)]


def test_the_same_event_id_in_two_streams_is_two_events():
    event_id = uuid4()

    results = append_batch(
        events=[viewed(uuid4(), event_id=event_id), viewed(uuid4(), event_id=event_id)], at=NOON
    )

    assert [result.status for result in results] == ["accepted", "accepted"]


def test_nothing_appended_takes_no_statement(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert append_batch(events=[], at=NOON) == []


def test_a_batch_of_any_size_takes_one_statement(django_assert_num_queries):
    for size in (1, 500):
        events = [viewed(uuid4()) for _ in range(size)]
        with django_assert_num_queries(1):
            append_batch(events=events, at=NOON)


def test_what_is_begun_meanwhile_begins_before_the_statement_and_once():
    seen: list[int] = []
    with CaptureQueriesContext(connection) as statements:
        append_batch(
            events=[viewed(uuid4())], at=NOON, meanwhile=lambda: seen.append(len(statements))
        )

    assert seen == [0]
    assert len(statements) == 1


def test_an_amount_is_stored_to_its_last_digit_and_a_time_to_the_millisecond():
    stream = uuid4()
    at = NOON.replace(microsecond=123_999)

    append(stream=stream, event=line(), event_id=uuid4(), occurred_at=at, at=NOON)

    (stored,) = events_after({stream: 0})
    assert stored.data == line()
    assert stored.occurred_at_ms == int(NOON.timestamp() * 1000) + 123


def test_appending_at_another_version_than_expected_is_refused():
    stream = uuid4()
    append_batch(events=[viewed(stream), viewed(stream)], at=NOON)

    with pytest.raises(ConcurrentAppend, match="is at version 2, expected 1"):
        append(
            stream=stream,
            event=ItemViewed(sku="A"),
            event_id=uuid4(),
            occurred_at=NOON,
            at=NOON,
            expected_version=1,
        )

    assert versions(stream) == [1, 2]


def test_a_retry_of_an_append_that_came_through_is_a_duplicate_whatever_version_it_expected():
    facts = {
        "stream": uuid4(),
        "event": ItemViewed(sku="A"),
        "event_id": uuid4(),
        "occurred_at": NOON,
        "at": NOON,
    }

    first = append(**facts, expected_version=0)
    again = append(**facts, expected_version=0)

    assert (first, again) == (Appended("accepted", 1), Appended("duplicate", 1))


def test_one_event_with_a_known_id_and_other_content_raises():
    facts = {"stream": uuid4(), "event_id": uuid4(), "occurred_at": NOON, "at": NOON}
    append(event=ItemViewed(sku="A"), **facts)

    with pytest.raises(EventIdConflict, match="other content"):
        append(event=ItemViewed(sku="B"), **facts)


def test_subscribers_hear_the_shards_after_the_commit(
    monkeypatch, django_capture_on_commit_callbacks
):
    monkeypatch.setattr(subscribers, "_callbacks", [])
    heard = []
    subscribers.on_appended(heard.append)
    one, other = uuid4(), uuid4()

    with django_capture_on_commit_callbacks(execute=True):
        append_batch(events=[viewed(one), viewed(other)], at=NOON)
        assert heard == []

    assert heard == [{slot_of(one) % 16, slot_of(other) % 16}]


def test_duplicates_give_the_subscribers_nothing_to_hear(
    monkeypatch, django_capture_on_commit_callbacks
):
    event = viewed(uuid4())
    append_batch(events=[event], at=NOON)
    monkeypatch.setattr(subscribers, "_callbacks", [])
    heard = []
    subscribers.on_appended(heard.append)

    with django_capture_on_commit_callbacks(execute=True):
        append_batch(events=[event], at=NOON)

    assert heard == []


def test_an_append_behind_a_younger_transaction_is_refused():
    stream = uuid4()
    append_batch(events=[viewed(stream)], at=NOON)
    with connection.cursor() as cursor:  # as if a younger transaction had appended meanwhile
        cursor.execute(
            "UPDATE events_stream SET last_txid = last_txid + 1000 WHERE stream = %s", [stream]
        )

    with pytest.raises(AppendOutOfOrder, match="lock the streams before"), transaction.atomic():
        append_batch(events=[viewed(stream)], at=NOON)

    assert versions(stream) == [1]


def test_recorded_is_the_databases_clock_where_the_time_given_is_older():
    stream = uuid4()

    append_batch(events=[viewed(stream)], at=NOON)

    ((seconds,),) = rows(
        "SELECT extract(epoch FROM clock_timestamp() - recorded_at) FROM events_event"
        " WHERE stream = %s",
        [stream],
    )
    assert 0 <= seconds < 60
