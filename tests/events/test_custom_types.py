"""Event types that an installation adds."""

import json

import pytest
from django.test import override_settings

from events.errors import InvalidCustomType
from events.models import CustomType
from events.selectors import events_after
from events.services import Policy
from events.services.custom_types import register_custom_type
from tests.builders import NOON
from tests.events.builders import rows

pytestmark = pytest.mark.django_db

URL = "/api/v1/events/"
REVIEWED = {
    "type": "object",
    "properties": {
        "stars": {"type": "integer", "minimum": 1, "maximum": 5},
        "sku": {"type": "string", "pattern": "^[A-Z0-9]+$"},
        "note": {"type": "string"},
    },
    "required": ["stars"],
    "additionalProperties": False,
}


def register(json_schema=None, name="item_reviewed"):
    return register_custom_type(
        name=name,
        json_schema=REVIEWED if json_schema is None else json_schema,
        description="",
        by="tester",
        at=NOON,
    )


def reviewed(**changes):
    event = {
        "customer": {"kind": "crm_id", "value": "17850"},
        "type": "item_reviewed",
        "occurred_at": "2011-05-02T12:00:00Z",
        "data": {"stars": 4},
    }
    return {**event, **changes}


@pytest.fixture
def crm(api):
    return api("events:write", "events:read", "identities:write")


def test_an_event_of_a_registered_type_is_stored_and_read_back(crm):
    register()

    answer = crm.post(URL, reviewed())

    assert answer.status_code == 201
    stream = crm.get(f"/api/v1/customers/{answer.json()['customer']}/events/").json()["results"]
    assert [event["data"] for event in stream if event["type"] == "item_reviewed"] == [{"stars": 4}]


@pytest.mark.parametrize(
    "data", [{}, {"stars": 6}, {"stars": "4"}, {"stars": 4, "colour": "red"}, [], "text"]
)
def test_data_that_do_not_fit_the_schema_go_to_quarantine(crm, data):
    register()

    answer = crm.post(URL, reviewed(data=data))

    assert answer.status_code == 422
    assert "schema_error" in answer.json()["detail"]


@pytest.mark.parametrize(
    "data", [r'{"a": "\u0000"}', r'{"a": "\ud800"}', '{"a": 1e999}', '{"a": ' + "[" * 5000, "{}1"]
)
def test_data_that_cannot_be_stored_are_an_answer_and_no_crash(crm, data):
    register({"type": "object"})
    body = json.dumps(reviewed(data="HERE")).replace('"HERE"', data)

    answer = crm.generic("POST", URL, body, content_type="application/json")

    assert answer.status_code in (400, 422)


def test_the_reason_repeats_nothing_that_was_sent(crm):
    register()

    detail = crm.post(URL, reviewed(data={"stars": 4, "sku": "jo@example.org"})).json()["detail"]

    assert "sku" in detail
    assert "example.org" not in detail


def test_an_unregistered_type_goes_to_quarantine(crm):
    assert "unknown_type" in crm.post(URL, reviewed()).json()["detail"]


def test_a_new_schema_is_a_new_version_and_stored_events_stay_as_they_are(crm):
    register()
    crm.post(URL, reviewed())

    second = register({"type": "object", "required": ["points"]})

    assert (second.schema_version, CustomType.objects.count()) == (2, 2)
    assert "only that is taken" in crm.post(URL, reviewed()).json()["detail"]
    answer = crm.post(URL, reviewed(schema_version=2, data={"points": 9}))
    stored = events_after({answer.json()["customer"]: 0})
    assert [e.data.data for e in stored if e.type == "item_reviewed"] == [
        {"stars": 4},
        {"points": 9},
    ]


def test_the_same_schema_again_is_no_new_version():
    assert register() == register()


@pytest.mark.parametrize(
    ("name", "schema", "told"),
    [
        ("Item Reviewed", REVIEWED, "snake_case"),
        ("item_purchased", REVIEWED, "in the catalogue"),
        ("item_reviewed", {"type": "string"}, "always an object"),
        ("item_reviewed", {"type": "object", "required": 3}, "no valid JSON Schema"),
        ("item_reviewed", {"type": "object", "$ref": "http://example.org/x"}, "no valid JSON Sch"),
        ("item_reviewed", {"type": "object", "title": "x" * 70_000}, "more than 65536 bytes"),
    ],
)
def test_what_cannot_be_registered_says_why(name, schema, told):
    with pytest.raises(InvalidCustomType, match=told):
        register(schema, name)


def test_direct_identifiers_in_free_fields_are_stored_as_keyed_digests(crm):
    register({"type": "object"})
    data = {
        "note": "call me: +44 20 7946 0958",
        "deep": [{"who": "jo@example.org", "from": "203.0.113.9"}],
        "jo@example.org": True,
        "on": "2024-05-02",
        "at": "2024-05-02T12:30:00+01:00",
        "size": 12345678901,
    }

    crm.post(URL, reviewed(data=data))

    ((stored,),) = rows("SELECT data::text FROM events_event WHERE type = 'item_reviewed'")
    for secret in ("7946", "example.org", "203.0.113"):
        assert secret not in stored
    assert stored.count("hmac:") == 4
    for plain in ("2024-05-02", "12:30:00+01:00", "12345678901"):
        assert plain in stored


def test_equal_identifiers_of_a_field_keep_equal_digests(crm):
    register({"type": "object"})

    for _ in range(2):
        crm.post(URL, reviewed(data={"who": "jo@example.org"}))

    stored = rows("SELECT DISTINCT data::text FROM events_event WHERE type = 'item_reviewed'")
    assert len(stored) == 1


def test_a_collector_keeps_types_that_nobody_registered(collect):
    report = collect([reviewed(event_id="7a0f3c86-8c9b-4a86-9d3c-0d6d3ac4d1f5")])

    assert report.total("accepted") == 1
    (kept,) = CustomType.objects.all()
    assert (kept.name, kept.origin, kept.created_by) == ("item_reviewed", "observed", "collector")


def test_a_collector_that_makes_up_names_does_not_fill_the_catalogue(collect):
    with override_settings(DTOC_OBSERVED_TYPES=2):
        report = collect([reviewed(type=f"made_up_{n}", event_id=event_id(n)) for n in range(5)])

    assert (report.total("accepted"), report.total("quarantined")) == (2, 3)
    assert CustomType.objects.count() == 2


def event_id(n):
    return f"7a0f3c86-8c9b-4a86-9d3c-0d6d3ac4d1f{n}"


@pytest.fixture
def collect():
    import msgspec

    from events.api.parsers import item_of
    from events.services import ingest

    policy = Policy(source="collector", at=NOON, may_register=True, keeps_unknown_types=True)

    def send(events):
        return ingest(
            items=[item_of(msgspec.json.encode(event)) for event in events], policy=policy
        )

    return send
