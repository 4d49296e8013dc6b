"""An event that comes alone ends as it would in a batch, and takes one statement."""

from uuid import UUID, uuid5

import msgspec
import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.locks import slot_of
from customers.identities import PSEUDONYM, Newcomer
from customers.models import Customer, DataSubjectRequest, Suppression
from customers.services import register_customers
from customers.vault import pseudonym_digest
from events import subscribers
from events.api.parsers import item_of
from events.errors import AppendOutOfOrder
from events.selectors import intake_counts
from events.services import Policy, ingest
from events.services.outliers import windows
from tests.builders import NOON
from tests.events.builders import OpenAppend, in_other_connection, rows, sent, viewed
from tests.events.test_feed import waits_for_a_lock
from tests.events.test_intake import suppress

pytestmark = pytest.mark.django_db

SPACE = UUID("0f0f6d0e-6a0e-4b8e-8d5c-1a1f1a3f5b7c")
KNOWN, OTHER, SUPPRESSED, UNKNOWN, ERASED = range(5)
POLICY = Policy(source="way", at=NOON)


def name(person: int) -> dict:
    return {"kind": "crm_id", "value": f"alone-{person}"}


# Few persons, ids and contents, so that repeats and conflicts are common; 500 is an outlier.
histories = st.lists(
    st.tuples(
        st.sampled_from([KNOWN, KNOWN, OTHER, SUPPRESSED, UNKNOWN, ERASED]),
        st.integers(0, 5),
        st.sampled_from([10, 11, 500]),
        st.sampled_from(["85123A", "POST"]),  # an item, and postage
        st.booleans(),  # named by the pseudonym
    ),
    max_size=12,
)


def envelope(
    person: int, number: int, quantity: int, sku: str, pseudonym: UUID | None = None
) -> dict:
    data = {"line_no": number, "quantity": quantity, "sku": sku}
    customer = name(person) if pseudonym is None else str(pseudonym)
    return sent(customer, event_id=str(uuid5(SPACE, f"e{number}")), data=data)


def pseudonym_of(person: int, streams: dict[UUID, int]) -> UUID:
    """That of somebody who was erased is suppressed; that of an unknown one is nobody's."""
    mine = [pseudonym for pseudonym, other in streams.items() if other == person]
    return mine[0] if mine else uuid5(SPACE, f"p{person}")


def events_of(history, streams):
    for *event, by_pseudonym in history:
        yield envelope(*event, pseudonym_of(event[0], streams) if by_pseudonym else None)


def one_by_one(items):
    for item in items:
        yield ingest(items=[item], policy=POLICY)


def step_by_step(items):
    for item in items:
        yield ingest(items=[item], policy=POLICY, meanwhile=lambda: None)


def at_once(items):
    yield ingest(items=items, policy=POLICY)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories)
def test_alone_or_step_by_step_the_same_events_leave_the_same_behind(streams, history):
    assert left_by(one_by_one, history, streams) == left_by(step_by_step, history, streams)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories)
def test_alone_or_in_a_batch_the_same_events_leave_the_same_behind(streams, history):
    # What is quarantined twice is told so only where the first is kept already.
    clear = [event for event in history if event[0] != UNKNOWN]

    assert left_by(one_by_one, clear, streams) == left_by(at_once, clear, streams)


def left_by(way, history, streams) -> dict:
    """All that the history leaves in the store, and what was answered; nothing of it stays."""
    windows.clear()
    with transaction.atomic():
        items = [item_of(msgspec.json.encode(event)) for event in events_of(history, streams)]
        answers = [result for report in way(items) for result in report.results]
        left = {
            "answers": [
                (r.outcome, r.reason, r.event_id, streams.get(r.stream), r.version) for r in answers
            ],
            "stored": [
                (streams[stream], *rest)
                for stream, *rest in rows(
                    "SELECT stream, version, event_id, type, schema_version, occurred_at,"
                    " data::text, metadata::text, epoch FROM events_event"
                    " ORDER BY version, event_id"
                )
            ],
            "heads": {
                (streams[stream], *rest)
                for stream, *rest in rows(
                    "SELECT stream, version, advanced_version, last_txid > 0, shard"
                    " FROM events_stream"
                )
                if rest.pop() == slot_of(stream) % 16
            },
            "counts": {key: n for key, n in intake_counts().items() if key[0] == "way"},
            "items": rows(
                "SELECT sku, day, sum(n), round(sum(q)::numeric, 6), round(sum(vv)::numeric, 6)"
                " FROM events_skuday GROUP BY sku, day ORDER BY sku, day"
            ),
            "quarantine": rows(
                "SELECT event_id, reason, status FROM events_quarantinedevent ORDER BY event_id"
            ),
        }
        transaction.set_rollback(True)
    counts = left["counts"]
    total = sum(n for (_, outcome, _), n in counts.items() if outcome != "received")
    assert counts.get(("way", "received", ""), 0) == total == len(history)
    assert len(left["heads"]) == 2
    return left


@pytest.fixture
def streams(db) -> dict[UUID, int]:
    """Everybody but the unknown one is there or was; twenty usual lines make outliers possible."""
    found = register_customers(
        newcomers=[Newcomer(**name(person)) for person in (KNOWN, OTHER, ERASED)], at=NOON
    )
    streams = {pseudonym: int(value[-1]) for (_, value), pseudonym in found.items()}
    suppress(name(SUPPRESSED))
    request = DataSubjectRequest.objects.get()
    digest = pseudonym_digest(pseudonym_of(SUPPRESSED, {}))
    Suppression.objects.create(kind=PSEUDONYM, digest=digest, request=request)
    usual = [sent(name(OTHER), data={"line_no": 100 + n, "quantity": 10}) for n in range(20)]
    ingest(
        items=[item_of(msgspec.json.encode(event)) for event in usual],
        policy=Policy(source="before", at=NOON, needs_event_id=False),
    )
    erased = next(stream for stream, person in streams.items() if person == ERASED)
    for statement in (
        "INSERT INTO events_closedstream VALUES (sha256(uuid_send(%s::uuid)), 1, now())",
        "DELETE FROM events_stream WHERE stream = %s",
    ):
        rows(statement, [erased], fetch=False)
    return streams


def alone(event: dict, policy: Policy = POLICY):
    (result,) = ingest(items=[item_of(msgspec.json.encode(event))], policy=policy).results
    return result


@pytest.fixture
def known() -> UUID:
    """The first of the persons, registered."""
    found = register_customers(newcomers=[Newcomer(**name(KNOWN))], at=NOON)
    return found["crm_id", "alone-0"]


def test_an_event_of_a_known_customer_takes_one_statement(known, django_assert_num_queries):
    alone(envelope(KNOWN, 1, 10, "85123A"))  # the days of the item are loaded now

    with django_assert_num_queries(1):
        assert alone(envelope(KNOWN, 2, 10, "85123A")).version == 3
    with django_assert_num_queries(1):
        assert alone(envelope(KNOWN, 2, 10, "85123A")).outcome == "duplicate"
    with django_assert_num_queries(1):
        assert alone(envelope(KNOWN, 3, 10, "85123A", known)).version == 4


def test_who_is_being_erased_is_nobody_under_the_pseudonym_too(known):
    Customer.objects.filter(pseudonym=known).update(status=Customer.Status.ERASED)

    ended = alone(envelope(KNOWN, 1, 10, "85123A", known))

    assert (ended.outcome, ended.reason) == ("quarantined", "unknown_customer")


def test_a_suppressed_pseudonym_is_refused_even_where_a_customer_were_left(known):
    suppress(name(SUPPRESSED))
    Suppression.objects.update(kind=PSEUDONYM, digest=pseudonym_digest(known))

    ended = alone(envelope(KNOWN, 1, 10, "85123A", known))

    assert (ended.outcome, ended.reason) == ("refused", "subject_suppressed")


def test_lines_that_came_alone_are_the_usual_ones_for_the_next(known):
    for number in range(20):
        alone(envelope(KNOWN, number, 10, "85123A"))

    alone(envelope(KNOWN, 20, 500, "85123A"))

    assert rows("SELECT version FROM events_event WHERE metadata @> '{\"outlier\": true}'") == [
        (22,)
    ]


def test_workers_are_told_of_what_came_alone_once_it_is_committed(
    known, monkeypatch, django_capture_on_commit_callbacks
):
    told: list[set[int]] = []
    monkeypatch.setattr(subscribers, "_callbacks", [told.append])

    with django_capture_on_commit_callbacks(execute=True):
        alone(envelope(KNOWN, 1, 10, "85123A"))
        alone(envelope(KNOWN, 1, 10, "85123A"))
        assert told == []

    assert told == [{slot_of(known) % 16}]


def test_an_event_alone_behind_a_younger_transaction_is_refused(known):
    rows("UPDATE events_stream SET last_txid = 2^62", fetch=False)

    with pytest.raises(AppendOutOfOrder), transaction.atomic():
        alone(envelope(KNOWN, 1, 10, "85123A"))


def test_a_duplicate_behind_a_younger_transaction_is_still_a_duplicate(known):
    alone(envelope(KNOWN, 1, 10, "85123A"))
    rows("UPDATE events_stream SET last_txid = 2^62", fetch=False)

    assert alone(envelope(KNOWN, 1, 10, "85123A")).outcome == "duplicate"


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.uuids())
def test_the_database_and_we_agree_on_the_lock_of_a_stream(stream):
    assert rows("SELECT events_slot(%s)", [stream]) == [(slot_of(stream),)]


def test_an_epoch_that_this_session_knew_is_looked_at_again(known):
    alone(envelope(KNOWN, 1, 10, "85123A"))
    assert rows("SELECT current_setting('dtoc.feed_identity') <> ''") == [(True,)]

    rows("UPDATE events_feedepoch SET identity = 'another'", fetch=False)

    with pytest.raises(Exception, match="another cluster"), transaction.atomic():
        alone(envelope(KNOWN, 2, 10, "85123A"))


@pytest.mark.django_db(transaction=True)
def test_an_event_alone_waits_for_an_earlier_writer_before_it_gets_a_transaction_id(known):
    first = OpenAppend(viewed(known, "FIRST"))
    ended = []
    second = in_other_connection(lambda: ended.append(alone(envelope(KNOWN, 1, 10, "85123A"))))
    waits_for_a_lock("advisory")
    waiting = rows(
        "SELECT backend_xid FROM pg_stat_activity"
        " WHERE wait_event = 'advisory' AND datname = current_database()"
    )
    first.commit()
    second.join()

    assert waiting == [(None,)]
    assert [result.version for result in ended] == [3]
