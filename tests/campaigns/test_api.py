"""Campaigns over REST."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from campaigns.models import Audience, SimulationRun
from common.clock import now
from common.models import Operation
from tests.campaigns.builders import audience, campaign, finished, started

SCOPES = ("campaigns:read", "campaigns:write", "simulations:run")
CAMPAIGN = {"name": "Spring", "offer": {"kind": "discount", "offer_days": 14}, "currency": "GBP"}


def body(who: UUID, **changes) -> dict:
    facts = {
        "audience_id": str(who),
        "depths": ["0", "0.2"],
        "delays_days": [0, 7],
        "horizon_days": 30,
        "replicates": 3,
        "seed": 1,
        "response": {"kind": "assumed", "mean": 1.5, "spread": 0.5},
    }
    return {**facts, **changes}


def test_a_campaign_is_created_and_read(api):
    client = api(*SCOPES)

    created = client.post("/api/v1/campaigns/", CAMPAIGN)
    read = client.get(created["Location"])

    assert created.status_code == 201
    assert read.json() == created.json()
    assert read.json()["offer"] == {"kind": "discount", "offer_days": 14}


def test_campaigns_are_listed_in_pages_the_newest_first(api):
    client = api(*SCOPES)
    for n in range(3):
        client.post("/api/v1/campaigns/", {**CAMPAIGN, "name": f"Campaign {n}"})

    first = client.get("/api/v1/campaigns/?limit=2").json()
    second = client.get(first["next"]).json()

    names = [row["name"] for row in first["results"] + second["results"]]
    assert names == ["Campaign 2", "Campaign 1", "Campaign 0"]
    assert second["next"] is None


def test_an_audience_is_evaluated_and_does_not_tell_who_is_in_it(api, shop: list[UUID]):
    client = api(*SCOPES)

    created = client.post(
        "/api/v1/audiences/", {"filter": {"pseudonyms": [str(p) for p in shop[:3]]}}
    )

    assert created.status_code == 201
    assert created.json()["size"] == 3
    assert client.get(created["Location"]).json() == created.json()
    assert str(shop[0]) not in created.content.decode()


def test_an_empty_audience_is_a_problem_and_leaves_nothing(api, shop: list[UUID]):
    answer = api(*SCOPES).post("/api/v1/audiences/", {"filter": {"orders_at_least": 999}})

    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/empty-audience"
    assert not Audience.objects.exists()


def test_a_misspelt_condition_is_refused_instead_of_widening_the_audience(api, shop: list[UUID]):
    answer = api(*SCOPES).post("/api/v1/audiences/", {"filter": {"order_at_least": 3}})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/filter/order_at_least"


def test_a_simulation_is_started_watched_and_read(api, shop: list[UUID]):
    client = api(*SCOPES)
    url = f"/api/v1/campaigns/{campaign().id}/simulations/"

    accepted = client.post(url, body(audience().id), headers={"Idempotency-Key": str(uuid4())})
    waiting = client.get(accepted.json()["simulation_url"]).json()
    finished(SimulationRun.objects.get())
    watched = client.get(accepted["Location"]).json()
    read = client.get(watched["result_url"]).json()

    assert accepted.status_code == 202
    assert accepted.json()["status"] == "queued"
    assert waiting["result"] is None
    assert watched["status"] == "succeeded"
    assert watched["progress"] == {"done": 12, "total": 12, "unit": "customers"}
    assert len(read["result"]["scenarios"]) == 4
    assert read["result"]["manifest_sha256"] == read["manifest_sha256"]
    assert [row["id"] for row in client.get(url).json()["results"]] == [read["id"]]


def test_a_simulation_needs_an_idempotency_key(api, shop: list[UUID]):
    url = f"/api/v1/campaigns/{campaign().id}/simulations/"

    answer = api(*SCOPES).post(url, body(audience().id))

    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/idempotency-key-missing"
    assert not Operation.objects.exists()


def test_the_same_key_starts_one_simulation_and_another_body_under_it_is_refused(
    api, shop: list[UUID]
):
    client, key = api(*SCOPES), {"Idempotency-Key": str(uuid4())}
    url, wanted = f"/api/v1/campaigns/{campaign().id}/simulations/", body(audience().id)

    first = client.post(url, wanted, headers=key)
    again = client.post(url, wanted, headers=key)
    other = client.post(url, {**wanted, "seed": 2}, headers=key)

    assert again.json() == first.json()
    assert again["Idempotency-Replayed"] == "true"
    assert again["Location"] == first["Location"]
    assert other.status_code == 422
    assert SimulationRun.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "status", "slug"),
    [
        ({"horizon_days": 0}, 422, "invalid-simulation"),
        ({"depths": ["0.1"] * 401}, 422, "grid-too-large"),
        ({"depths": [f"0.{n:03}" for n in range(30)], "delays_days": list(range(20))}, 422,
         "grid-too-large"),
        ({"audience_id": "5f0c7c1e-9a39-4a5e-9c6c-2d0f6d0a8f11"}, 404, "unknown-audience"),
        ({"response": {"kind": "assumed"}}, 422, "invalid-simulation"),
        ({"response": {"kind": "wishful"}}, 400, "validation-error"),
    ],
)  # fmt: skip
def test_a_simulation_that_cannot_be_run_is_a_problem(
    api, shop: list[UUID], change: dict, status: int, slug: str
):
    url = f"/api/v1/campaigns/{campaign().id}/simulations/"

    answer = api(*SCOPES).post(
        url, body(audience().id, **change), headers={"Idempotency-Key": str(uuid4())}
    )

    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{slug}")
    assert not SimulationRun.objects.exists()


@pytest.mark.parametrize("kind", ["campaigns", "audiences", "simulations"])
def test_what_is_not_there_is_a_problem(api, kind: str):
    answer = api(*SCOPES).get(f"/api/v1/{kind}/{uuid4()}/")

    assert answer.status_code == 404
    assert answer.json()["type"] == f"/problems/unknown-{kind.removesuffix('s')}"


def test_a_simulation_of_an_unknown_campaign_is_a_problem(api, shop: list[UUID]):
    answer = api(*SCOPES).post(
        f"/api/v1/campaigns/{uuid4()}/simulations/",
        body(audience().id),
        headers={"Idempotency-Key": str(uuid4())},
    )

    assert answer.json()["type"] == "/problems/unknown-campaign"


def test_reading_does_not_allow_starting(api, shop: list[UUID]):
    reader = api("campaigns:read", "campaigns:write")

    answer = reader.post(
        f"/api/v1/campaigns/{campaign().id}/simulations/",
        body(audience().id),
        headers={"Idempotency-Key": str(uuid4())},
    )

    assert answer.status_code == 403


def test_a_simulation_can_be_cancelled_over_the_operation(api, shop: list[UUID]):
    run = started()

    answer = api(*SCOPES).post(f"/api/v1/operations/{run.operation_id}/cancel/")

    assert answer.json()["status"] == "cancelled"
    assert finished(run, clock=lambda: now() + timedelta(minutes=5)).result is None
