"""Quarantine is worked with: what was kept is replayed, mended, discarded, or expires."""

import json
import logging
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from common.ids import derived_id
from customers.models import Customer
from customers.selectors import lookup_identity
from customers.vault import open_body
from events.api.cloud_events import cloud_item
from events.api.parsers import item_of, line_item
from events.errors import MendInvalid, QuarantineResolved, UnknownQuarantined
from events.forms import read_again
from events.metrics import intake_metrics
from events.models import QuarantinedEvent
from events.quarantined import opened_body
from events.selectors import events_after, intake_counts
from events.services import Item, Policy, ingest
from events.services.bulk_replay import replay_all
from events.services.custom_types import register_custom_type
from events.services.erase import count_quarantined, erase_quarantined
from events.services.mend import mend, pointer_of
from events.services.quarantine import body_digest
from events.services.replay import replay
from events.services.resolve import discard, discard_one, expire_quarantined, forget_resolved
from events.tasks import tidy_quarantine
from tests.builders import DAY, HOUR, NOON
from tests.events.builders import sent
from tests.events.test_intake import suppress

pytestmark = pytest.mark.django_db

LATER = NOON + HOUR
POLICY = Policy(source="shop", at=NOON)
FREE = {"data": {"unit_price": "0"}}


def encoded(event: dict) -> bytes:
    return json.dumps(event, default=str).encode()


def take(*events: dict, policy: Policy = POLICY) -> list[tuple[str, str]]:
    report = ingest(items=[item_of(encoded(event)) for event in events], policy=policy)
    return [(result.outcome, result.reason) for result in report.results]


def only() -> QuarantinedEvent:
    return QuarantinedEvent.objects.get()


def replayed(row: QuarantinedEvent) -> tuple[str, str]:
    (result,) = replay(ids=[row.id], by="operator", at=LATER).results
    return result.outcome, result.reason


def types_of(stream: UUID) -> list[str]:
    return [event.type for event in events_after({stream: 1})]


def cloud(customer, **changes) -> dict:
    event = sent(customer)
    facts = {"specversion": "1.0", "id": "1", "source": "till", "subject": str(customer)}
    facts |= {"type": event["type"], "time": event["occurred_at"], "data": event["data"]}
    return {**facts, **changes}


# Sent again


def test_an_event_that_is_right_when_sent_again_is_stored_and_leaves_quarantine(customer):
    event_id = uuid4()
    take(sent(customer, event_id=event_id, **FREE))

    assert take(sent(customer, event_id=event_id)) == [("accepted", "")]

    row = only()
    assert (row.status, row.resolved_by, bytes(row.body)) == ("replayed", "shop", b"")
    assert (row.stored_event_id, row.stored_version) == (event_id, 2)
    assert (row.stream, row.resolved_at is not None) == (customer, True)


def test_the_same_holds_within_a_batch_of_many(customer):
    ids = [uuid4() for _ in range(3)]
    take(*(sent(customer, event_id=one, **FREE) for one in ids))

    mended = [sent(customer, event_id=one, data={"line_no": n + 1}) for n, one in enumerate(ids)]
    take(*mended[:2], sent(customer, event_id=uuid4(), data={"line_no": 9}))

    found = {row.event_id: row.status for row in QuarantinedEvent.objects.all()}
    assert found == {ids[0]: "replayed", ids[1]: "replayed", ids[2]: "waiting"}


def test_the_id_of_another_source_resolves_nothing(customer):
    event_id = uuid4()
    take(sent(customer, event_id=event_id, **FREE))

    take(sent(customer, event_id=event_id), policy=Policy(source="till", at=NOON))

    assert only().status == "waiting"


def test_an_event_that_is_still_doubtful_is_told_since_when_it_waits(customer):
    take(sent(customer, **FREE))

    report = ingest(items=[item_of(encoded(sent(customer, **FREE)))], policy=POLICY)

    (result,) = report.results
    assert (result.outcome, result.reason) == ("duplicate", "quarantined_before")
    assert result.detail == (
        "price_not_positive: unit_price is zero or negative; "
        "it is in quarantine already, since 2011-05-02T12:00:00.000Z"
    )


def test_of_two_faulty_bodies_under_one_id_the_newest_is_kept(customer):
    event_id = uuid4()
    take(sent(customer, event_id=event_id, **FREE))
    newer = sent(customer, event_id=event_id, type="item_admired")

    assert take(newer, policy=Policy(source="shop", at=LATER, may_register=True)) == [
        ("duplicate", "quarantined_before")
    ]

    row = only()
    assert open_body(bytes(row.body)) == encoded(newer)
    assert (row.reason, row.may_register) == ("unknown_type", True)
    assert (row.received_at, row.expires_at) == (NOON, NOON + 30 * DAY)


def test_of_two_faulty_bodies_in_one_batch_the_last_is_kept(customer):
    event_id = uuid4()

    first, last = sent(customer, event_id=event_id, **FREE), sent(None, event_id=event_id)
    assert take(first, last) == [
        ("quarantined", "price_not_positive"),
        ("duplicate", "quarantined_before"),
    ]

    assert only().reason == "no_customer"


def test_a_mended_body_is_not_replaced_by_another_faulty_one(customer):
    event_id, stranger = uuid4(), {"kind": "crm_id", "value": "stranger"}
    take(sent(customer, event_id=event_id, **FREE))
    mend(row_id=only().id, body=sent(stranger, event_id=event_id), by="operator", at=LATER)
    assert only().last_problem.startswith("unknown_customer: ")

    take(sent(customer, event_id=event_id, type="item_admired"))

    assert json.loads(open_body(bytes(only().body)))["customer"] == stranger


def test_what_was_discarded_is_not_taken_up_again_unless_it_has_changed(customer):
    take(sent(customer, **FREE))
    discard_one(row_id=only().id, by="operator", at=LATER)

    report = ingest(items=[item_of(encoded(sent(customer, **FREE)))], policy=POLICY)
    assert "was discarded, 2011-05-02T13:00:00.000Z" in report.results[0].detail
    assert (only().status, bytes(only().body)) == ("discarded", b"")

    other = sent(customer, data={"unit_price": "-1"})
    assert take(other) == [("quarantined", "price_not_positive")]
    assert (only().status, only().resolved_at, only().resolved_by) == ("waiting", None, "")
    assert open_body(bytes(only().body)) == encoded(other)


def test_what_was_stored_from_quarantine_never_waits_again(customer):
    event_id = uuid4()
    take(sent(customer, event_id=event_id, **FREE))
    take(sent(customer, event_id=event_id))

    for faulty in (FREE, {"data": {"unit_price": "-1"}}):
        assert take(sent(customer, event_id=event_id, **faulty)) == [
            ("duplicate", "quarantined_before")
        ]

    assert only().status == "replayed"


def test_what_expired_is_kept_again_when_it_is_sent_again(customer):
    take(sent(customer, **FREE))
    expire_quarantined(at=NOON + 31 * DAY)

    again = Policy(source="shop", at=NOON + 32 * DAY)
    assert take(sent(customer, **FREE), policy=again) == [("quarantined", "price_not_positive")]

    assert (only().status, only().expires_at) == ("waiting", NOON + 62 * DAY)


# Replaying


def test_a_replay_stores_the_event_under_its_own_id_and_destroys_the_body():
    who, event_id = {"kind": "crm_id", "value": f"late-{uuid4().hex}"}, uuid4()
    take(sent(who, event_id=event_id))
    take(sent(who, event_id=uuid4()), policy=Policy(source="till", at=NOON, may_register=True))
    stream = lookup_identity(**who)

    row = QuarantinedEvent.objects.get()
    assert replayed(row) == ("stored", "")

    row.refresh_from_db()
    stored = events_after({stream: 2})
    assert [event.event_id for event in stored] == [str(event_id)]
    assert (row.status, row.attempts, row.last_problem) == ("replayed", 1, "")
    assert (row.stream, row.stored_event_id, row.stored_version) == (stream, event_id, 3)
    assert (row.resolved_by, row.resolved_at) == ("operator", LATER)
    assert (bytes(row.body), row.subject_digest) == (b"", None)


def test_a_replay_that_fails_leaves_the_event_waiting_with_the_new_problem(customer):
    take(sent(customer, **FREE))

    assert replayed(only()) == ("waiting", "price_not_positive")
    assert replayed(only()) == ("waiting", "price_not_positive")

    row = only()
    assert (row.status, row.attempts) == ("waiting", 2)
    assert row.last_problem == "price_not_positive: unit_price is zero or negative"
    assert open_body(bytes(row.body)) == encoded(sent(customer, **FREE))


def test_a_replay_registers_customers_only_where_the_sender_might(customer):
    allowed = Policy(source="shop", at=NOON, may_register=True)
    soon = {"occurred_at": "2011-05-02T12:30:00Z"}
    who = [{"kind": "crm_id", "value": f"new-{uuid4().hex}"} for _ in range(2)]
    take(sent(who[0], **soon), policy=allowed)
    take(sent(who[1], **soon), policy=Policy(source="till", at=NOON))

    rows = list(QuarantinedEvent.objects.order_by("id"))
    assert [row.reason for row in rows] == ["time_in_future"] * 2
    assert [replayed(row) for row in rows] == [("stored", ""), ("waiting", "unknown_customer")]
    assert Customer.objects.count() == 2  # the fixture's and one more


def test_an_event_without_an_id_is_stored_once_however_often_it_is_replayed(customer):
    event = {"customer": str(customer), "type": "item_viewed", "data": {"sku": "A"}}
    take({**event, "occurred_at": "2011-05-02T12:30:00Z"})

    first, again = replayed(only()), replayed(only())

    assert (first, again) == (("stored", ""), ("gone", ""))
    assert only().stored_event_id == derived_id("quarantined event", str(only().id))
    assert types_of(customer) == ["item_viewed"]


def test_a_cloud_event_is_replayed_as_one(customer):
    soon = cloud(customer, time="2011-05-02T12:30:00Z")
    ingest(items=[cloud_item(encoded(soon))], policy=POLICY)
    assert (only().form, only().reason) == ("cloudevent", "time_in_future")

    assert replayed(only()) == ("stored", "")

    assert only().stored_event_id == derived_id("till", "1")


def test_a_row_of_a_file_is_replayed_with_its_numbers_as_texts(customer):
    event = sent(customer, event_id=uuid4(), data={"quantity": "6", "line_no": "1"})
    event["occurred_at"] = "2011-05-02T12:30:00Z"
    items = [read_again("row", encoded(event))]
    ingest(items=items, policy=Policy(source="online_retail", at=NOON))
    assert (only().form, only().reason) == ("row", "time_in_future")

    assert replayed(only()) == ("stored", "")
    assert types_of(customer) == ["item_purchased"]


def test_the_technical_codes_of_a_mapping_hold_for_a_replay_too(customer):
    event = sent(customer, event_id=uuid4(), data={"sku": "AMAZONFEE"})
    event["occurred_at"] = "2011-05-02T12:30:00Z"
    ingest(
        items=[read_again("row", encoded(event))], policy=Policy(source="online_retail", at=NOON)
    )

    replayed(only())

    assert [event.technical for event in events_after({customer: 1})] == [True]


def test_a_body_that_is_not_json_can_only_be_mended_or_discarded(customer):
    ingest(items=[line_item(b"{oops")], policy=POLICY)

    assert replayed(only()) == ("waiting", "malformed")
    mended = mend(row_id=only().id, body=sent(customer, event_id=uuid4()), by="operator", at=LATER)

    assert mended.outcome == "stored"
    assert types_of(customer) == ["item_purchased"]


def test_a_form_that_nobody_reads_is_told_and_can_be_mended_as_a_native_event(customer):
    item = Item(read_again("native", b"{}").envelope, lambda: b"{}", form="segment")
    ingest(items=[item], policy=POLICY)
    QuarantinedEvent.objects.update(form="unread")

    assert replayed(only()) == ("waiting", "form_unreadable")
    assert mend(row_id=only().id, body=sent(customer), by="o", at=LATER).outcome == "stored"
    assert only().form == "native"


def test_of_somebody_erased_meanwhile_a_replay_keeps_nothing():
    who = {"kind": "crm_id", "value": f"gone-{uuid4().hex}"}
    take(sent(who))
    suppress(who)

    assert replayed(only()) == ("refused", "subject_suppressed")

    row = only()
    assert (row.status, bytes(row.body), row.stream) == ("discarded", b"", None)
    assert row.subject_digest is None


def test_an_event_stored_with_other_content_since_is_a_conflict_and_stays(customer):
    event_id = uuid4()
    take(sent(customer, event_id=event_id, occurred_at="2011-05-02T12:30:00Z"))
    other = Policy(source="till", at=NOON)
    take(sent(customer, event_id=event_id), policy=other)

    assert replayed(only()) == ("waiting", "event_id_conflict")
    assert only().last_problem.startswith("event_id_conflict: ")


def test_a_replay_of_something_stored_since_is_a_duplicate_and_resolves(customer):
    event_id = uuid4()
    event = sent(customer, event_id=event_id, occurred_at="2011-05-02T12:30:00Z")
    take(event)
    take(event, policy=Policy(source="till", at=LATER))

    assert replayed(only()) == ("duplicate", "")

    assert (only().status, only().stored_version) == ("replayed", 2)
    assert len(types_of(customer)) == 1


def test_unknown_and_resolved_rows_are_told_to_be_gone_and_the_rest_is_replayed(customer):
    soon = sent(customer, occurred_at="2011-05-02T12:30:00Z")
    take(soon, sent(None, data={"line_no": 2}))
    first, second = QuarantinedEvent.objects.order_by("-reason")
    discard(ids=[second.id], by="operator", at=LATER)

    report = replay(ids=[second.id, 10**18, first.id, first.id], by="operator", at=LATER)

    assert [result.outcome for result in report.results] == ["gone", "gone", "stored"]
    assert report.counts() == {"gone": 2, "stored": 1}


def test_received_stays_the_sum_of_the_outcomes_and_no_counter_goes_down(customer):
    seen: Counter = Counter()

    def look() -> None:
        totals: Counter = Counter()
        for (source, outcome, _), count in intake_counts().items():
            totals[source, outcome] += count
        for source in {source for source, _ in totals}:
            others = ("accepted", "duplicate", "quarantined", "refused")
            assert totals[source, "received"] == sum(totals[source, name] for name in others)
        assert all(totals[key] >= count for key, count in seen.items())
        seen.update({key: count - seen[key] for key, count in totals.items()})

    soon = sent(customer, occurred_at="2011-05-02T12:30:00Z")
    for step in (
        lambda: take(soon, sent(customer, data={"line_no": 2, "unit_price": "0"})),
        lambda: replay(ids=list(ids()), by="operator", at=LATER),
        lambda: replay(ids=list(ids()), by="operator", at=LATER),
        lambda: take(sent(customer, data={"line_no": 2})),
        lambda: discard(ids=list(ids()), by="operator", at=LATER),
    ):
        step()
        look()

    assert seen["shop", "received"] == 3
    assert seen["replay:shop", "received"] == 3
    assert intake_counts()["replay:shop", "accepted", ""] == 1
    assert intake_counts()["replay:shop", "duplicate", "still_quarantined"] == 2
    exported = [sample.labels for family in intake_metrics() for sample in family.samples]
    assert {"source": "replay:shop", "reason": "still_quarantined"} in exported


def ids() -> list[int]:
    return list(QuarantinedEvent.objects.values_list("id", flat=True))


# Mending


def test_a_mended_body_is_sealed_replayed_and_leaves_a_digest_of_what_was_sent(customer):
    event = sent(customer, event_id=uuid4(), **FREE)
    take(event)
    mended = sent(customer, event_id=event["event_id"])

    result = mend(row_id=only().id, body=mended, by="operator", at=LATER)

    row = only()
    assert (result.outcome, row.status) == ("stored", "replayed")
    assert (row.mended_by, row.mended_at, bytes(row.body)) == ("operator", LATER, b"")
    assert bytes(row.body_digest) == body_digest(encoded(event))
    assert bytes(row.mended_digest) not in (b"", bytes(row.body_digest))
    assert events_after({customer: 1})[0].event_id == str(event["event_id"])


def test_a_mended_body_that_still_cannot_be_stored_is_kept_sealed_for_another_try(customer):
    stranger = {"kind": "crm_id", "value": "stranger-4711"}
    take(sent(customer, event_id=uuid4(), **FREE))

    result = mend(row_id=only().id, body=sent(stranger), by="operator", at=LATER)

    row = only()
    assert (result.outcome, result.reason) == ("waiting", "unknown_customer")
    assert b"stranger-4711" not in bytes(row.body)
    assert json.loads(open_body(bytes(row.body)))["customer"] == stranger
    assert row.stream is None
    assert row.subject_digest is not None


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"data": {"unit_price": "0"}}, "/data/unit_price", "price-not-positive"),
        ({"data": {"quantity": "many"}}, "/data/quantity", "schema-error"),
        ({"data": {"colour": "red"}}, "/data", "schema-error"),
        ({"occurred_at": "soon"}, "/occurred_at", "schema-error"),
        ({"occurred_at": "2031-05-02T12:00:00Z"}, "/occurred_at", "time-in-future"),
        ({"type": "item_admired"}, "/type", "unknown-type"),
        ({"customer": None}, "/customer", "no-customer"),
        ({"customer": {"kind": "crm_id"}}, "/customer/value", "schema-error"),
        ({"event_id": str(uuid4())}, "/event_id", "event-id-changed"),
    ],
)
def test_what_is_no_event_either_is_refused_with_a_pointer(customer, changes, pointer, code):
    event_id = uuid4()
    take(sent(customer, event_id=event_id, **FREE))
    before = QuarantinedEvent.objects.values().get()
    who = changes.get("customer", customer)
    others = {name: value for name, value in changes.items() if name != "customer"}
    body = json.loads(encoded(sent(who, **{"event_id": event_id, **others})))

    with pytest.raises(MendInvalid) as refused:
        mend(row_id=only().id, body=body, by="operator", at=LATER)

    (error,) = refused.value.fields["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
    assert QuarantinedEvent.objects.values().get() == before


@pytest.mark.parametrize("body", [None, 17, "text", [], {"a": "\ud800"}, {}])
def test_what_is_nothing_like_an_event_is_refused(customer, body):
    take(sent(customer, **FREE))

    with pytest.raises(MendInvalid):
        mend(row_id=only().id, body=body, by="operator", at=LATER)


def test_once_its_type_is_registered_an_event_is_stored_by_a_replay_or_mended_to_fit(customer):
    quiz = {"type": "quiz_answered", "occurred_at": "2011-05-02T12:00:00Z"}
    good = {**quiz, "event_id": uuid4(), "customer": customer, "data": {"score": 3}}
    bad = {**good, "event_id": uuid4(), "data": {"score": "three"}}
    take(good, bad)
    assert {row.reason for row in QuarantinedEvent.objects.all()} == {"unknown_type"}

    schema = {"type": "object", "properties": {"score": {"type": "integer"}}}
    register_custom_type(
        name="quiz_answered", json_schema=schema, description="", by="test", at=NOON
    )
    report = replay_all(reason="unknown_type", source="", by="o", at=LATER).report
    row = QuarantinedEvent.objects.get(status="waiting")

    assert report.counts() == {"stored": 1, "waiting": 1}
    assert row.last_problem.startswith("schema_error: ")
    with pytest.raises(MendInvalid, match="/data"):
        mend(row_id=row.id, body=bad, by="o", at=LATER)
    mended = {**bad, "data": {"score": 4}}
    assert mend(row_id=row.id, body=mended, by="o", at=LATER).outcome == "stored"
    assert types_of(customer) == ["quiz_answered"] * 2


def test_the_id_that_the_sender_knows_is_filled_in_where_the_mended_body_lacks_it(customer):
    event_id = uuid4()
    take(sent(customer, event_id=event_id, **FREE))

    assert mend(row_id=only().id, body=sent(customer), by="o", at=LATER).event_id == event_id
    assert take(sent(customer, event_id=event_id)) == [("duplicate", "")]


def test_an_order_line_that_is_mended_gets_the_id_of_the_line_it_is(customer):
    take(sent(customer, **FREE))

    mend(row_id=only().id, body=sent(customer, data={"line_no": 2}), by="o", at=LATER)

    assert take(sent(customer, data={"line_no": 2})) == [("duplicate", "")]
    assert only().stored_event_id == derived_id("shop", "536365:2")


def test_a_cloud_event_is_mended_as_one_and_keeps_its_source_and_id(customer):
    ingest(items=[cloud_item(encoded(cloud(customer, time="soon")))], policy=POLICY)

    with pytest.raises(MendInvalid, match="/id"):
        mend(row_id=only().id, body=cloud(customer, id="2"), by="o", at=LATER)
    mended = mend(row_id=only().id, body=cloud(customer), by="o", at=LATER)

    assert (mended.outcome, mended.event_id) == ("stored", derived_id("till", "1"))


def test_another_row_that_waits_under_the_id_of_a_mended_event_is_resolved_with_it(customer):
    event_id = uuid4()
    take(sent(customer, event_id=event_id, **FREE))
    ingest(items=[line_item(b"{oops")], policy=POLICY)
    broken = QuarantinedEvent.objects.get(reason="malformed")

    mend(row_id=broken.id, body=sent(customer, event_id=event_id), by="o", at=LATER)

    assert [row.status for row in QuarantinedEvent.objects.all()] == ["replayed"] * 2


def test_what_is_resolved_or_unknown_can_neither_be_mended_nor_discarded(customer):
    take(sent(customer, **FREE))
    discard_one(row_id=only().id, by="o", at=LATER)

    for act in (lambda row_id: mend(row_id=row_id, body={}, by="o", at=LATER),
                lambda row_id: discard_one(row_id=row_id, by="o", at=LATER)):  # fmt: skip
        with pytest.raises(QuarantineResolved):
            act(only().id)
        with pytest.raises(UnknownQuarantined):
            act(10**18)


def test_messages_of_the_decoder_become_json_pointers():
    assert pointer_of("Expected `int`, got `str` - at `$.data.lines[3].sku`") == "/data/lines/3/sku"
    assert pointer_of("Object missing required field `data`") == "/data"
    assert pointer_of("Object missing required field `sku` - at `$.data`") == "/data/sku"
    assert pointer_of("JSON is malformed") == ""


# The end


def test_a_discarded_body_is_destroyed_and_reason_and_ids_stay(customer):
    take(sent(customer, event_id=(event_id := uuid4()), **FREE))

    assert discard(ids=[only().id], by="operator", at=LATER) == 1
    assert discard(ids=[only().id], by="operator", at=LATER) == 0

    row = only()
    assert (row.status, bytes(row.body), row.resolved_by) == ("discarded", b"", "operator")
    assert (row.reason, row.event_id, row.stream) == ("price_not_positive", event_id, customer)


def test_a_body_lives_for_thirty_days_and_for_seven_where_nobody_is_readable(customer):
    whose = [customer, {"kind": "crm_id", "value": "s"}, None, uuid4()]
    lines = enumerate(whose, 1)
    take(*(sent(who, data={"line_no": n, "unit_price": "0"}) for n, who in lines))

    assert sorted(QuarantinedEvent.objects.values_list("expires_at", flat=True)) == [
        NOON + 7 * DAY, NOON + 7 * DAY, NOON + 30 * DAY, NOON + 30 * DAY
    ]  # fmt: skip
    assert expire_quarantined(at=NOON + 7 * DAY - timedelta(seconds=1)) == 0
    assert expire_quarantined(at=NOON + 7 * DAY) == 2
    assert expire_quarantined(at=NOON + 30 * DAY) == 2
    for row in QuarantinedEvent.objects.all():
        assert (row.status, bytes(row.body), row.resolved_by) == ("expired", b"", "expiry")


def test_how_long_bodies_live_is_a_setting(customer, settings):
    settings.DTOC_QUARANTINE_DAYS, settings.DTOC_QUARANTINE_DAYS_UNREADABLE = 3, 1

    take(sent(customer, **FREE), sent(None, data={"line_no": 2}))

    assert sorted(row.expires_at for row in QuarantinedEvent.objects.all()) == [
        NOON + DAY, NOON + 3 * DAY
    ]  # fmt: skip


def test_rows_of_a_person_are_found_by_an_erasure_whatever_became_of_them(customer):
    stranger = {"kind": "crm_id", "value": "stranger"}
    take(*(sent(stranger, event_id=uuid4(), **FREE) for _ in range(3)))
    first, second, third = QuarantinedEvent.objects.order_by("id")
    for row, body in ((first, sent(customer)), (second, sent(customer, data={"line_no": 2}))):
        mend(row_id=row.id, body={**body, "event_id": str(row.event_id)}, by="o", at=LATER)
    discard(ids=[third.id], by="o", at=LATER)

    assert count_quarantined(customer) == 2
    assert erase_quarantined(customer, uuid4()) == 2
    assert bytes(only().body) == b""
    assert (only().subject_digest, only().stream) == (None, None)


def test_a_row_without_a_body_goes_ninety_days_after_it_was_resolved(customer):
    take(sent(customer, **FREE), sent(customer, data={"line_no": 2, "unit_price": "0"}))
    discard_one(row_id=QuarantinedEvent.objects.earliest("id").id, by="o", at=NOON)

    assert forget_resolved(at=NOON + 90 * DAY) == 0
    assert forget_resolved(at=NOON + 90 * DAY + timedelta(seconds=1)) == 1
    assert only().status == "waiting"


def test_the_periodic_task_expires_and_forgets(customer):
    take(sent(customer, **FREE))  # years ago by the clock

    assert tidy_quarantine() == {"expired": 1, "forgotten": 0}
    assert tidy_quarantine() == {"expired": 0, "forgotten": 0}


def test_who_opens_a_body_is_logged_and_nothing_of_it(customer, caplog):
    who = {"kind": "email", "value": "jane.roe@example.org"}
    take(sent(who))

    with caplog.at_level(logging.INFO, logger="dtoc.audit"):
        body = opened_body(only(), by="operator", at=LATER)

    assert b"jane.roe" in body
    (record,) = caplog.records
    assert (record.message, record.quarantined, record.by) == (
        "quarantined body opened", only().id, "operator"
    )  # fmt: skip
    assert "jane.roe" not in str(record.__dict__)


def test_the_body_of_a_resolved_event_is_gone(customer):
    take(sent(customer, **FREE))
    discard_one(row_id=only().id, by="o", at=LATER)

    assert opened_body(only(), by="operator", at=LATER) is None


def test_a_body_that_no_longer_opens_waits_with_that_problem(customer):
    take(sent(customer, **FREE))
    QuarantinedEvent.objects.update(body=b"not what was sealed, and long enough to be cut")

    assert replayed(only()) == ("waiting", "seal_broken")
