"""The admin's forms: what can be composed, chosen, started, launched and settled there."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

from campaigns.forms import service_form
from campaigns.models import Audience, Campaign, PolicyLedgerEntry, SimulationRun
from tests.campaigns.builders import audience, campaign, started
from tests.campaigns.launches import END, STARTS_AT, assigned, launched
from tests.campaigns.launches import simulated as forecast
from tests.campaigns.made_up import simulated

pytestmark = pytest.mark.django_db
ADMIN = "/admin/campaigns/"
CAMPAIGN = {
    "name": "Spring", "offer_days": "14", "currency": "gbp", "margin_rate": "0.4",
    "funded_share": "0", "contact_cost": "0.05", "fixed_cost": "250", "budget": "20000",
}  # fmt: skip
SIMULATION = {
    "discounts": "0, 10 20", "delays_days": "0, 7", "horizon_days": "30", "replicates": "4",
    "seed": "7", "response_kind": "assumed", "elasticity": "1.5", "spread": "0.5",
}  # fmt: skip
LAUNCH = {"scenario": "1", "holdout": "12.5"}


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password=uuid4().hex))
    return client


def test_a_campaign_is_composed(staff: Client):
    answer = staff.post(f"{ADMIN}campaign/add/", CAMPAIGN)

    made = Campaign.objects.get()
    assert answer["Location"] == f"{ADMIN}campaign/{made.id}/change/"
    assert (made.name, made.currency, made.created_by) == ("Spring", "GBP", "boss")
    assert (made.contact_cost, made.budget) == (Decimal("0.05"), 20_000)
    assert "Simulate" in staff.get(answer["Location"]).content.decode()
    assert LogEntry.objects.get().object_id == str(made.id)


def test_an_empty_budget_is_no_limit_and_a_budget_of_zero_is_zero(staff: Client):
    staff.post(f"{ADMIN}campaign/add/", {**CAMPAIGN, "name": "a", "budget": ""})
    staff.post(f"{ADMIN}campaign/add/", {**CAMPAIGN, "name": "b", "budget": "0"})

    budgets = dict(Campaign.objects.values_list("name", "budget"))
    assert budgets == {"a": None, "b": Decimal(0)}


def test_an_audience_is_chosen_by_what_its_twins_are_like(staff: Client, shop: list[UUID]):
    page = f"{ADMIN}audience/add/"

    staff.post(page, {"orders_at_least": "2", "countries": "gb de", "sample": "5"})
    staff.post(page, {"pseudonyms": "\n".join(str(who) for who in shop[:3])})
    staff.post(page, {})

    few, listed, everybody = Audience.objects.order_by("created_at")
    assert few.criteria == {
        "orders_at_least": 2, "countries": ["GB", "DE"], "sample": 5, "sample_seed": 0,
    }  # fmt: skip
    assert [few.size, listed.size, everybody.size] == [5, 3, 12]
    assert everybody.created_by == "boss"


def test_a_simulation_is_started(staff: Client, shop: list[UUID]):
    facts = {**SIMULATION, "campaign": str(campaign().id), "audience": str(audience().id)}

    answer = staff.post(f"{ADMIN}simulationrun/add/", facts)

    run = SimulationRun.objects.get()
    assert answer["Location"] == f"{ADMIN}simulationrun/{run.id}/change/"
    assert (run.depths, run.delays_days) == (["0", "0.1", "0.2"], [0, 7])
    assert run.response == {"kind": "assumed", "mean": 1.5, "spread": 0.5}
    assert run.operation.status == "queued"


def test_what_is_estimated_takes_no_elasticity(staff: Client, shop: list[UUID]):
    facts = {**SIMULATION, "campaign": str(campaign().id), "audience": str(audience().id)}

    staff.post(f"{ADMIN}simulationrun/add/", {**facts, "response_kind": "elasticity"})

    assert SimulationRun.objects.get().response == {"kind": "elasticity"}


def test_the_form_opens_with_the_campaign_and_the_audience_that_one_came_from(
    staff: Client, shop: list[UUID]
):
    of, who = campaign(), audience()

    page = staff.get(f"{ADMIN}simulationrun/add/?campaign={of.id}&audience={who.id}")

    for row in (of, who):
        assert f'<option value="{row.id}" selected>' in page.content.decode()


def test_an_older_campaign_can_be_chosen_too_where_one_came_from_it(
    staff: Client, shop: list[UUID], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(service_form, "NEWEST_SHOWN", 0)
    older = campaign()
    facts = {**SIMULATION, "campaign": str(older.id), "audience": str(audience().id)}

    page = staff.get(f"{ADMIN}simulationrun/add/?campaign={older.id}").content.decode()
    staff.post(f"{ADMIN}simulationrun/add/", facts)

    assert f'<option value="{older.id}" selected>' in page
    assert SimulationRun.objects.get().campaign == older


def test_a_scenario_is_launched_settled_and_then_stands(staff: Client, shop: list[UUID]):
    run = simulated()
    since = {"starts_at_0": f"{STARTS_AT:%Y-%m-%d}", "starts_at_1": f"{STARTS_AT:%H:%M:%S}"}

    answer = staff.post(f"{ADMIN}policyledgerentry/add/?simulation={run.id}", {**LAUNCH, **since})
    entry = assigned(PolicyLedgerEntry.objects.get())
    staff.post(f"{ADMIN}policyledgerentry/{entry.id}/settle/")
    page = staff.get(answer["Location"]).content.decode()

    settled = PolicyLedgerEntry.objects.get()
    assert (settled.depth, settled.holdout_share) == (Decimal("0.2"), Decimal("0.125"))
    assert (settled.starts_at, settled.ends_at) == (STARTS_AT, END)
    assert settled.status == "settled"
    assert "Settle now" not in page
    assert "settled" in page


def test_a_launch_cannot_be_settled_before_its_window_is_over_and_says_so(
    staff: Client, shop: list[UUID]
):
    run = simulated()
    staff.post(f"{ADMIN}policyledgerentry/add/?simulation={run.id}", LAUNCH)
    entry = assigned(PolicyLedgerEntry.objects.get())

    page = staff.post(f"{ADMIN}policyledgerentry/{entry.id}/settle/", follow=True)

    assert "settle it after that" in page.content.decode()
    assert PolicyLedgerEntry.objects.get().status == "running"


def test_a_launch_is_cancelled_and_shows_its_progress_before(staff: Client, shop: list[UUID]):
    entry = launched(forecast())
    at = f"{ADMIN}policyledgerentry/{entry.id}/"

    begun, bar = staff.get(f"{at}change/").content.decode(), staff.get(f"{at}progress/")
    staff.post(f"{at}cancel/")

    assert "0 of 12 customers" in begun
    assert "HX-Refresh" not in bar
    assert PolicyLedgerEntry.objects.get().status == "cancelled"
    assert staff.get(f"{at}progress/")["HX-Refresh"] == "true"
    assert "Cancel this launch" not in staff.get(f"{at}change/").content.decode()
    assert staff.post(f"{ADMIN}policyledgerentry/{uuid4()}/cancel/").status_code == 404


@pytest.mark.parametrize("asked", ["", "?simulation=nonsense", "?simulation={waiting}"])
def test_without_a_result_there_is_nothing_to_launch_and_the_page_says_where_to_begin(
    staff: Client, shop: list[UUID], asked: str
):
    waiting = started()

    page = staff.get(
        f"{ADMIN}policyledgerentry/add/{asked.format(waiting=waiting.id)}", follow=True
    )

    assert page.redirect_chain == [(f"{ADMIN}simulationrun/", 302)]
    assert "Choose a simulation that has succeeded" in page.content.decode()


def test_the_list_of_campaigns_shows_what_was_forecast_and_measured(
    staff: Client, shop: list[UUID]
):
    entry = assigned(launched(forecast()))
    staff.post(f"{ADMIN}policyledgerentry/{entry.id}/settle/")

    page = staff.get(f"{ADMIN}campaign/").content.decode()

    assert "+2.00 GBP [1.00, 3.00]" in page  # 24 of 12 customers, reaching 12 to both sides


@pytest.mark.parametrize("kind", ["campaign", "audience", "simulationrun", "policyledgerentry"])
def test_whoever_may_only_look_finds_no_form(client: Client, shop: list[UUID], kind: str):
    viewer = User.objects.create_user("viewer", password=uuid4().hex, is_staff=True)
    seen = Permission.objects.filter(codename__startswith="view_")
    viewer.user_permissions.set(seen)
    client.force_login(viewer)
    asked = f"?simulation={simulated().id}" if kind == "policyledgerentry" else ""
    entry = launched(forecast())

    assert client.get(f"{ADMIN}{kind}/add/{asked}").status_code == 403
    assert client.post(f"{ADMIN}{kind}/add/{asked}", {}).status_code == 403
    for step in ("settle", "cancel"):
        assert client.post(f"{ADMIN}policyledgerentry/{entry.id}/{step}/").status_code == 403
