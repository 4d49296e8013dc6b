"""Every event ends in exactly one place."""

from collections import Counter
from uuid import uuid4

import msgspec
import pytest

from customers.models import Customer, DataSubjectRequest, Suppression
from customers.selectors import lookup_identity
from customers.vault import identity_digest, open_body
from events.api.parsers import item_of
from events.metrics import intake_metrics
from events.models import QuarantinedEvent
from events.selectors import events_after, intake_counts, lagging_total
from events.services import Policy, ingest
from tests.builders import DAY, NOON
from tests.events.builders import rows, sent

pytestmark = pytest.mark.django_db

POLICY = Policy(source="shop", at=NOON, may_register=True)


def take(*events: dict, policy: Policy = POLICY):
    return ingest(items=[item_of(msgspec.json.encode(event)) for event in events], policy=policy)


def outcomes(report) -> list[tuple[str, str]]:
    return [(result.outcome, result.reason) for result in report.results]


def somebody() -> dict:
    return {"kind": "crm_id", "value": f"new-{uuid4().hex}"}


def suppress(identity: dict) -> None:
    request = DataSubjectRequest.objects.create(
        pseudonym=uuid4(),
        pseudonym_sha256="0" * 64,
        right="erasure",
        status="in_progress",
        requested_by="test",
        requested_at=NOON,
        due_at=NOON + DAY,
    )
    digest = identity_digest(identity["kind"], identity["value"])
    Suppression.objects.create(kind=identity["kind"], digest=digest, request=request)


def test_a_new_customer_is_registered_as_of_the_first_event():
    who = somebody()

    report = take(sent(who), sent(who, data={"line_no": 2}, occurred_at="2011-05-01T12:00:00Z"))

    stream = lookup_identity(**who)
    events = events_after({stream: 0})
    assert outcomes(report) == [("accepted", "")] * 2
    assert [event.type for event in events] == ["customer_registered"] + ["item_purchased"] * 2
    assert events[0].occurred_at_ms == int((NOON - DAY).timestamp() * 1000)
    assert events[0].data.country == "GB"
    assert Customer.objects.get(pseudonym=stream).country == "GB"


def test_a_sender_that_may_not_register_leaves_unknown_customers_in_quarantine():
    who = somebody()

    report = take(sent(who), policy=Policy(source="shop", at=NOON))

    assert outcomes(report) == [("quarantined", "unknown_customer")]
    assert not Customer.objects.exists()


def test_a_pseudonym_that_nobody_has_is_quarantined():
    assert outcomes(take(sent(uuid4()))) == [("quarantined", "unknown_customer")]


def test_a_malformed_identity_is_quarantined_and_the_others_of_the_batch_are_stored(customer):
    report = take(sent({"kind": "crm_id", "value": "   "}), sent(customer))

    assert outcomes(report) == [("quarantined", "unknown_customer"), ("accepted", "")]


def test_one_bad_event_never_sinks_the_batch(customer):
    report = take(
        sent(customer),
        sent(customer, type="item_admired"),
        sent(customer, data={"line_no": 2, "unit_price": "0"}),
        sent(None, data={"line_no": 3}),
        sent(customer, occurred_at="2012-01-01T00:00:00Z", data={"line_no": 4}),
        sent(customer, occurred_at="soon", data={"line_no": 5}),
        sent(customer, data={"line_no": 6}),
        sent(customer),
        sent(customer, data={"quantity": 7}),
        sent(customer, type="item_viewed", data={"quantity": 7}),
        {"customer": customer, "type": "item_viewed", "occurred_at": NOON, "data": {"sku": "A"}},
    )

    assert outcomes(report) == [
        ("accepted", ""),
        ("quarantined", "unknown_type"),
        ("quarantined", "price_not_positive"),
        ("quarantined", "no_customer"),
        ("quarantined", "time_in_future"),
        ("quarantined", "schema_error"),
        ("accepted", ""),
        ("duplicate", ""),
        ("refused", "event_id_conflict"),
        ("quarantined", "schema_error"),
        ("refused", "event_id_missing"),
    ]
    assert len(events_after({customer: 1})) == 2


def test_received_is_the_sum_of_the_four_outcomes_also_in_the_metrics(customer):
    for _ in range(2):
        take(sent(customer), sent(customer, data={"unit_price": "0"}), sent(None), sent(customer))

    totals = Counter()
    for (source, outcome, _), count in intake_counts().items():
        assert source == "shop"
        totals[outcome] += count
    exported = Counter()
    for family in intake_metrics():
        for sample in family.samples:
            exported[sample.name] += sample.value

    assert totals.pop("received") == 8 == sum(totals.values())
    assert exported["dtoc_events_received_total"] == 8
    assert exported["dtoc_events_accepted_total"] == totals["accepted"] == 1
    assert lagging_total() == 2


def test_the_body_in_quarantine_is_sealed_and_opens_as_it_was_sent(customer):
    event = sent(customer, type="item_admired", event_id=uuid4())

    take(event)

    kept = QuarantinedEvent.objects.get()
    assert b"item_admired" not in bytes(kept.body)
    assert open_body(bytes(kept.body)) == msgspec.json.encode(event)
    assert (kept.reason, kept.stream, kept.event_id) == (
        "unknown_type",
        customer,
        event["event_id"],
    )


def test_what_is_in_quarantine_already_counts_as_a_duplicate(customer):
    event = sent(customer, data={"unit_price": "0"})

    reports = [take(event), take(event), take(event, event)]

    assert [outcomes(report) for report in reports] == [
        [("quarantined", "price_not_positive")],
        [("duplicate", "quarantined_before")],
        [("duplicate", "quarantined_before")] * 2,
    ]
    assert QuarantinedEvent.objects.count() == 1


def test_a_mended_event_is_stored_under_the_id_that_was_quarantined(customer):
    event_id = uuid4()
    take(sent(customer, event_id=event_id, data={"unit_price": "0"}))

    report = take(sent(customer, event_id=event_id))

    assert outcomes(report) == [("accepted", "")]


def test_of_somebody_who_was_erased_nothing_is_kept_but_a_count():
    who = somebody()
    suppress(who)

    report = take(sent(who), sent(who, data={"unit_price": "0"}), sent(who, occurred_at="soon"))

    assert outcomes(report) == [("refused", "subject_suppressed")] * 3
    assert not QuarantinedEvent.objects.exists()
    assert intake_counts()["shop", "refused", "subject_suppressed"] == 3


def test_technical_lines_are_stored_and_marked(customer):
    take(sent(customer, data={"sku": "post"}), sent(customer, data={"line_no": 2}))

    postage, item = events_after({customer: 1})
    assert (postage.technical, postage.data.sku) == (True, "POST")
    assert not item.technical


def test_counters_move_with_their_effect_or_not_at_all(customer, monkeypatch):
    from events.services import intake

    def fail(*args) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(intake, "count_intake", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        take(sent(customer), sent(None))

    assert events_after({customer: 1}) == []
    assert not QuarantinedEvent.objects.exists()


def test_no_identity_reaches_the_event_tables():
    who = {"kind": "email", "value": "jane.roe@example.org"}

    take(sent(who), sent(who, data={"unit_price": "0"}))

    for table in ("events_event", "events_quarantinedevent", "events_intake"):
        text = str(rows(f"SELECT t::text FROM {table} AS t"))
        assert "jane.roe" not in text
        assert text != "[]"
