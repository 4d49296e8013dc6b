"""What cannot be done is answered with what is wrong and what to do, over REST and in the admin."""

import html
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from campaigns.models import Audience, Campaign, PolicyLedgerEntry, SimulationRun
from campaigns.tables import summary
from common.clock import now
from tests.campaigns.builders import ASSUMED, audience, campaign, finished, started
from tests.campaigns.made_up import composed, simulated
from tests.campaigns.test_forms import ADMIN, CAMPAIGN, LAUNCH, SIMULATION

pytestmark = pytest.mark.django_db
SCOPES = ("campaigns:read", "campaigns:write", "simulations:run")
GRID = {"depths": ["0", "0.2"], "delays_days": [0], "horizon_days": 30, "response": ASSUMED}
MILLION = {"depths": [f"0.{n:04}" for n in range(1000)], "delays_days": list(range(1000))}
FIELDS_OF_THE_FORMS = [*CAMPAIGN, *SIMULATION, *LAUNCH, "as_of_0", "as_of_1", "sample", "countries",
                       "pseudonyms", "spend_at_least", "churn_probability_at_most"]  # fmt: skip


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password=uuid4().hex))
    return client


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def problem(answer) -> tuple[int, str, str]:
    """Status, type and everything that the answer says."""
    body = answer.json()
    said = " ".join([body["detail"], *(each["detail"] for each in body.get("errors", []))])
    return answer.status_code, body["type"].removeprefix("/problems/"), said


def page_of(answer) -> str:
    """The text of a page that was shown again: nothing was done."""
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


@pytest.mark.parametrize(
    ("change", "status", "slug", "words"),
    [
        ({"horizon_days": 0}, 422, "invalid-simulation", "horizon_days is 0, expected 1 to 365"),
        ({"horizon_days": -3}, 422, "invalid-simulation", "horizon_days is -3"),
        (MILLION, 422, "grid-too-large", "1000000 scenarios, expected at most 400"),
        ({"replicates": 1000, "horizon_days": 365, "depths": [f"0.{n:02}" for n in range(1, 9)]},
         422, "grid-too-large", "3285000 cells (arms x replicates x days), expected at most"),
        ({"depths": ["0.1"] * 5001}, 400, "validation-error", "no more than 5000"),
        ({"depths": []}, 422, "invalid-simulation", "depths is empty, expected at least one"),
        ({"depths": ["1.5"]}, 422, "invalid-simulation", "depths is 1.5, expected 0 to 0.9"),
        ({"delays_days": [30]}, 422, "invalid-simulation", "delays_days is 30, expected 0 to 29"),
        ({"skus": ["NOPE"]}, 400, "validation-error", "no such field; there are audience_id"),
        ({"response": {**ASSUMED, "meen": 2}}, 400, "validation-error", "no such field"),
        ({"as_of": "9999-12-31T00:00:00Z"}, 422, "invalid-simulation", "ten years from now"),
    ],
)  # fmt: skip
def test_a_simulation_that_makes_no_sense_says_why(
    api, shop: list[UUID], change: dict, status: int, slug: str, words: str
):
    url = f"/api/v1/campaigns/{campaign().id}/simulations/"

    answer = api(*SCOPES).post(
        url, {**GRID, "audience_id": str(audience().id), **change}, headers=key()
    )

    assert problem(answer)[:2] == (status, slug)
    assert words in problem(answer)[2]
    assert not SimulationRun.objects.exists()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"horizon_days": "0"}, "horizon_days is 0, expected 1 to 365"),
        ({"discounts": " ".join(f"{n / 100}" for n in range(1000)),
          "delays_days": " ".join(str(n) for n in range(1000))}, "1000000 scenarios"),
        ({"discounts": "95"}, "depths is 0.95, expected 0 to 0.9"),
        ({"discounts": "ten"}, "ten is not a number with up to three decimals"),
        ({"delays_days": "1.5"}, "1.5 is not a whole number"),
        ({"discounts": ""}, "This field is required"),
        ({"elasticity": ""}, "response/mean is None, expected a number"),
        ({"as_of_0": "9999-12-31", "as_of_1": "00:00"}, "ten years from now"),
        ({"campaign": str(uuid4())}, "not one of the available choices"),
        ({"audience": "nonsense"}, "nonsense” is not a valid UUID"),
    ],
)  # fmt: skip
def test_the_form_of_a_simulation_says_the_same(
    staff: Client, shop: list[UUID], typed: dict, words: str
):
    facts = {**SIMULATION, "campaign": str(campaign().id), "audience": str(audience().id)}

    page = page_of(staff.post(f"{ADMIN}simulationrun/add/", {**facts, **typed}))

    assert words in page
    assert not SimulationRun.objects.exists()


def test_an_audience_of_nobody_says_how_many_were_left_out_and_why(
    api, staff: Client, shop: list[UUID]
):
    answer = api(*SCOPES).post("/api/v1/audiences/", {"filter": {"orders_at_least": 999}})
    page = page_of(staff.post(f"{ADMIN}audience/add/", {"orders_at_least": "999"}))

    for said in (problem(answer)[2], page):
        assert "nobody is left of 12 customers (left out: 12 not matching): widen" in said
    assert problem(answer)[:2] == (422, "empty-audience")
    assert not Audience.objects.exists()


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"horizon_days": "0"}, "horizon_days"),
        ({"discounts": "95"}, "discounts"),
        ({"elasticity": "-1"}, "elasticity"),
        ({"spread": "99"}, "spread"),
        ({"as_of_0": "9999-12-31", "as_of_1": "00:00"}, "as_of"),
        ({"replicates": "1000", "horizon_days": "365"}, "__all__"),  # of no single field
    ],
)
def test_what_a_service_refuses_stands_at_the_field_it_was_typed_into(
    staff: Client, shop: list[UUID], typed: dict, field: str
):
    facts = {**SIMULATION, "campaign": str(campaign().id), "audience": str(audience().id)}

    answer = staff.post(f"{ADMIN}simulationrun/add/", {**facts, **typed})

    assert list(answer.context["adminform"].form.errors) == [field]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"countries": "England"}, "England is not a country code of two letters"),
        ({"pseudonyms": "somebody"}, "somebody is not a pseudonym"),
        ({"pseudonyms": " ".join(["x"] * 200_001)}, "200001 values, expected at most 200000"),
        ({"churn_probability_at_most": "2"}, "churn_probability_at_most is 2.0, expected 0 to 1"),
        ({"spend_at_least": "9", "spend_at_most": "3"}, "at most spend_at_most, which is 3"),
        ({"sample": "0"}, "sample is 0, expected 1 to"),
    ],
)
def test_the_form_of_an_audience_says_what_is_wrong(
    staff: Client, shop: list[UUID], typed: dict, words: str
):
    assert words in page_of(staff.post(f"{ADMIN}audience/add/", typed))
    assert not Audience.objects.exists()


def test_without_an_active_model_a_form_says_so(staff: Client):
    said = page_of(staff.post(f"{ADMIN}audience/add/", {}))

    assert "train one with `manage.py train_twin --activate`" in said


def test_an_unknown_sku_is_named_and_no_offer_takes_one_silently(api):
    client = api(*SCOPES)
    offer = {"kind": "discount", "offer_days": 14, "skus": ["NOPE"]}

    product = client.get("/api/v1/products/NOPE/")
    composed = client.post(
        "/api/v1/campaigns/", {"name": "One SKU", "offer": offer, "currency": "GBP"}
    )

    assert problem(product)[:2] == (404, "unknown-product")
    assert "nothing is known of the SKU NOPE: send it to /api/v1/products/" in problem(product)[2]
    assert composed.json()["errors"] == [
        {
            "pointer": "/offer/skus",
            "code": "invalid",
            "detail": "no such field; there are kind, offer_days",
        }
    ]
    assert not Campaign.objects.exists()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"offer_days": "0"}, "offer_days is 0, expected 1 to 365 days"),
        ({"currency": "£"}, "expected three capital letters (ISO 4217)"),
        ({"budget": "-1"}, "budget is -1, expected 0 to"),
        ({"margin_rate": "40"}, "no more than 1 digit before the decimal point"),
        ({"margin_rate": "2"}, "margin_rate is 2, expected -1 to 1"),
        ({"name": "  "}, "This field is required"),
    ],
)
def test_the_form_of_a_campaign_says_what_is_wrong(staff: Client, typed: dict, words: str):
    assert words in page_of(staff.post(f"{ADMIN}campaign/add/", {**CAMPAIGN, **typed}))
    assert not Campaign.objects.exists()


def test_with_a_budget_of_zero_the_best_is_to_make_no_offer(staff: Client, shop: list[UUID]):
    poor = composed(budget=Decimal(0), contact_cost=Decimal("0.1"))

    run = simulated(campaign_id=poor.id)

    page = staff.get(f"{ADMIN}simulationrun/{run.id}/change/").content.decode()
    assert run.result["best_scenario"] == 0
    assert "No offer of this grid pays" in page
    assert "over budget" in page
    assert any("No offer is the best scenario" in line for line in summary(run))


def test_where_nothing_fits_into_the_budget_page_and_summary_say_so(
    staff: Client, shop: list[UUID]
):
    poor = composed(budget=Decimal(0), contact_cost=Decimal("0.1"))

    run = simulated(campaign_id=poor.id, depths=[Decimal("0.1")])

    page = staff.get(f"{ADMIN}simulationrun/{run.id}/change/").content.decode()
    assert run.result["best_scenario"] is None
    assert "Each scenario costs more than the budget of 0.00 GBP" in page
    assert any("No scenario costs at most 0.00 GBP" in line for line in summary(run))


def test_what_was_cancelled_has_no_result_and_every_way_on_says_so(
    api, staff: Client, shop: list[UUID]
):
    client, run, done = api(*SCOPES), started(), simulated()
    url = f"/api/v1/operations/{run.operation_id}/cancel/"

    stopped, again = client.post(url), client.post(url)
    launch = client.post(
        f"/api/v1/campaigns/{run.campaign_id}/launches/",
        {"simulation_id": str(run.id), "depth": "0.2", "delay_days": 0},
        headers=key(),
    )
    compared = client.get("/api/v1/simulations/compare/", {"ids": f"{run.id},{done.id}"})

    late = finished(run, clock=lambda: now() + timedelta(minutes=5))
    assert stopped.json()["status"] == "cancelled"
    assert late.result is None
    assert problem(again)[:2] == (409, "operation-finished")
    for answer in (launch, compared):
        assert problem(answer)[:2] == (409, "simulation-not-finished")
        assert "is cancelled, expected succeeded" in problem(answer)[2]
    assert "It was cancelled" in page_of(staff.get(f"{ADMIN}simulationrun/{run.id}/change/"))


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"scenario": "99"}, "not one of the available choices"),
        ({"holdout": "95"}, "holdout_share is 0.95, expected 0 to 0.9"),
        ({"window_days": "0"}, "window_days is 0, expected 1 to 365"),
        ({"starts_at_0": "2200-01-01", "starts_at_1": "00:00"}, "starts_at is 2200"),
    ],
)
def test_the_form_of_a_launch_says_what_is_wrong(
    staff: Client, shop: list[UUID], typed: dict, words: str
):
    url = f"{ADMIN}policyledgerentry/add/?simulation={simulated().id}"

    assert words in page_of(staff.post(url, {**LAUNCH, **typed}))
    assert not PolicyLedgerEntry.objects.exists()


def test_a_second_launch_at_the_same_time_is_refused_where_it_is_asked_for(
    staff: Client, shop: list[UUID]
):
    url = f"{ADMIN}policyledgerentry/add/?simulation={simulated().id}"
    staff.post(url, LAUNCH)

    assert "start later or cancel that launch first" in page_of(staff.post(url, LAUNCH))
    assert PolicyLedgerEntry.objects.count() == 1


@given(
    typed=st.dictionaries(
        st.sampled_from(FIELDS_OF_THE_FORMS),
        st.one_of(
            st.text(max_size=12),
            st.sampled_from(
                ["0", "-1", "1e400", "NaN", "99999999999999999999", "0001-01-01", "\x00"]
            ),
        ),
    ),
    form=st.sampled_from(["campaign", "audience", "simulationrun", "policyledgerentry"]),
)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_typed_into_a_form_it_answers_with_a_page(
    staff: Client, shop: list[UUID], typed: dict, form: str
):
    run = simulated()
    usual = {
        "campaign": CAMPAIGN,
        "audience": {},
        "simulationrun": {
            **SIMULATION, "campaign": str(run.campaign_id), "audience": str(run.audience_id),
        },
        "policyledgerentry": LAUNCH,
    }[form]  # fmt: skip

    answer = staff.post(f"{ADMIN}{form}/add/?simulation={run.id}", {**usual, **typed})

    assert answer.status_code == 302 or "Please correct the error" in page_of(answer)
