"""Events over HTTP."""

import json
from uuid import uuid4

import pytest

from customers.selectors import lookup_identity
from events.selectors import events_after
from tests.events.builders import sent

URL = "/api/v1/events/"


@pytest.fixture
def client(api):
    return api("events:write", "events:read", "identities:write")


def post(client, body, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body, default=str).encode()
    return client.post(URL, data=data, content_type="application/json", **headers)


def test_a_single_event_answers_201_and_the_stored_event(client, customer):
    event_id = uuid4()

    answer = post(client, sent(customer, event_id=event_id, context={"channel": "web"}))

    body = answer.json()
    assert answer.status_code == 201
    assert body["customer"] == str(customer)
    assert body["version"] == 2
    assert body["event_id"] == str(event_id)
    assert body["occurred_at"] == "2011-05-02T12:00:00.000Z"
    assert body["data"]["unit_price"] == "2.55"
    assert body["metadata"]["channel"] == "web"
    assert body["duplicate"] is False
    assert body["consistency_token"] == f"{customer}.2"


def test_a_known_event_with_the_same_content_answers_200_and_duplicate(client, customer):
    event = sent(customer, event_id=uuid4())
    first = post(client, event).json()

    again = post(client, event)

    assert again.status_code == 200
    assert again.json() == {**first, "duplicate": True}


def test_a_known_event_id_with_other_content_answers_409(client, customer):
    event = sent(customer, event_id=uuid4())
    post(client, event)

    answer = post(client, {**event, "occurred_at": "2011-05-02T13:00:00Z"})

    assert answer.status_code == 409
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["type"].endswith("event-id-conflict")


def test_an_identity_registers_its_customer_where_the_scope_allows_it(client):
    who = {"kind": "crm_id", "value": f"{uuid4().hex}"}

    assert post(client, sent(who)).status_code == 201
    assert len(events_after({lookup_identity(**who): 0})) == 2


def test_without_that_scope_an_unknown_identity_answers_422(api):
    who = {"kind": "crm_id", "value": f"{uuid4().hex}"}

    answer = post(api("events:write"), sent(who))

    assert answer.status_code == 422
    assert "unknown_customer" in answer.json()["detail"]


def test_a_single_event_without_an_id_and_a_natural_key_gets_one(client, customer):
    event = {
        "customer": customer,
        "type": "item_viewed",
        "occurred_at": "2011-05-02T12:00:00Z",
        "data": {"sku": "85123A"},
    }

    answer = post(client, event)

    assert answer.status_code == 201
    assert answer.json()["event_id"]


def test_an_array_of_good_events_and_duplicates_answers_200(client, customer):
    lines = [sent(customer, data={"line_no": n}) for n in (1, 2, 2)]

    answer = post(client, lines)

    assert answer.status_code == 200
    assert answer.json() == {
        "accepted": 2,
        "duplicates": 1,
        "quarantined": 0,
        "refused": 0,
        "problems": [],
    }


def test_an_array_with_a_bad_event_answers_207_and_says_which(client, customer):
    good, bad = sent(customer), sent(customer, data={"line_no": 2, "unit_price": "0"})

    answer = post(client, [good, bad, 17, {**good, "occurred_at": "2010-01-01T00:00:00Z"}])

    body = answer.json()
    assert answer.status_code == 207
    assert [body[name] for name in ("accepted", "duplicates", "quarantined", "refused")] == [
        1,
        0,
        2,
        1,
    ]
    assert [(p["index"], p["status"], p["code"]) for p in body["problems"]] == [
        (1, 422, "price-not-positive"),
        (2, 422, "schema-error"),
        (3, 409, "event-id-conflict"),
    ]


def test_an_empty_array_is_accepted(client):
    assert post(client, []).json()["accepted"] == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1,", b"nope", b'"text"', b"12", b"null", b"\xff\xfe", b'{"a": 1} trailing'],
)
def test_a_body_that_is_no_json_object_or_array_answers_400(client, body):
    answer = post(client, body)

    assert answer.status_code == 400
    assert answer.json()["type"].endswith("body-malformed")


def test_more_than_5000_events_answer_413_and_store_nothing(client, customer):
    answer = post(client, [sent(customer, data={"line_no": n}) for n in range(5_001)])

    assert answer.status_code == 413
    assert "5001 events, at most 5000" in answer.json()["detail"]
    assert events_after({customer: 1}) == []


def test_another_content_type_answers_415(client):
    assert client.post(URL, data=b"<a/>", content_type="application/xml").status_code == 415


def test_writing_needs_events_write_and_reading_events_read(api):
    assert post(api("events:read"), []).status_code == 403
    assert api("events:write").get(URL).status_code == 403


def test_an_erased_customers_stream_is_unknown(client):
    answer = client.get(f"/api/v1/customers/{uuid4()}/events/")

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"


def test_one_customers_stream_is_read_page_by_page(client, customer):
    post(client, [sent(customer, data={"line_no": n}) for n in range(4)])

    first = client.get(f"/api/v1/customers/{customer}/events/?limit=3").json()
    second = client.get(first["next"]).json()

    assert [event["version"] for event in first["results"]] == [1, 2, 3]
    assert [event["version"] for event in second["results"]] == [4, 5]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "after=-1", "after=x"])
def test_a_malformed_question_answers_400(client, customer, query):
    assert client.get(f"/api/v1/customers/{customer}/events/?{query}").status_code == 400


class TestFeed:
    """These tests commit: the feed shows nothing of a transaction that still runs."""

    pytestmark = pytest.mark.usefixtures("committed")

    def test_the_feed_goes_on_from_a_cursor_however_old(self, client, customer):
        post(client, [sent(customer, data={"line_no": n}) for n in range(3)])
        first = client.get(f"{URL}?limit=2").json()
        rest = client.get(first["next"]).json()
        at_the_end = client.get(rest["next"]).json()

        post(client, sent(customer, data={"line_no": 9}))
        later = client.get(f"{URL}?after={rest['cursor']}").json()

        assert [event["version"] for event in first["results"] + rest["results"]] == [1, 2, 3, 4]
        assert at_the_end["results"] == []
        assert at_the_end["cursor"] == rest["cursor"]
        assert [event["version"] for event in later["results"]] == [5]

    def test_the_feed_is_filtered_and_its_cursor_bound_to_the_filters(self, client, customer):
        post(client, sent(customer))

        page = client.get(f"{URL}?type=item_purchased&pseudonym={customer}").json()
        moved = client.get(f"{URL}?after={page['cursor']}")

        assert [event["type"] for event in page["results"]] == ["item_purchased"]
        assert moved.status_code == 400
        assert moved.json()["type"].endswith("cursor-invalid")
        assert client.get(page["next"]).json()["results"] == []

    def test_a_cursor_that_was_changed_answers_400(self, client, customer):
        cursor = client.get(URL).json()["cursor"]

        assert client.get(f"{URL}?after=x{cursor}").status_code == 400
