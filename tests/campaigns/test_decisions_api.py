"""Decisions over REST: from a live offer to a reported outcome, and every way to be refused."""

import json
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework import serializers

from campaigns.api import decision_examples as examples
from campaigns.api.decision_schemas import DecisionSerializer, LiveOfferSerializer
from campaigns.models import Decision, Exposure
from common.models import IdempotencyRecord
from customers.identities import Newcomer
from customers.models import Customer
from customers.services import register_customers
from tests.campaigns.builders import with_twins
from tests.campaigns.decisions import AT, DAY, HOUR, WEAK, a_campaign, agrees, decided, live

pytestmark = pytest.mark.django_db
SCOPES = ("decisions:make", "campaigns:read", "campaigns:write", "events:write")
URL = "/api/v1/decisions/"


@pytest.fixture(autouse=True)
def it_is_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the routes stands still where the twins of the shop have just acted."""
    for module in ("campaigns.api.decisions", "campaigns.api.live_offers"):
        monkeypatch.setattr(f"{module}.now", lambda: AT)


def test_from_a_live_offer_to_a_reported_outcome(api, agreeing: list[UUID]):
    client, campaign = api(*SCOPES), a_campaign()
    wanted = {
        "depth": "0.1", "ends_at": "2011-06-01T00:00:00Z", "response": {"mean": 4, "spread": 1},
        "holdout_share": "0",
    }  # fmt: skip

    opened = client.post(f"/api/v1/campaigns/{campaign.id}/live-offers/", wanted)
    offer = opened.json()
    answered = client.post(URL, {"pseudonym": str(agreeing[0]), "channel": "web"})
    decision = answered.json()
    outcome = f"{URL}{decision['exposure_id']}/outcome/"
    reported = client.post(outcome, {"outcome": "shown"}).json()
    again = client.post(outcome, {"outcome": "shown"}).json()

    assert opened.status_code == 201
    assert client.get(opened["Location"]).json() == offer
    assert client.get("/api/v1/live-offers/").json()["results"] == [offer]
    assert answered.status_code == 201
    assert decision["arm"] == "treatment"
    assert decision["offer"]["live_offer_id"] == offer["id"]
    assert decision["offer"] == decision["candidates"][0]
    assert decision["show_until"] == "2011-05-03T12:00:00.000Z"
    assert decision["outcome"] is None
    assert reported["outcome"] == {
        "outcome": "shown", "at": "2011-05-02T12:00:00.000Z",
        "reported_at": "2011-05-02T12:00:00.000Z",
    }  # fmt: skip
    assert again == reported
    assert client.get(answered["Location"]).json() == reported
    listed = client.get(f"/api/v1/customers/{agreeing[0]}/decisions/").json()["results"]
    assert listed == [reported]
    (exposure,) = client.get(f"/api/v1/customers/{agreeing[0]}/exposures/").json()["results"]
    assert exposure["exposure_id"] == decision["exposure_id"]
    assert (exposure["launch_id"], exposure["live_offer_id"]) == (None, offer["id"])
    closed = client.post(f"/api/v1/live-offers/{offer['id']}/close/").json()
    assert closed["closed_at"] == "2011-05-02T12:00:00.000Z"
    later = client.post(URL, {"pseudonym": str(agreeing[1])}).json()
    assert (later["reason"]["code"], later["offer"]) == ("no_open_offer", None)


def test_an_answer_has_exactly_the_fields_that_the_document_promises(api, agreeing: list[UUID]):
    offer = live()
    client = api(*SCOPES)
    decision = client.post(URL, {"pseudonym": str(agreeing[0])}).json()
    client.post(f"{URL}{decision['exposure_id']}/outcome/", {"outcome": "shown"})

    read = client.get(f"{URL}{decision['id']}/").json()

    _same_fields(read, DecisionSerializer())
    _same_fields(client.get(f"/api/v1/live-offers/{offer.id}/").json(), LiveOfferSerializer())


def _same_fields(data, serializer) -> None:
    fields = serializer.get_fields()
    assert data.keys() == fields.keys()
    for name, field in fields.items():
        nested, value = field, data[name]
        if isinstance(field, serializers.ListSerializer):
            nested, value = field.child, data[name][0]
        if isinstance(nested, serializers.BaseSerializer):
            _same_fields(value, nested)


def test_an_identity_stands_for_the_customer(api, version):
    newcomer = Newcomer(kind="crm_id", value="17850", country="GB")
    (who,) = register_customers(newcomers=[newcomer], at=AT - DAY).values()
    with_twins(version, [who])
    agrees(who)
    live()
    client = api(*SCOPES)

    decision = client.post(URL, {"identity": {"kind": "crm_id", "value": " 17850 "}}).json()
    unknown = client.post(URL, {"identity": {"kind": "crm_id", "value": "17851"}})

    assert (decision["pseudonym"], decision["arm"]) == (str(who), "treatment")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/unknown-identity")


def test_a_request_that_is_sent_again_is_answered_again(api, agreeing: list[UUID], settings):
    settings.DTOC_CONTACT_CAP = 1
    live()
    client, key = api(*SCOPES), {"Idempotency-Key": str(uuid4())}
    body = {"pseudonym": str(agreeing[0])}

    first = client.post(URL, body, headers=key)
    again = client.post(URL, body, headers=key)
    fresh = client.post(URL, body)

    assert again.json() == first.json()
    assert again["Idempotency-Replayed"] == "true"
    assert again["Location"] == first["Location"]
    assert fresh.json()["reason"]["code"] == "over_contact_cap"
    assert Decision.objects.count() == 2
    assert str(agreeing[0]) in str(IdempotencyRecord.objects.get().body)  # so an erasure finds it


def test_held_back_the_answer_shows_nothing_and_is_reported(
    api, agreeing: list[UUID], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("campaigns.decisions.choosing.arm_of", lambda *_: "control")
    live()
    client = api(*SCOPES)

    decision = client.post(URL, {"pseudonym": str(agreeing[0])}).json()
    client.post(f"{URL}{decision['exposure_id']}/outcome/", {"outcome": "shown"})

    assert (decision["arm"], decision["offer"]) == ("control", None)
    assert decision["reason"]["code"] == "held_out"
    assert Exposure.objects.get().arm == "control"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"pseudonym": str(uuid4()), "identity": {"kind": "crm_id", "value": "1"}}, ""),
        ({"pseudonym": "nobody"}, "/pseudonym"),
        ({"pseudonym": str(uuid4()), "channel": "a@b"}, "/channel"),
        ({"pseudonym": str(uuid4()), "basket_value": "-1"}, "/basket_value"),
        ({"identity": {"kind": "crm_id"}}, "/identity/value"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_problem(api, body: dict, pointer: str):
    answer = api(*SCOPES).post(URL, body)

    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/validation-error")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_what_cannot_be_decided_or_reported_is_a_problem_that_says_what_to_do(
    api, agreeing: list[UUID]
):
    client = api(*SCOPES)
    live(response=WEAK)
    Customer.objects.filter(pseudonym=agreeing[1]).update(status="restricted")
    nothing = client.post(URL, {"pseudonym": str(agreeing[0])}).json()

    found = {
        "unknown": client.post(URL, {"pseudonym": str(uuid4())}),
        "restricted": client.post(URL, {"pseudonym": str(agreeing[1])}),
        "outcome": client.post(f"{URL}{uuid4()}/outcome/", {"outcome": "shown"}),
        "nothing": client.post(f"{URL}{nothing['id']}/outcome/", {"outcome": "shown"}),
        "decision": client.get(f"{URL}{uuid4()}/"),
        "offer": client.post(f"/api/v1/live-offers/{uuid4()}/close/"),
        "campaign": client.post(
            f"/api/v1/campaigns/{a_campaign().id}/live-offers/",
            {"depth": "0.1", "ends_at": "2011-06-01T00:00:00Z"},
        ),
    }

    told = {name: (answer.status_code, answer.json()["type"]) for name, answer in found.items()}
    assert told == {
        "unknown": (404, "/problems/unknown-customer"),
        "restricted": (403, "/problems/customer-restricted"),
        "outcome": (404, "/problems/unknown-decision"),
        "nothing": (409, "/problems/nothing-to-report"),
        "decision": (404, "/problems/unknown-decision"),
        "offer": (404, "/problems/unknown-live-offer"),
        "campaign": (422, "/problems/invalid-live-offer"),
    }  # fmt: skip


anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from(("0.1", "1e400", "-1", "NaN", "2011-06-01T00:00:00Z", "9999-12-31T23:59:59Z",
                     "0001-01-01T00:00:00+14:00", "shown", "web", "crm_id")),
    st.uuids().map(str), st.lists(st.text(max_size=9), max_size=3),
    st.dictionaries(st.sampled_from(("mean", "spread", "kind", "value")), st.text(max_size=5)),
    st.fixed_dictionaries({"mean": st.floats(), "spread": st.floats()}),
)  # fmt: skip
NAMES = (
    "pseudonym", "identity", "channel", "basket_value", "outcome", "at", "depth", "starts_at",
    "ends_at", "response", "simulation_id", "skus", "least_order_value", "holdout_share",
)  # fmt: skip


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sent=st.dictionaries(st.sampled_from(NAMES), anything),
    known=st.booleans(),
    route=st.sampled_from(
        ("decisions/", "decisions/{decision}/outcome/", "campaigns/{campaign}/live-offers/")
    ),
)
def test_whatever_is_sent_is_answered_or_refused_with_a_problem(agreeing, api, sent, known, route):
    with transaction.atomic():
        campaign = a_campaign()
        live(campaign)
        names = {"decision": decided(agreeing[0]).id, "campaign": campaign.id}
        if known:
            sent = {"ends_at": "2011-06-01T00:00:00Z", "depth": "0.1", "outcome": "shown", **sent}

        body = json.dumps(sent).replace("Infinity", "1e999")
        answer = api(*SCOPES).post(
            f"/api/v1/{route.format(**names)}", body, content_type="application/json"
        )

        assert answer.status_code in (200, 201, 400, 403, 404, 422), answer.content
        if answer.status_code >= 400:
            assert answer["Content-Type"] == "application/problem+json"
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("post", "decisions/", "decisions:make"),
        ("get", "decisions/{decision}/", "campaigns:read"),
        ("post", "decisions/{decision}/outcome/", "decisions:make"),
        ("get", "customers/{customer}/decisions/", "campaigns:read"),
        ("get", "live-offers/", "campaigns:read"),
        ("get", "live-offers/{offer}/", "campaigns:read"),
        ("post", "live-offers/{offer}/close/", "campaigns:write"),
        ("post", "campaigns/{campaign}/live-offers/", "campaigns:write"),
    ],
)
def test_only_the_scope_of_the_route_opens_it(
    api, agreeing: list[UUID], method: str, path: str, scope: str
):
    offer = live()
    decision = decided(agreeing[0])
    names = {
        "offer": offer.id, "campaign": offer.campaign_id, "decision": decision.id,
        "customer": agreeing[0],
    }  # fmt: skip
    others = [one for one in (*SCOPES, "twins:read", "identities:read") if one != scope]
    url = f"/api/v1/{path.format(**names)}"

    assert getattr(api(*others), method)(url, {}).status_code == 403
    assert getattr(api(scope), method)(url, {}).status_code in (200, 400)
    offer.refresh_from_db()
    assert Decision.objects.get().outcome == ""


def test_the_decisions_of_a_customer_are_paged_the_newest_first(api, agreeing: list[UUID]):
    live()
    made = [decided(agreeing[0], AT - n * HOUR).id for n in range(3)]
    decided(agreeing[1])
    client = api(*SCOPES)

    first = client.get(f"/api/v1/customers/{agreeing[0]}/decisions/?limit=2").json()
    rest = client.get(first["next"]).json()

    found = [UUID(one["id"]) for one in first["results"] + rest["results"]]
    assert found == made
    assert client.get(f"/api/v1/customers/{uuid4()}/decisions/").status_code == 404


def test_routes_are_described_with_examples(capsys):
    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]

    answers = paths["/api/v1/decisions/"]["post"]["responses"]["201"]["content"]
    assert answers["application/json"]["examples"].keys() == {"AnOffer", "NoOffer"}
    assert "/api/v1/decisions/{exposure_id}/outcome/" in paths
    assert "Warning" not in capsys.readouterr().err


def test_the_examples_have_the_fields_of_the_answers():
    _same_fields(
        {**examples.DECISION, "outcome": {"outcome": 1, "at": 1, "reported_at": 1}},
        DecisionSerializer(),
    )
    assert examples.NO_OFFER.keys() == examples.DECISION.keys()
    assert Decimal(examples.DECISION["candidates"][0]["expected_margin"]["mean"]) > 0
