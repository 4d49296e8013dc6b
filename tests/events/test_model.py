"""append_batch against a model that fits into one's head."""

from dataclasses import dataclass, field
from uuid import UUID, uuid5

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.catalogue import ItemViewed
from events.selectors import events_after
from events.services import Appended, append_batch
from tests.builders import NOON
from tests.events.builders import viewed

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
    assert {(e.stream, e.version, e.event_id, e.data) for e in stored} == expected
    assert len(stored) == len(expected)
