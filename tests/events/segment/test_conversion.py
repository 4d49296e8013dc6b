"""One message to what it says, without a database."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.identities import Newcomer
from customers.services import Link
from events.cleaning import Doubtful, Envelope, event_id_of, metadata_of, parsed, typed
from events.errors import BodyMalformed, SegmentLimitExceeded
from events.segment import Converted, Settings, body_of, convert, messages_of
from events.segment.names import type_named
from events.segment.times import corrected
from tests.builders import HOUR, NOON

SHOP = Settings(source="webshop", currency="EUR")
ORDER = {
    "order_id": "A-17",
    "currency": "usd",
    "coupon": "MAY",
    "products": [
        {"product_id": "p1", "sku": "g-32", "price": 18.99, "quantity": 1},
        {"product_id": 4711, "price": "3", "quantity": "2"},
    ],
}


def received(message: dict, body: dict | None = None, at: datetime = NOON):
    raw = json.dumps({"batch": [message], **(body or {})}).encode()
    return messages_of(raw, body_of(raw), "batch", at)[0]


def converted(message: dict, settings: Settings = SHOP, **body) -> Converted:
    return convert(received({"messageId": "m-1", "userId": "u-1", **message}, body), settings)


def track(event: str, properties: dict | None = None, **more) -> Converted:
    return converted({"type": "track", "event": event, "properties": properties or {}, **more})


def only(told: Converted) -> Envelope:
    (item,) = told.items
    assert isinstance(item.envelope, Envelope), item.envelope
    return item.envelope


def data(told: Converted) -> dict:
    return json.loads(bytes(only(told).data))


@pytest.mark.parametrize(
    ("event", "properties", "type_name", "expected"),
    [
        ("Product Viewed", {"sku": "g-32", "category": "Games"}, "item_viewed",
         {"sku": "g-32", "category": "Games"}),
        ("product viewed", {"product_id": 17.0, "category": "Kids' stuff"}, "item_viewed",
         {"sku": "17"}),
        ("Viewed Product", {"product_id": "p1"}, "item_viewed", {"sku": "p1"}),
        ("Product Added", {"product_id": "p1"}, "item_added_to_cart", {"sku": "p1", "quantity": 1}),
        ("Product Removed", {"sku": "", "product_id": "p1", "quantity": "3"},
         "item_removed_from_cart", {"sku": "p1", "quantity": 3}),
        ("Checkout Started", {"order_id": 17, "value": 5}, "checkout_started", {"order_id": "17"}),
        ("Checkout Started", {}, "checkout_started", {}),
        ("Order Cancelled", {"order_id": "A-17"}, "order_cancelled", {"order_id": "A-17"}),
        ("Coupon Applied", {"coupon_id": "MAY", "order_id": "A-17"}, "offer_redeemed",
         {"offer_id": "MAY", "order_id": "A-17"}),
        ("Coupon Applied", {"coupon_id": "MAY"}, "coupon_applied", {"coupon_id": "MAY"}),
        ("Promotion Viewed", {"promotion_id": "p-1"}, "offer_viewed", {"offer_id": "p-1"}),
        ("Song Played", {"title": "Aria", "seconds": 5.5}, "song_played",
         {"title": "Aria", "seconds": 5.5}),
        ("Order Completed", {"order_id": "A-17"}, "order_completed", {"order_id": "A-17"}),
        ("Order Refunded", {"order_id": "A-17"}, "order_refunded", {"order_id": "A-17"}),
    ],
)  # fmt: skip
def test_a_track_event_becomes_what_it_means(
    event: str, properties: dict, type_name: str, expected: dict
):
    told = track(event, properties)

    assert only(told).type == type_name
    assert data(told) == expected


def test_every_mapped_event_passes_the_cleaning_of_the_catalogue():
    for event, properties in (
        ("Product Viewed", {"sku": "g-32"}),
        ("Product Added", {"sku": "g-32"}),
        ("Product Removed", {"sku": "g-32"}),
        ("Checkout Started", {"order_id": 17}),
        ("Order Cancelled", {"order_id": "A-17"}),
        ("Coupon Applied", {"coupon_id": "MAY", "order_id": "A-17"}),
        ("Promotion Viewed", {"promotion_id": "p-1"}),
        ("Order Completed", ORDER),
        ("Order Refunded", ORDER),
    ):
        for item in track(event, properties).items:
            assert isinstance(item.envelope, Envelope)
            typed(item.envelope, NOON)


def test_an_order_is_one_purchase_for_each_product():
    first, second = track("Order Completed", ORDER).items

    assert [json.loads(bytes(item.envelope.data)) for item in (first, second)] == [
        {"order_id": "A-17", "line_no": 1, "sku": "g-32", "quantity": 1, "unit_price": "18.99",
         "currency": "USD", "country": ""},
        {"order_id": "A-17", "line_no": 2, "sku": "4711", "quantity": 2, "unit_price": "3",
         "currency": "USD", "country": ""},
    ]  # fmt: skip
    assert first.envelope.type == second.envelope.type == "item_purchased"
    assert first.envelope.context.promo == "MAY"


def test_an_order_line_is_the_same_event_whoever_tells_it_under_one_source():
    browser = track("Order Completed", ORDER, messageId="from-browser", anonymousId="a-1")
    server = track("Order Completed", ORDER, messageId="from-server")
    other = converted(
        {"type": "track", "event": "Order Completed", "properties": ORDER}, Settings("app")
    )

    ids = [[item.event_id for item in told.items] for told in (browser, server, other)]
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])
    # It is also the id of the same line over the native API, and of a file of that source.
    envelope = browser.items[0].envelope
    assert event_id_of(Envelope(**{**fields(envelope), "event_id": None}), "webshop") == ids[0][0]


def fields(envelope: Envelope) -> dict:
    return {name: getattr(envelope, name) for name in envelope.__struct_fields__}


def test_two_refunds_of_one_order_are_two_returns():
    first = track("Order Refunded", ORDER, messageId="m-1")
    second = track("Order Refunded", ORDER, messageId="m-2")

    ids = {item.event_id for told in (first, second) for item in told.items}
    assert len(ids) == 4
    assert {item.envelope.type for item in first.items} == {"item_returned"}


def test_the_currency_of_the_write_key_stands_in_and_without_any_the_line_is_doubtful():
    order = {**ORDER, "currency": None}
    with_default = track("Order Completed", order).items[0]
    message = {"type": "track", "event": "Order Completed", "properties": order}
    without = converted(message, Settings("webshop")).items[0]

    assert json.loads(bytes(with_default.envelope.data))["currency"] == "EUR"
    with pytest.raises(Doubtful, match="currency"):
        typed(without.envelope, NOON)


def test_a_product_that_is_none_is_doubtful_and_costs_no_other_line():
    good, bad = track("Order Completed", {**ORDER, "products": [ORDER["products"][0], 17]}).items

    typed(good.envelope, NOON)
    with pytest.raises(Doubtful, match="sku"):
        typed(bad.envelope, NOON)


@pytest.mark.parametrize(
    ("message", "type_name", "expected"),
    [
        ({"type": "page", "name": "Home", "category": "Docs", "properties": {"path": "/"}},
         "page_viewed", {"path": "/", "name": "Home", "category": "Docs"}),
        ({"type": "screen", "name": None}, "screen_viewed", {}),
        ({"type": "group", "groupId": 42, "traits": {"name": "Initech", "email": "a@b.de"}},
         "group_joined", {"group_id": "42"}),
    ],
)  # fmt: skip
def test_pages_screens_and_groups_become_custom_events(message, type_name, expected):
    told = converted(message)

    assert only(told).type == type_name
    assert data(told) == expected


def test_members_that_name_a_person_never_leave_the_message():
    secret = {"email": "ann@example.org", "First-Name": "Ann", "phoneNumber": "1", "name": "x"}
    told = track("Signed Up", {"plan": "pro", **secret, "team": [{"lastName": "Lee", "size": 3}]})

    assert data(told) == {"plan": "pro", "name": "x", "team": [{"size": 3}]}


def test_what_the_database_cannot_hold_is_left_out():
    assert data(track("x", {"a\0b": ["c\0"], "d": "\0", "e\0mail": ""})) == {"ab": ["c"], "d": ""}


def test_traits_leave_only_a_country():
    traits = {"email": "ann@example.org", "name": "Ann", "address": {"country": "de", "city": "X"}}
    told = converted({"type": "identify", "traits": traits})

    assert told.only_links
    assert told.items == []
    assert told.link == Link(person=Newcomer(kind="user_id", value="u-1", country="DE"))


def test_both_ids_on_any_message_are_a_link_and_the_user_is_the_customer():
    told = track("Song Played", anonymousId="a-1")

    assert told.link == Link(
        person=Newcomer(kind="user_id", value="u-1"), other=("anonymous_id", "a-1")
    )
    assert only(told).customer.kind == "user_id"
    assert only(track("Song Played", userId=None, anonymousId="a-1")).customer.value == "a-1"


def test_the_kind_of_a_user_id_is_the_write_keys():
    told = converted({"type": "track", "event": "x"}, Settings("webshop", user_id_kind="crm_id"))

    assert only(told).customer.kind == "crm_id"


def test_an_alias_names_a_device_or_a_former_user():
    told = converted({"type": "alias", "previousId": "old"})

    assert told.link.other == ("anonymous_id", "old")
    assert told.renamed == ("user_id", "old")
    assert converted({"type": "alias"}).link is None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"type": "nonsense"}, "schema_error"),
        ({"type": None}, "schema_error"),
        ({"type": "track", "event": " "}, "schema_error"),
        ({"type": "track", "event": "x", "userId": "u" * 255}, "schema_error"),
    ],
)
def test_a_message_that_cannot_be_read_says_why(message: dict, reason: str):
    (item,) = converted(message).items

    assert isinstance(item.envelope, Doubtful)
    assert item.envelope.reason == reason
    assert item.form == "segment"


def test_a_message_that_is_no_object_is_doubtful_and_costs_no_other():
    raw = b'{"batch": [17, [], {"type": "track", "event": "x", "userId": "u"}]}'
    *broken, good = messages_of(raw, body_of(raw), "batch", NOON)

    assert [type(convert(each, SHOP).items[0].envelope) for each in broken] == [Doubtful] * 2
    assert isinstance(convert(good, SHOP).items[0].envelope, Envelope)


def test_without_any_id_an_event_names_no_customer():
    assert only(track("Song Played", userId=None)).customer is None


def test_a_message_without_an_id_is_told_by_its_content_if_that_has_a_time():
    bare = {"type": "track", "event": "x", "userId": "u"}

    def event_id(message: dict, at: datetime = NOON):
        return convert(received(message, at=at), SHOP).items[0].event_id

    timed = {**bare, "timestamp": "2011-05-02T12:00:00Z"}
    assert event_id(timed) == event_id(timed, NOON + HOUR)
    assert event_id(timed) != event_id({**timed, "event": "y"})
    assert event_id(bare) != event_id(bare, NOON + HOUR)


def test_what_quarantine_keeps_is_an_event_of_the_native_api():
    (item,) = track("Song Played", {"title": "Aria"}, timestamp="nonsense").items

    kept = parsed(item.body())

    assert (kept.type, kept.event_id) == ("song_played", item.event_id)
    assert json.loads(bytes(kept.data)) == {"title": "Aria"}


# Times


def test_the_time_is_corrected_by_the_senders_own_clock():
    an_hour_slow = "2011-05-02T10:59:50Z"
    told = track("x", timestamp=an_hour_slow, sentAt="2011-05-02T11:00:00Z")

    assert told.occurred_at == NOON - timedelta(seconds=10)
    assert metadata_of(only(told).context, "webshop", technical=False) == {"source": "webshop"}


def test_the_original_timestamp_is_what_is_corrected():
    assert corrected("2011-05-02T11:00:00Z", None, NOON) == (NOON - HOUR, False)
    told = track(
        "x",
        originalTimestamp="2011-05-02T11:00:00Z",
        timestamp="2011-05-02T11:30:00Z",
        sentAt="2011-05-02T12:00:00Z",
    )
    assert told.occurred_at == NOON - HOUR


@pytest.mark.parametrize(
    ("original", "sent"),
    [
        ("2011-05-02T12:06:00Z", "2011-05-02T12:00:00Z"),  # 6 minutes ahead
        ("1969-12-31T23:59:59Z", "2011-05-02T12:00:00Z"),
        ("yesterday", "2011-05-02T12:00:00Z"),
        ("2011-05-02T12:00:00Z", "now"),
        (1304337600, None),
        ("0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"),
    ],
)
def test_an_impossible_time_becomes_the_time_of_receipt_and_is_marked(original, sent):
    told = track("x", timestamp=original, sentAt=sent)

    assert told.occurred_at == NOON
    stored = metadata_of(only(told).context, "webshop", technical=False)
    assert stored["time_from"] == "received_at"


@given(
    ahead=st.timedeltas(timedelta(days=-900), timedelta(days=900)),
    ago=st.timedeltas(timedelta(0), timedelta(days=9_000)),
)
def test_a_senders_wrong_clock_changes_no_time(ahead: timedelta, ago: timedelta):
    sent = NOON + ahead

    moment, impossible = corrected((sent - ago).isoformat(), sent.isoformat(), NOON)

    assert (moment, impossible) == (NOON - ago, False)


def test_a_time_without_a_zone_is_utc():
    assert corrected("2011-05-02T11:00:00", None, NOON) == (NOON - HOUR, False)
    assert corrected("2011-05-02", None, NOON)[0] == datetime(2011, 5, 2, tzinfo=UTC)


# Context and consent


def test_the_batch_tells_what_its_messages_do_not():
    around = {"context": {"locale": "de-DE", "campaign": {"source": "mail"}, "ip": "10.0.0.1"}}
    message = {"type": "track", "event": "x", "channel": "server", "context": {"locale": "fr-FR"}}

    context = only(converted(message, **around)).context

    assert (context.locale, context.traffic_source, context.channel) == ("fr-FR", "mail", "server")
    assert "10.0.0.1" not in str(metadata_of(context, "webshop", technical=False))


@pytest.mark.parametrize(
    ("consent", "stated"),
    [
        (None, None),
        ({}, None),
        ({"categoryPreferences": {}}, {}),
        (
            {"categoryPreferences": {"Analytics": True, "Ads": False}},
            {"Analytics": True, "Ads": False},
        ),
        ({"categoryPreferences": {"Analytics": "yes"}}, None),
        ({"categoryPreferences": ["Analytics"]}, None),
    ],
)
def test_consent_is_read_and_carried(consent, stated):
    assert track("x", context={"consent": consent}).consent == stated


# Names


@pytest.mark.parametrize(
    ("name", "type_name"),
    [
        ("Song Played", "song_played"),
        ("songPlayed", "song_played"),
        ("  HTTPError -- 404!", "http_error_404"),
        ("Offer Assigned", "custom_offer_assigned"),
        ("1st Visit", "custom_1st_visit"),
        ("Товар переглянуто", "event_59ee4f504fbd"),
        ("Товар X", "x_330163b2aca3"),
    ],
)
def test_an_event_is_named_in_snake_case(name: str, type_name: str):
    assert type_named(name, frozenset({"offer_assigned"})) == type_name


def test_a_sender_cannot_tell_an_event_that_only_dtoc_tells():
    assert only(track("offer_assigned", {"arm": "control"})).type == "custom_offer_assigned"
    assert only(track("customer_registered")).type == "custom_customer_registered"


@given(name=st.text(min_size=1, max_size=200))
def test_every_name_makes_a_type_that_can_be_stored_and_read_again(name: str):
    made = type_named(name, frozenset())

    assert len(made) <= 60
    assert made[0].isalpha()
    assert type_named(made, frozenset()) == made


# Limits


def limited(message: dict, count: int = 1, padding: int = 0):
    raw = json.dumps({"batch": [message] * count}).encode() + b" " * padding
    return messages_of(raw, body_of(raw), "batch", NOON)


def nested(levels: int) -> dict:
    return {"properties": {} if levels == 1 else {"x": nested(levels - 1)["properties"]}}


def sized(size: int) -> dict:
    return {"properties": {"x": "y" * (size - len(json.dumps({"properties": {"x": ""}})))}}


@pytest.mark.parametrize(
    ("within", "beyond", "what"),
    [
        (sized(32 * 1024), sized(32 * 1024 + 1), "event has 32769 bytes"),
        (nested(8), nested(9), "event has 10 levels"),
        ({"properties": {str(n): n for n in range(300)}},
         {"properties": {str(n): n for n in range(301)}}, "properties has 301 entries"),
        ({"traits": {str(n): n for n in range(300)}},
         {"traits": {str(n): n for n in range(301)}}, "traits has 301 entries"),
        ({"messageId": "m" * 100}, {"messageId": "m" * 101}, "messageId has 101 characters"),
    ],
    ids=["size", "nesting", "properties", "traits", "messageId"],
)  # fmt: skip
def test_an_event_beyond_a_limit_sinks_the_request(within: dict, beyond: dict, what: str):
    assert len(limited(within)) == 1
    with pytest.raises(SegmentLimitExceeded, match=what):
        limited(beyond)


def test_a_batch_beyond_its_limits_sinks_the_request():
    assert len(limited({}, 2_500)) == 2_500
    with pytest.raises(SegmentLimitExceeded, match="batch has 2501 events"):
        limited({}, 2_501)

    room = 500 * 1024 - len(json.dumps({"batch": [{}]}))
    assert len(limited({}, padding=room)) == 1
    with pytest.raises(SegmentLimitExceeded, match="body has 512001 bytes"):
        limited({}, padding=room + 1)


def test_brackets_in_texts_nest_nothing():
    assert len(limited({"properties": {"x": '[[[[[[[[[[\\"{{{{{{{{'}})) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"17",
        b'{"batch": 17}',
        b'{"x": tru}',
        b'{"batch": [\xff]}',
        b'{"batch": ["\\ud800"]}',
        b"{" * 9_999,
    ],
)
def test_a_body_that_is_no_object_of_json_is_malformed(raw: bytes):
    with pytest.raises(BodyMalformed):
        messages_of(raw, body_of(raw), "batch", NOON)


def test_a_batch_without_an_array_is_malformed():
    with pytest.raises(BodyMalformed, match="array named batch"):
        messages_of(b"{}", body_of(b"{}"), "batch", NOON)
