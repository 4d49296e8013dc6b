"""What erasing a person does to the event store."""

import hashlib
from uuid import uuid4

import msgspec
import pytest

from customers.erasure import Needles, registered_stores
from customers.identities import Newcomer
from customers.models import DataSubjectRequest
from customers.selectors import request_by_id
from customers.services import register_customers, request_erasure, run_erasure
from customers.vault import identity_digest
from events.api.parsers import item_of
from events.errors import StreamClosed
from events.models import ClosedStream, QuarantinedEvent
from events.selectors import events_after
from events.services import Policy, append, append_batch, ingest
from events.services.erase import erase_events, scan_events, scan_quarantined
from tests.builders import NOON
from tests.events.builders import OpenAppend, in_other_connection, line, rows, sent, viewed

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture
def person():
    """A customer with events and something in quarantine, from before and after registering."""
    identity = {"kind": "crm_id", "value": f"erase-me-{uuid4().hex}"}
    policy = Policy(source="shop", at=NOON)
    take(policy, sent(identity))  # not registered yet
    newcomer = Newcomer(**identity, country="GB")
    stream = register_customers(newcomers=[newcomer], at=NOON)[newcomer.key]
    late = sent(identity, data={"line_no": 2, "unit_price": "0"})
    take(policy, sent(identity, data={"line_no": 3}), late)
    return stream, identity


def take(policy, *events):
    return ingest(items=[item_of(msgspec.json.encode(event)) for event in events], policy=policy)


def erase(stream):
    request = request_erasure(pseudonym=stream, requested_by="test", at=NOON)
    request_id = getattr(request, "id", request)
    run_erasure(request_id=request_id, at=NOON)
    return request_by_id(request_id)


def test_events_and_quarantine_are_among_the_registered_stores():
    assert {"events", "quarantine"} <= {store.name for store in registered_stores()}


def test_events_and_quarantined_bodies_are_there_before_and_gone_after(person):
    stream, identity = person
    needles = Needles(stream, (identity["value"],), (identity_digest(**identity),))
    assert {finding.place for finding in scan_events(needles)} == {"events_event", "events_stream"}
    assert {finding.what for finding in scan_quarantined(needles)} == {"pseudonym", "digest"}

    request = erase(stream)

    assert request.status == "completed"
    assert list(scan_events(needles)) == list(scan_quarantined(needles)) == []
    assert events_after({stream: 0}) == []
    assert not QuarantinedEvent.objects.exists()


def test_the_tombstone_holds_a_hash_and_the_number_of_events(person):
    stream, _ = person
    before = len(events_after({stream: 0}))

    erase(stream)

    stone = ClosedStream.objects.get()
    assert bytes(stone.stream_sha256) == hashlib.sha256(stream.bytes).digest()
    assert stone.events == before == 2
    assert str(stream) not in str(rows("SELECT t::text FROM events_closedstream AS t"))


def test_an_append_that_is_under_way_is_waited_for_and_erased_too(person):
    stream, _ = person
    request = request_erasure(pseudonym=stream, requested_by="test", at=NOON)
    DataSubjectRequest.objects.update(status="in_progress")
    append_under_way = OpenAppend(viewed(stream))

    erasing = in_other_connection(lambda: erase_events(stream, request.id))
    while not rows("SELECT 1 FROM pg_locks WHERE NOT granted"):
        assert erasing.is_alive()
    append_under_way.commit()
    erasing.join()

    assert events_after({stream: 0}) == []


def test_nothing_is_appended_to_the_stream_of_somebody_who_was_erased(person):
    stream, identity = person
    erase(stream)

    (late,) = append_batch(events=[viewed(stream)], at=NOON)
    report = take(Policy(source="shop", at=NOON, may_register=True), sent(identity), sent(stream))

    assert late.status == "closed"
    assert [result.reason for result in report.results] == ["subject_suppressed"] * 2
    assert events_after({stream: 0}) == []
    with pytest.raises(StreamClosed):
        append(stream=stream, event=line(), event_id=uuid4(), occurred_at=NOON, at=NOON)
