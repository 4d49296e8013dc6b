"""append_batch against a model that fits into one's head."""

from dataclasses import dataclass, field
from uuid import UUID, uuid5

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.catalogue import ItemViewed
from events.selectors import events_after, intake_counts
from events.services import Appended, append_batch
from tests.builders import NOON
from tests.events.builders import rows, viewed

SPACE = UUID("5b6d8a63-13fd-4b9a-9d29-3f6a5a1d2f10")

# Few streams, ids and contents, so that repeats and conflicts are common.
sent_events = st.tuples(st.integers(0, 2), st.integers(0, 5), st.sampled_from("AB"))
histories = st.lists(st.lists(sent_events, max_size=8), max_size=5)


@dataclass
class Store:
    """What the event store means: a list of events for each stream."""

    streams: dict[int, list[tuple[int, str]]] = field(default_factory=dict)

    def append(self, stream: int, event_id: int, content: str) -> Appended:
        events = self.streams.setdefault(stream, [])
        for version, (known, stored) in enumerate(events, start=1):
            if known == event_id:
                return Appended("duplicate" if stored == content else "conflict", version)
        events.append((event_id, content))
        return Appended("accepted", len(events))


@pytest.mark.django_db
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories)
def test_the_store_answers_and_holds_what_the_model_does(history):
    model = Store()
    with transaction.atomic():
        for batch in history:
            events = [
                viewed(uuid5(SPACE, str(stream)), sku, event_id=uuid5(SPACE, f"e{number}"))
                for stream, number, sku in batch
            ]
            assert append_batch(events=events, at=NOON) == [model.append(*sent) for sent in batch]
        stored = events_after({uuid5(SPACE, str(stream)): 0 for stream in range(3)})
        transaction.set_rollback(True)

    expected = {
        (uuid5(SPACE, str(stream)), version, uuid5(SPACE, f"e{number}"), ItemViewed(sku=sku))
        for stream, events in model.streams.items()
        for version, (number, sku) in enumerate(events, start=1)
    }
    assert {(e.stream, e.version, UUID(e.event_id), e.data) for e in stored} == expected
    assert len(stored) == len(expected)


CLOSED = 2  # the stream of somebody who was erased


@pytest.mark.django_db
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(sent_events, max_size=12))
def test_one_by_one_and_at_once_store_and_answer_the_same(history):
    at_once, one_by_one = (
        stored_by(history, pieces) for pieces in ([history], [[sent] for sent in history])
    )

    assert one_by_one == at_once


def stored_by(history, pieces):
    """The answers, the table and the counters after each piece was appended as a batch."""
    streams = {number: uuid5(SPACE, f"way {number}") for number in range(3)}
    answers = []
    with transaction.atomic():
        rows(
            "INSERT INTO events_closedstream VALUES (sha256(uuid_send(%s::uuid)), 3, now())",
            [streams[CLOSED]],
            fetch=False,
        )
        for piece in pieces:
            events = [
                viewed(streams[stream], sku, event_id=uuid5(SPACE, f"e{number}"))
                for stream, number, sku in piece
            ]
            answers += append_batch(events=events, at=NOON, counted_for="way")
        table = rows(
            "SELECT stream, version, event_id, data::text, metadata::text, epoch FROM events_event"
            " ORDER BY stream, version"
        )
        heads = rows(
            "SELECT stream, version, advanced_version, shard FROM events_stream ORDER BY 1"
        )
        counts = {key: n for key, n in intake_counts().items() if key[0] == "way"}
        transaction.set_rollback(True)
    received = counts.pop(("way", "received", ""), 0)
    assert received == sum(counts.values()) == len(history)
    return answers, table, heads, counts
