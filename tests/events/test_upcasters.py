"""Old events are read for ever."""

import json

import pytest

from events import upcasters
from events.catalogue import CATALOGUE, CustomEvent, ItemViewed
from events.errors import UnknownSchemaVersion, UpcasterMissing
from events.upcasters import decode, upcasts

# One stored sample of every type and schema version that was ever written. Add, never change.
SAMPLES = {
    ("item_viewed", 1): {"sku": "85123A", "category": None},
    ("item_added_to_cart", 1): {"sku": "85123A", "quantity": 2},
    ("item_removed_from_cart", 1): {"sku": "85123A", "quantity": 1},
    ("checkout_started", 1): {"order_id": "536365"},
    ("item_purchased", 1): {
        "order_id": "536365", "line_no": 1, "sku": "85123A", "quantity": 6, "unit_price": "2.55",
        "currency": "GBP", "country": "GB", "list_price": None,
    },
    ("item_returned", 1): {
        "order_id": "C536379", "line_no": 1, "sku": "85123A", "quantity": 6, "unit_price": "2.55",
        "currency": "GBP", "country": "", "list_price": "2.95",
    },
    ("order_cancelled", 1): {"order_id": "536365"},
    ("offer_assigned", 1): {
        "offer_id": "o-1", "campaign_id": "c-1", "kind": "discount", "depth": "0.2", "sku": None,
        "category": None, "valid_from": "2011-05-02T12:00:00Z",
        "valid_until": "2011-05-16T12:00:00Z", "arm": "control",
    },
    ("offer_viewed", 1): {"offer_id": "o-1", "campaign_id": None},
    ("offer_redeemed", 1): {"offer_id": "o-1", "campaign_id": "c-1", "order_id": "536365"},
    ("offer_expired", 1): {"offer_id": "o-1", "campaign_id": "c-1"},
    ("customer_registered", 1): {"country": "GB"},
    ("message_sent", 1): {"message_id": "m-1", "channel": "email", "campaign_id": "spring"},
    ("message_opened", 1): {"message_id": "m-1", "channel": "email", "campaign_id": None},
    ("message_clicked", 1): {
        "message_id": "m-1", "channel": "email", "campaign_id": None, "link_id": "hero",
    },
    ("unsubscribed", 1): {"channel": "sms", "message_id": "m-1"},
    ("support_contacted", 1): {
        "channel": "phone", "topic": "delivery", "priority": "high", "sentiment": -0.4,
    },
    ("profile_changed", 1): {"country": "GB", "changed": ["address"]},
    ("consent_granted", 1): {"purpose": "marketing", "origin": "form", "wording": "2025-01"},
    ("consent_withdrawn", 1): {"purpose": "profiling", "origin": None, "wording": None},
    ("identities_merged", 1): {"merged": "7a0f3c86-8c9b-4a86-9d3c-0d6d3ac4d1f5"},
}  # fmt: skip


@pytest.mark.parametrize("key", SAMPLES)
def test_every_stored_schema_version_can_be_read(key):
    event = decode(*key, json.dumps(SAMPLES[key]))

    assert event.type == key[0]


def test_every_type_has_a_sample_of_its_newest_schema_version():
    assert {(name, cls.schema_version) for name, cls in CATALOGUE.items()} <= set(SAMPLES)


@pytest.fixture
def third_version(monkeypatch):
    """item_viewed as if it had come to schema version 3, by way of two renamings."""
    monkeypatch.setattr(ItemViewed, "schema_version", 3)
    monkeypatch.setattr(upcasters, "UPCASTERS", {})
    upcasts("item_viewed", 1)(lambda data: {"item": data["article"]})


def test_an_old_version_is_taken_up_step_by_step(third_version):
    upcasts("item_viewed", 2)(lambda data: {"sku": data["item"]})

    assert decode("item_viewed", 1, '{"article": "A"}') == ItemViewed(sku="A")
    assert decode("item_viewed", 2, '{"item": "A"}') == ItemViewed(sku="A")
    assert decode("item_viewed", 3, '{"sku": "A"}') == ItemViewed(sku="A")


def test_a_missing_step_is_named(third_version):
    with pytest.raises(UpcasterMissing, match="no upcaster from version 2 of item_viewed"):
        decode("item_viewed", 1, '{"article": "A"}')


def test_a_version_from_the_future_is_refused():
    with pytest.raises(UnknownSchemaVersion, match="expected 1 to 1"):
        decode("item_viewed", 2, "{}")


def test_a_custom_type_is_read_as_it_was_stored():
    assert decode("item_admired", 2, '{"stars": 5}') == CustomEvent(
        type="item_admired", schema_version=2, data={"stars": 5}
    )
