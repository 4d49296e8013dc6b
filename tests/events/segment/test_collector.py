"""The collector over HTTP: who may send, how each message ends, what an SDK is answered."""

import base64
import gzip
import json
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError, connection
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from access import rate_limits
from access.services import create_write_key, deactivate_write_key
from access.write_keys import recent_sources
from common.clock import now
from customers.models import Customer
from customers.selectors import lookup_identity, resolve_identities
from customers.services import erase_now
from events.models import Event, Intake, QuarantinedEvent
from tests.builders import HOUR, NOON
from tests.events.builders import rows

pytestmark = pytest.mark.django_db
SHOP = "webshop"
ORDER = {
    "order_id": "A-17",
    "currency": "EUR",
    "products": [
        {"sku": "g-32", "price": 18.99, "quantity": 1},
        {"sku": "g-33", "price": 3, "quantity": 2},
    ],
}


@pytest.fixture(autouse=True)
def _nothing_of_another_test():
    recent_sources.clear()
    rate_limits.outage.end()


@pytest.fixture
def key() -> str:
    return create_write_key(name=SHOP, at=NOON).plain


def basic(user: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}


def send(key: str, body: dict | bytes, route: str = "batch", **headers: str):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client(raise_request_exception=False).post(
        f"/v1/{route}",
        raw,
        content_type="application/json",
        headers={**(basic(f"{key}:") if key else {}), **headers},
    )


def viewed(user: str = "u-1", **more) -> dict:
    return {
        "type": "track",
        "event": "Product Viewed",
        "userId": user,
        "messageId": f"m-{uuid4()}",
        "properties": {"sku": "g-32"},
        **more,
    }


def events_of(user: str, kind: str = "user_id") -> list[Event]:
    stream = lookup_identity(kind, user)
    return list(Event.objects.filter(stream=stream).order_by("version"))


def types_of(user: str, kind: str = "user_id") -> list[str]:
    return [event.type for event in events_of(user, kind)]


def counted(source: str = SHOP) -> dict[str, int]:
    totals: Counter = Counter()
    for row in Intake.objects.filter(source=source):
        totals[row.outcome] += row.count
    return dict(totals)


def answered(response) -> tuple[int, ...]:
    assert response.status_code == 200, response.content
    body = response.json()
    assert body["success"] is True
    return tuple(body[name] for name in ("accepted", "duplicates", "quarantined", "refused"))


# Credentials


@pytest.mark.parametrize(
    "place", ["basic", "basic without colon", "basic without padding", "bearer", "body", "both"]
)
def test_the_write_key_is_taken_wherever_sdks_put_it(key: str, place: str):
    headers = {
        "basic": basic(f"{key}:"),
        "basic without colon": basic(key),
        "basic without padding": {"Authorization": basic(f"{key}:")["Authorization"].rstrip("=")},
        "bearer": {"Authorization": f"Bearer {key}"},
        "body": {},
        "both": basic(f"{key}:"),
    }[place]
    body = viewed(**({"writeKey": key} if place in ("body", "both") else {}))

    assert answered(send("", body, "track", **headers)) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("headers", "in_body", "code"),
    [
        ({}, None, "write-key-missing"),
        ({"Authorization": "Digest x"}, None, "write-key-missing"),
        ({"Authorization": "Basic %%%"}, None, "write-key-unknown"),
        (basic("dwk_nonsense:"), None, "write-key-unknown"),
        ({}, "dwk_nonsense", "write-key-unknown"),
        (basic("one:"), "two", "write-keys-disagree"),
    ],
)
def test_without_a_good_key_the_answer_is_401_and_nothing_is_stored(headers, in_body, code):
    answer = send("", viewed(writeKey=in_body), "track", **headers)

    assert answer.status_code == 401
    assert answer.json()["code"] == code
    assert answer["WWW-Authenticate"] == "Bearer"
    assert not Customer.objects.exists()


def test_a_source_that_is_switched_off_is_404(key: str):
    from access.models import WriteKey

    deactivate_write_key(write_key_id=WriteKey.objects.get().id)

    answer = send(key, viewed(), "track")

    assert (answer.status_code, answer.json()["code"]) == (404, "source-inactive")


# Answers


def test_an_error_is_a_problem_document_with_code_and_message(key: str):
    answer = send(key, b"nonsense", **{"X-Request-Id": "my-request-1"})

    body = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.status_code == body["status"] == 400
    assert body["type"] == "/problems/body-malformed"
    assert body["code"] == "body-malformed"
    assert body["message"] == body["detail"]
    assert body["request_id"] == "my-request-1"


@pytest.mark.parametrize("method", ["get", "post", "put"])
def test_a_route_that_does_not_exist_is_404_in_the_same_form(method: str):
    answer = getattr(Client(), method)("/v1/nonsense")

    assert answer.status_code == 404
    assert answer.json()["code"] == "not-found"
    assert "/v1/track" in answer.json()["message"]


def test_a_method_that_a_route_does_not_have_is_405_in_the_same_form():
    answer = Client().get("/v1/track")

    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert answer.json()["message"]


def test_accept_headers_are_not_argued_about(key: str):
    assert answered(send(key, viewed(), "track", Accept="text/html")) == (1, 0, 0, 0)


def test_an_unexpected_failure_has_code_and_message(key: str, monkeypatch: pytest.MonkeyPatch):
    def fail(**facts):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("events.api.collector.collect", fail)
    answer = send(key, viewed(), "track")

    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "secret" not in answer.content.decode()


def test_without_the_database_the_answer_is_503_with_whole_seconds(
    key: str, monkeypatch: pytest.MonkeyPatch
):
    def fail(**facts):
        raise OperationalError("away")

    monkeypatch.setattr("events.api.collector.collect", fail)
    answer = send(key, viewed(), "track")

    assert (answer.status_code, answer.json()["code"]) == (503, "database-unavailable")
    assert int(answer["Retry-After"]) > 0


def test_a_lost_race_is_503_because_an_sdk_gives_up_at_409(
    key: str, monkeypatch: pytest.MonkeyPatch
):
    from events.errors import AppendOutOfOrder

    def fail(**facts):
        raise AppendOutOfOrder(stream=uuid4())

    monkeypatch.setattr("events.api.collector.collect", fail)
    answer = send(key, viewed(), "track")

    assert answer.status_code == answer.json()["status"] == 503
    assert int(answer["Retry-After"]) > 0


def test_a_limit_is_400_and_nothing_of_the_request_is_stored(key: str):
    too_much = viewed(properties={str(n): n for n in range(301)})

    answer = send(key, {"batch": [viewed(), too_much]})

    assert (answer.status_code, answer.json()["code"]) == (400, "segment-limit-exceeded")
    assert "properties has 301 entries" in answer.json()["message"]
    assert not Customer.objects.exists()
    assert counted() == {}


def test_a_body_that_unpacks_to_more_than_anybody_reads_is_400_too(key: str, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 600 * 1024
    bomb = gzip.compress(b" " * (601 * 1024))

    answer = send(key, bomb, **{"Content-Encoding": "gzip"})

    assert answer.status_code == answer.json()["status"] == 400
    assert answer.json()["code"] == "body-too-large"


def test_an_empty_body_is_400(key: str):
    assert send(key, b"").json()["code"] == "body-malformed"


def test_gzip_is_read_and_a_broken_one_is_400(key: str):
    packed = gzip.compress(json.dumps({"batch": [viewed()]}).encode())

    assert answered(send(key, packed, **{"Content-Encoding": "gzip"})) == (1, 0, 0, 0)
    assert send(key, packed[:-9], **{"Content-Encoding": "gzip"}).status_code == 400


def test_a_browser_may_ask_and_read(key: str):
    preflight = Client().options(
        "/v1/t", headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    )
    answer = Client().post(
        "/v1/t",
        json.dumps({**viewed(), "writeKey": key}),
        content_type="text/plain",
        headers={"Origin": "https://shop.example"},
    )
    refused = Client().post("/v1/t", "{}", content_type="text/plain")

    assert preflight.status_code == 204
    assert "POST" in preflight["Access-Control-Allow-Methods"]
    assert "Content-Type" in preflight["Access-Control-Allow-Headers"]
    assert answered(answer) == (1, 0, 0, 0)
    for each in (preflight, answer, refused):
        assert each["Access-Control-Allow-Origin"] == "*"
    assert "Retry-After" in refused["Access-Control-Expose-Headers"]


def test_who_sends_too_much_gets_429_until_retry_after_and_nothing_is_stored():
    key = create_write_key(name=SHOP, at=NOON, events_per_second=1, burst=2).plain
    first = send(key, {"batch": [viewed(), viewed()]})
    second = send(key, viewed(), "track")

    assert answered(first) == (2, 0, 0, 0)
    assert first["RateLimit-Policy"] == '"events";q=2;w=2'
    assert first["RateLimit"].startswith('"events";r=0;t=')
    assert (second.status_code, second.json()["code"]) == (429, "too-many-events")
    assert second["Retry-After"].isdigit()
    assert counted()["received"] == 2


# Events


@pytest.mark.parametrize(
    ("route", "message", "stored"),
    [
        ("track", {"event": "Product Viewed", "properties": {"sku": "g-32"}}, "item_viewed"),
        ("t", {"event": "Product Viewed", "properties": {"sku": "g-32"}}, "item_viewed"),
        ("track/", {"event": "Product Added", "properties": {"sku": "g"}}, "item_added_to_cart"),
    ],
)
def test_a_single_call_is_a_batch_of_one(key: str, route: str, message: dict, stored: str):
    answer = send(key, {"userId": "u-1", "messageId": "m-1", **message}, route)

    assert answered(answer) == (1, 0, 0, 0)
    assert types_of("u-1") == ["customer_registered", stored]


def test_an_order_is_stored_line_by_line_and_counted_so(key: str):
    answer = send(key, {"batch": [viewed(event="Order Completed", properties=ORDER)]})

    assert answered(answer) == (2, 0, 0, 0)
    assert types_of("u-1")[1:] == ["item_purchased", "item_purchased"]
    assert [event.data["line_no"] for event in events_of("u-1")[1:]] == [1, 2]
    assert {event.metadata["source"] for event in events_of("u-1")[1:]} == {SHOP}


def test_a_retry_is_a_duplicate_although_its_corrected_time_differs(key: str):
    batch = [viewed(timestamp="2011-05-02T12:00:00Z"), viewed(event="Order Completed")]
    batch[1] |= {"properties": ORDER, "timestamp": "2011-05-02T12:00:01Z"}

    first = send(key, {"batch": batch, "sentAt": "2011-05-02T13:00:00.000Z"})
    again = send(key, {"batch": batch, "sentAt": "2011-05-02T13:00:03.333Z"})

    assert answered(first) == (3, 0, 0, 0)
    assert answered(again) == (0, 3, 0, 0)
    assert len(events_of("u-1")) == 4


def test_an_order_told_by_browser_and_server_is_stored_once(key: str):
    order = viewed(event="Order Completed", properties=ORDER)

    send(key, {"batch": [{**order, "messageId": "browser", "timestamp": "2011-05-02T12:00:00Z"}]})
    again = send(
        key, {"batch": [{**order, "messageId": "server", "timestamp": "2011-05-02T12:00:09Z"}]}
    )
    other = {**ORDER, "products": [{**ORDER["products"][0], "price": 17}]}
    changed = send(key, {"batch": [{**order, "messageId": "again", "properties": other}]})

    assert answered(again) == (0, 2, 0, 0)
    assert answered(changed) == (0, 0, 0, 1)  # the first one stands
    assert len(events_of("u-1")) == 3


def test_the_same_message_again_with_other_content_is_refused(key: str):
    message = viewed()
    send(key, message, "track")

    assert answered(send(key, {**message, "properties": {"sku": "x"}}, "track")) == (0, 0, 0, 1)


def test_the_stored_time_is_corrected_and_an_impossible_one_is_marked(key: str):
    started = now()
    right = viewed("right", timestamp="2011-05-02T12:00:00Z")
    wrong = viewed("wrong", timestamp="soon")

    send(key, {"batch": [right, wrong], "sentAt": "2011-05-02T13:00:00Z"})

    (_, first), (_, second) = events_of("right"), events_of("wrong")
    assert started - HOUR <= first.occurred_at <= now() - HOUR + timedelta(milliseconds=1)
    assert "time_from" not in first.metadata
    assert started <= second.occurred_at <= now()
    assert second.metadata["time_from"] == "received_at"


def test_one_bad_message_sinks_no_batch_and_everything_is_counted_once(key: str):
    batch = [
        viewed(),
        viewed(),
        17,
        {"type": "nonsense", "userId": "u-1"},
        viewed(None),
        viewed(properties={}),
        viewed(event="Order Completed", properties={**ORDER, "currency": None}),
        {"type": "identify", "userId": "u-2"},
        {"type": "identify", "userId": "u-2"},
        {"type": "identify", "traits": {"x": 1}},
        {"type": "alias", "userId": "u-3", "previousId": "u-2"},
    ]
    batch.append(batch[0])

    answer = send(key, {"batch": batch})

    # Two lines of the order lack a currency; the second identify and the repeated view change
    # nothing; the identify without an id is refused.
    assert answered(answer) == (4, 2, 6, 1)
    totals = counted()
    assert totals.pop("received") == sum(totals.values()) == 13
    assert totals == {"accepted": 4, "duplicate": 2, "quarantined": 6, "refused": 1}
    reasons = Counter(QuarantinedEvent.objects.values_list("reason", flat=True))
    assert reasons == {"schema_error": 5, "no_customer": 1}


def test_an_empty_batch_is_accepted_and_counts_nothing(key: str):
    assert answered(send(key, {"batch": []})) == (0, 0, 0, 0)
    assert counted() == {}


def test_a_type_that_nobody_registered_is_quarantined_where_the_key_says_so():
    key = create_write_key(name=SHOP, at=NOON, keeps_unknown_types=False).plain

    assert answered(send(key, viewed(event="Song Played"), "track")) == (0, 0, 1, 0)
    assert QuarantinedEvent.objects.get().reason == "unknown_type"


def test_a_type_that_nobody_registered_is_stored_under_its_name(api, key: str):
    properties = {"title": "Aria", "seconds": 5.5, "shared_with": "bob@example.org"}
    page = {"type": "page", "userId": "u-1", "messageId": "m-2", "name": "Home"}

    answer = send(key, {"batch": [viewed(event="Song Played", properties=properties), page]})

    assert answered(answer) == (2, 0, 0, 0)
    pseudonym = lookup_identity("user_id", "u-1")
    shown = api("events:read").get(f"/api/v1/customers/{pseudonym}/events/").json()["results"]
    assert [event["type"] for event in shown] == [
        "customer_registered", "song_played", "page_viewed",
    ]  # fmt: skip
    assert shown[1]["data"]["title"] == "Aria"
    assert "bob@example.org" not in json.dumps(shown)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.just(chr(0)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "page", "group", "identify", "alias"]) | JSON},
    optional={
        "event": st.sampled_from(["Order Completed", "Product Viewed", "Coupon Applied"]) | JSON,
        "userId": st.sampled_from(["u-1", 17]) | JSON,
        "anonymousId": st.just("a-1") | JSON,
        "previousId": st.just("u-1") | JSON,
        "messageId": st.just("m-1") | JSON,
        "properties": st.fixed_dictionaries(
            {"order_id": JSON, "products": JSON | st.lists(JSON, max_size=3)},
            optional={"sku": JSON, "quantity": JSON, "currency": JSON, "coupon_id": JSON},
        )
        | JSON,
        "traits": JSON,
        "context": JSON,
        "channel": JSON,
        "name": JSON,
        "groupId": JSON,
        "timestamp": st.just("2011-05-02T12:00:00Z") | JSON,
        "sentAt": JSON,
    },
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(batch=st.lists(MESSAGES | JSON, max_size=4))
def test_whatever_is_sent_is_taken_or_refused_and_always_counted(key: str, batch: list):
    before = counted().get("received", 0)

    answer = send(key, {"batch": batch}, **{"Content-Encoding": "identity"})

    assert answer.status_code in (200, 400), answer.content
    totals = counted()
    assert totals.pop("received", 0) == sum(totals.values())
    if answer.status_code == 200:
        assert sum(answered(answer)) == sum(totals.values()) - before


# Who is meant


def test_identify_registers_a_customer_and_stores_no_trait(key: str):
    traits = {"email": "ann@example.org", "name": "Ann", "address": {"country": "DE"}}
    message = {"userId": "u-1", "messageId": "m-1", "traits": traits}

    assert answered(send(key, message, "identify")) == (1, 0, 0, 0)
    assert answered(send(key, message, "identify")) == (0, 1, 0, 0)

    assert Customer.objects.get().country == "DE"
    assert types_of("u-1") == ["customer_registered"]
    assert resolve_identities([("email", "ann@example.org")]).known == {}
    assert not QuarantinedEvent.objects.exists()


def test_what_a_device_did_before_its_user_was_known_is_the_users(key: str):
    send(key, viewed(None, anonymousId="a-1"), "track")
    send(key, {"type": "identify", "userId": "u-1", "anonymousId": "a-1"}, "identify")
    send(key, viewed("u-1", anonymousId="a-1"), "track")

    assert types_of("u-1") == ["customer_registered", "item_viewed", "item_viewed"]
    assert lookup_identity("anonymous_id", "a-1") == lookup_identity("user_id", "u-1")


def test_within_one_batch_too_both_names_lead_to_one_customer(key: str):
    batch = [viewed(None, anonymousId="a-1"), viewed("u-1", anonymousId="a-1"), viewed("u-1")]

    assert answered(send(key, {"batch": batch})) == (3, 0, 0, 0)
    assert Customer.objects.count() == 1


def test_two_customers_are_not_merged_and_the_identify_is_counted_as_refused(key: str):
    send(key, {"batch": [viewed("u-1"), viewed(None, anonymousId="a-1")]})

    answer = send(key, {"userId": "u-1", "anonymousId": "a-1"}, "identify")
    after = send(key, viewed("u-1", anonymousId="a-1"), "track")

    assert answered(answer) == (0, 0, 0, 1)
    assert answered(after) == (1, 0, 0, 0)
    assert len(types_of("u-1")) == 3
    assert len(types_of("a-1", "anonymous_id")) == 2
    assert Intake.objects.get(outcome="refused").reason == "identities_apart"


def test_an_alias_gives_a_user_a_new_name(key: str):
    send(key, viewed("old"), "track")

    answer = send(key, {"userId": "new", "previousId": "old"}, "alias")

    assert answered(answer) == (1, 0, 0, 0)
    assert lookup_identity("user_id", "new") == lookup_identity("user_id", "old")


def test_somebody_who_was_erased_does_not_come_back(key: str):
    send(key, viewed("u-1", anonymousId="a-1"), "track")
    erase_now(pseudonym=lookup_identity("user_id", "u-1"), requested_by="test", at=NOON)

    batch = [
        viewed("u-1"),
        viewed("u-1", anonymousId="a-2"),
        viewed(None, anonymousId="a-1"),
        {"type": "identify", "userId": "u-1"},
    ]

    assert answered(send(key, {"batch": batch})) == (0, 0, 0, 4)
    assert not Customer.objects.exists()
    assert not QuarantinedEvent.objects.exists()


def test_a_key_that_may_not_register_reaches_known_customers_only():
    may = create_write_key(name="crm", at=NOON).plain
    key = create_write_key(name=SHOP, at=NOON, may_register=False).plain
    send(may, {"userId": "known"}, "identify")

    batch = [
        viewed("known"),
        viewed("unknown"),
        viewed("known", anonymousId="a-1"),
        {"type": "identify", "userId": "unknown"},
    ]

    assert answered(send(key, {"batch": batch})) == (2, 0, 1, 1)
    assert Customer.objects.count() == 1
    assert resolve_identities([("anonymous_id", "a-1")]).known == {}


def test_a_crms_number_is_the_same_customer_as_over_the_native_api(api):
    key = create_write_key(name=SHOP, at=NOON, user_id_kind="crm_id").plain
    api("identities:write").post("/api/v1/customers/", {"kind": "crm_id", "value": "17850"})

    send(key, viewed("17850"), "track")

    assert types_of("17850", "crm_id") == ["customer_registered", "item_viewed"]


def stored_somewhere(text: str) -> list[str]:
    """The tables that hold ``text`` in one of their columns, read as text."""
    tables = connection.introspection.table_names()
    return [
        table
        for table in tables
        if rows(f'SELECT 1 FROM "{table}" AS t WHERE t::text ILIKE %s LIMIT 1', [f"%{text}%"])
    ]


def test_no_identifier_that_was_sent_can_be_read_anywhere(key: str):
    secrets = {
        "email": "ann.zeidler@example.org", "phone": "+49 170 5550199", "firstName": "Annzeidler",
        "username": "azeidler",
    }  # fmt: skip
    context = {"ip": "203.0.113.77", "traits": secrets}
    batch = [
        {"type": "identify", "userId": "u-1", "traits": secrets, "context": context},
        viewed(event="Song Played", properties={**secrets, "title": "Findable"}, context=context),
        viewed(event="Song Shared", properties={"with": secrets["email"], "by": secrets["phone"]}),
        viewed(event="Product Viewed", properties={**secrets}, context=context),
        {"type": "group", "userId": "u-1", "groupId": "g", "traits": secrets, "messageId": "m"},
    ]

    assert answered(send(key, {"batch": batch})) == (4, 0, 1, 0)

    assert "events_event" in stored_somewhere("Findable")
    for secret in (*secrets.values(), "203.0.113.77"):
        assert stored_somewhere(secret) == [], secret
