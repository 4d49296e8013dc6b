"""What becomes of what somebody sent."""

from decimal import Decimal
from uuid import uuid4

import msgspec
import pytest

from events.catalogue import ItemPurchased, ItemReturned, ItemViewed
from events.cleaning import (
    Context,
    Doubtful,
    event_id_of,
    is_technical,
    metadata_of,
    parsed,
    plain_amount,
    readable_in,
    typed,
)
from tests.builders import HOUR, NOON
from tests.events.builders import line, sent

CRM = {"kind": "crm_id", "value": "17850"}


def cleaned(**changes):
    return typed(parsed(msgspec.json.encode(sent(CRM, **changes))), NOON)


def reason(**changes) -> str:
    with pytest.raises(Doubtful) as doubt:
        cleaned(**changes)
    return doubt.value.reason


def test_a_valid_line_is_a_purchase():
    assert cleaned() == line()


@pytest.mark.parametrize(
    "data",
    [{"quantity": -6}, {"order_id": "C536379"}, {"order_id": "C536379", "quantity": -6}],
)
def test_a_cancelled_invoice_or_a_negative_quantity_is_a_return_with_a_positive_quantity(data):
    event = cleaned(data=data)

    assert isinstance(event, ItemReturned)
    assert event.quantity == 6


@pytest.mark.parametrize("order_id", ["C-17", "C000123-00045", "CART17", "A563185"])
def test_an_order_number_that_merely_begins_with_a_c_is_a_purchase(order_id):
    assert isinstance(cleaned(data={"order_id": order_id}), ItemPurchased)


@pytest.mark.parametrize("price", ["0", "-0.01", "-11062.06", 0, "0.00"])
def test_a_price_that_is_not_above_zero_is_doubtful(price):
    assert reason(data={"unit_price": price}) == "price_not_positive"


@pytest.mark.parametrize(
    "data",
    [
        {"quantity": 0},
        {"quantity": "six"},
        {"quantity": 1.5},
        {"unit_price": "NaN"},
        {"unit_price": "Infinity"},
        {"unit_price": "1e400"},
        {"currency": "pounds"},
        {"country": "United Kingdom"},
        {"sku": ""},
        {"sku": "x" * 65},
        {"order_id": "bob@example.org"},
        {"sku": "85123A\n"},
        {"colour": "red"},
        {"order_id": None},
    ],
)
def test_data_that_does_not_fit_its_type_is_a_schema_error(data):
    assert reason(data=data) == "schema_error"


def test_an_unknown_type_is_doubtful():
    assert reason(type="item_admired") == "unknown_type"


def test_an_unknown_schema_version_is_a_schema_error():
    assert reason(schema_version=7) == "schema_error"


def test_five_minutes_ahead_are_tolerated_and_more_are_not():
    ahead = (NOON + HOUR / 12).isoformat()
    further = (NOON + HOUR / 10).isoformat()

    assert cleaned(occurred_at=ahead) == line()
    assert reason(occurred_at=further) == "time_in_future"


def test_a_time_without_an_offset_is_a_schema_error():
    assert reason(occurred_at="2011-05-02T12:00:00") == "schema_error"


def test_stock_codes_become_upper_case():
    assert cleaned(data={"sku": "85123a"}).sku == "85123A"


def test_a_verdict_repeats_nothing_that_was_sent():
    secret = "jane.roe@example.org"
    for changes in (
        {"data": {secret: 1}},
        {"data": {"sku": secret}},
        {"type": secret},
        {secret: 1},
        {"context": {"locale": "x" * 300 + secret}},
    ):
        with pytest.raises(Doubtful) as doubt:
            cleaned(**changes)
        assert secret not in doubt.value.detail


@pytest.mark.parametrize(
    ("sku", "expected"),
    [
        ("POST", True),
        ("M", True),
        ("BANK CHARGES", True),
        ("ADJUST2", True),
        ("TEST001", True),
        ("85123A", False),
        ("POSTER", False),
    ],
)
def test_technical_stock_codes_are_known(sku, expected):
    assert is_technical(sku) is expected


def test_a_mapping_may_add_technical_stock_codes():
    assert is_technical("C2", ("C2",))
    assert not is_technical("C2")


def test_technical_stock_codes_are_configurable(settings):
    is_technical.cache_clear()
    settings.DTOC_TECHNICAL_SKUS = ("WRAP",)

    assert is_technical("WRAP")
    assert not is_technical("POST")
    is_technical.cache_clear()


@pytest.mark.parametrize("text", ["2.5", "2.50", "2.500", "25e-1"])
def test_an_amount_has_one_spelling(text):
    assert str(plain_amount(Decimal(text))) == "2.5"


def test_a_round_amount_is_not_written_with_an_exponent():
    assert str(plain_amount(Decimal("1E+2"))) == "100"


def test_an_id_is_derived_from_the_natural_key_where_none_was_sent():
    one = event_id_of(parsed(msgspec.json.encode(sent(CRM))), "shop")
    same = event_id_of(parsed(msgspec.json.encode(sent(CRM, data={"quantity": 9}))), "shop")
    other_line = event_id_of(parsed(msgspec.json.encode(sent(CRM, data={"line_no": 2}))), "shop")
    other_shop = event_id_of(parsed(msgspec.json.encode(sent(CRM))), "outlet")
    returned = event_id_of(parsed(msgspec.json.encode(sent(CRM, type="item_returned"))), "shop")

    assert one == same
    assert len({one, other_line, other_shop, returned}) == 4


def test_an_id_that_was_sent_stays():
    event_id = uuid4()

    assert (
        event_id_of(parsed(msgspec.json.encode(sent(CRM, event_id=event_id))), "shop") == event_id
    )


def test_what_can_be_read_of_a_faulty_envelope_is_read():
    event_id = uuid4()
    body = {"customer": CRM, "event_id": event_id, "occurred_at": "yesterday"}

    seen = readable_in(msgspec.json.encode(body))

    assert (seen.customer.value, seen.event_id) == ("17850", event_id)
    assert readable_in(b'"nothing"').customer is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "value",
    ["jane.roe@example.org", "192.0.2.17", "2001:db8::17", "+44 20 7946 0018", "via jane@roe.uk"],
)
def test_direct_identifiers_in_the_context_become_keyed_digests(value):
    metadata = metadata_of(Context(session_id=value, channel="web"), "shop", technical=False)

    assert value not in str(metadata)
    assert metadata["session_id"].startswith("hmac:")
    assert metadata["channel"] == "web"
    assert metadata == metadata_of(
        Context(session_id=value, channel="web"), "shop", technical=False
    )


@pytest.mark.parametrize("value", ["web", "en-GB", "spring sale 2011", "s-81a", "v1.2.3", "12:30"])
def test_other_context_stays_as_it_is(value):
    assert metadata_of(Context(promo=value), "shop", technical=True) == {
        "source": "shop",
        "promo": value,
        "technical": True,
    }


def test_views_have_upper_case_stock_codes_too():
    envelope = parsed(
        msgspec.json.encode(
            {"type": "item_viewed", "occurred_at": NOON, "data": {"sku": "85123a"}, "customer": CRM}
        )
    )

    assert typed(envelope, NOON) == ItemViewed(sku="85123A")
