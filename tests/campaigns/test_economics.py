"""What scenarios cost and leave: by hand on made-up sums, and through whole simulations."""

from decimal import Decimal
from io import StringIO
from types import SimpleNamespace
from uuid import UUID, uuid4

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from campaigns.economics import ledger_of
from campaigns.errors import InvalidCampaign
from campaigns.models import Product
from campaigns.outcomes import MEASURES, Sums
from campaigns.results import best_scenario
from campaigns.segments import SEGMENTS, segments_of
from campaigns.services import (
    Economics,
    ProductFacts,
    create_campaign,
    repeat_simulation,
    store_products,
)
from common.clock import now
from tests.builders import NOON
from tests.campaigns.builders import figures, finished, started
from tests.ml.histories import ITEMS

TERMS = {
    "margin_rate": "0.5", "funded_share": "0", "contact_cost": "0", "fixed_cost": "0",
    "budget": None,
}  # fmt: skip


def a_run(**terms) -> SimpleNamespace:
    """Two scenarios over ten days: nothing, and a fifth off for three days from the second on."""
    return SimpleNamespace(
        manifest={"economics": {**TERMS, **terms}},
        depths=["0", "0.2"],
        delays_days=[1],
        horizon_days=10,
        campaign=SimpleNamespace(offer_days=3),
    )


def some_sums(margins: dict[int, int], revenues: dict[int, int] | None = None) -> Sums:
    """Ten customers who leave 100 cents of margin a day untreated, and so much more by day."""
    untreated = np.full((3, 2, 10), 100, np.int64)
    margin, revenue = untreated.copy(), untreated * 2
    for days, more in ((margin, margins), (revenue, revenues or {})):
        for day, cents in more.items():
            days[2, :, day] += cents
    sums = {name: np.zeros((3, 2), np.int64) for name in MEASURES}
    sums |= {"margin_cents": margin.sum(axis=2), "revenue_cents": revenue.sum(axis=2)}
    sums["discount_cents"][2] = (300, 500)
    return Sums(
        segments=np.array([0, 0, 4, 6, 0]),
        measures=sums,
        by_day=revenue,
        margin_by_day=margin,
        by_segment=np.zeros((5, len(MEASURES), 3, 2), np.int64),
    )


def test_profit_is_the_margin_gained_less_what_was_spent_upfront():
    run = a_run(contact_cost="0.05", fixed_cost="1.50", funded_share="0.5")

    ledger = ledger_of(run, some_sums({1: 400, 2: 600}))

    assert ledger.upfront.tolist() == [0, 10 * 5 + 150]
    assert ledger.cost.tolist() == [[0, 0], [200 + 150, 200 + 250]]
    assert ledger.margin.tolist() == [[0, 0], [1000, 1000]]
    assert ledger.profit.tolist() == [[0, 0], [800, 800]]
    assert ledger.roi[0] is None  # nothing was spent
    assert ledger.roi[1] == pytest.approx([800 / 350, 800 / 450])


def test_nothing_is_said_of_profit_where_the_margin_is_not_known():
    run = a_run(margin_rate=None, fixed_cost="1")

    ledger = ledger_of(run, some_sums({1: 400}))

    assert (ledger.margin, ledger.profit) == (None, None)
    assert (ledger.roi, ledger.payback_days) == ([None, None], [None, None])
    assert ledger.cost[1].tolist() == [400, 600]


@pytest.mark.parametrize(
    ("margins", "fixed", "days"),
    [
        ({1: 100, 2: 100}, "2", 3),
        ({1: 100, 2: 100}, "2.01", None),
        ({0: 100}, "1", 1),
        ({1: 300, 2: -250, 4: 150}, "2", 5),  # paid once, lost again, then for good
        ({1: 300, 9: -250}, "2", None),
        ({1: 300}, "0", 0),
        ({1: -300, 2: 300}, "0", 3),
    ],
)
def test_payback_is_when_the_margin_has_paid_for_good(margins, fixed, days):
    ledger = ledger_of(a_run(fixed_cost=fixed), some_sums(margins))

    assert ledger.payback_days[1] == days


def test_what_is_bought_anyway_and_what_comes_later_follow_the_days_of_the_offer():
    more = {1: 1000, 3: 500, 4: -200, 9: -100}

    ledger = ledger_of(a_run(), some_sums({}, more))

    assert ledger.bought_anyway.tolist() == [[600, 600]] * 2
    assert ledger.after_offer.tolist() == [[0, 0], [-300, -300]]


@pytest.mark.parametrize(
    ("budget", "allowed", "best"),
    [(None, [True, True], 1), ("4", [True, True], 1), ("3.99", [True, False], 0)],
)
def test_the_best_scenario_is_one_that_the_budget_allows(budget, allowed, best):
    run, sums = a_run(budget=budget), some_sums({1: 5000})

    ledger = ledger_of(run, sums)

    assert ledger.within_budget == allowed
    assert best_scenario(sums, ledger) == best


def test_a_customer_is_counted_by_the_orders_before_the_horizon():
    orders = [0, 1, 2, 4, 5, 9, 10, 500]

    assert segments_of({"orders": n} for n in orders).tolist() == [0, 1, 2, 2, 3, 3, 4, 4]
    assert len(segments_of([])) == 0


def campaign_with(**terms) -> UUID:
    return create_campaign(
        name="Spring", offer_days=14, currency="GBP", created_by="a test", at=NOON,
        economics=Economics(**{name: value and Decimal(value) for name, value in terms.items()}),
    ).id  # fmt: skip


@pytest.mark.django_db
def test_a_simulation_says_what_the_campaign_costs_and_leaves(shop: list[UUID]):
    run = finished(started(campaign_id=campaign_with(margin_rate="0.4", contact_cost="0.5")))

    nothing, offer = (one["economics"] for one in run.result["scenarios"])
    zero = {"mean": "0.00", "low": "0.00", "high": "0.00"}
    assert (nothing["cost"], nothing["margin"], nothing["profit"]) == (zero, zero, zero)
    assert (nothing["roi"], nothing["payback_days"]) == (None, 0)
    assert Decimal(offer["margin"]["mean"]) - Decimal(offer["profit"]["mean"]) == 6  # 12 x 0.50
    assert run.result["best_by"] == "profit"
    assert run.result["economics"]["margin_rate"] == "0.4000"
    assert run.result["economics"]["unknown"] == ""


@pytest.mark.django_db
def test_without_a_margin_rate_the_revenue_decides(shop: list[UUID]):
    result = finished(started()).result

    gains = [Decimal(one["uplift"]["revenue"]["mean"]) for one in result["scenarios"]]
    assert result["best_by"] == "revenue"
    assert gains[result["best_scenario"]] == max(gains)
    assert result["scenarios"][1]["economics"]["profit"] is None
    assert "margin_rate" in result["economics"]["unknown"]


@pytest.mark.django_db
def test_unit_costs_take_the_place_of_the_margin_rate(shop: list[UUID]):
    def gain() -> tuple[Decimal, Decimal]:
        terms = campaign_with(margin_rate="0.4")
        scenario = finished(started(campaign_id=terms, replicates=2)).result["scenarios"][1]
        revenue = Decimal(scenario["uplift"]["revenue"]["mean"])
        return Decimal(scenario["economics"]["margin"]["mean"]), revenue

    by_rate, revenue = gain()
    store_products(facts=[ProductFacts(sku=s, unit_cost=Decimal(0)) for s in ITEMS], at=NOON)

    assert by_rate != revenue
    assert gain() == (revenue, revenue)


@pytest.mark.django_db
def test_a_run_keeps_the_costs_that_it_began_with(shop: list[UUID]):
    facts = [ProductFacts(sku=sku, unit_cost=Decimal("0.7")) for sku in ITEMS]
    store_products(facts=facts, at=NOON)
    run = started(campaign_id=campaign_with(margin_rate="0.4"))
    Product.objects.update(unit_cost=Decimal(50))

    first = finished(run)
    again = finished(repeat_simulation(simulation_id=run.id, requested_by="a test", at=now()))

    assert first.manifest["economics"]["unit_costs"]["products"] == len(ITEMS)
    assert again.result == first.result
    assert figures(finished(started(campaign_id=run.campaign_id))) != figures(first)


@pytest.mark.django_db
def test_segments_add_up_to_the_whole_and_small_ones_stay_hidden(shop: list[UUID]):
    scenario = finished(started()).result["scenarios"][1]

    shown = [part for part in scenario["segments"] if part["customers"]]
    assert [part["segment"] for part in scenario["segments"]] == list(SEGMENTS)
    assert sum(part["customers"] for part in shown) == 12
    total = sum(Decimal(part["uplift"]["revenue"]["mean"]) for part in shown)
    assert abs(total - Decimal(scenario["uplift"]["revenue"]["mean"])) <= Decimal("0.02")
    assert all(part["uplift"]["margin"] is None for part in shown)


@pytest.mark.django_db
def test_of_one_to_four_customers_nothing_is_said(shop: list[UUID]):
    from campaigns.criteria import Criteria
    from tests.campaigns.builders import audience

    few = audience(Criteria(pseudonyms=frozenset(shop[:4])))

    parts = finished(started(audience_id=few.id)).result["scenarios"][1]["segments"]

    assert [part["customers"] for part in parts].count(None) == 1
    assert all(part["uplift"] is None for part in parts)


@pytest.mark.django_db
def test_a_budget_of_nothing_allows_no_offer(client: Client, shop: list[UUID]):
    run = finished(
        started(campaign_id=campaign_with(margin_rate="0.4", budget="0"), depths=[Decimal("0.2")])
    )
    client.force_login(User.objects.create_superuser("boss", password=uuid4().hex))

    page = client.get(f"/admin/campaigns/simulationrun/{run.id}/change/").content.decode()

    assert run.result["best_scenario"] is None
    assert "no scenario fits into the budget" in page
    assert "over budget" in page


@pytest.mark.django_db
def test_the_page_shows_money_and_segments(client: Client, shop: list[UUID]):
    run = finished(started(campaign_id=campaign_with(margin_rate="0.4", contact_cost="0.5")))
    client.force_login(User.objects.create_superuser("boss", password=uuid4().hex))

    page = client.get(f"/admin/campaigns/simulationrun/{run.id}/change/").content.decode()
    csv = client.get(f"/admin/campaigns/simulationrun/{run.id}/csv/grid/").content.decode()

    assert "Profit in GBP over 30 days" in page
    assert "payback" in page
    assert "more margin" in page
    assert "2 to 4 orders" in page
    assert "economics_profit_mean" in csv.splitlines()[0]


@pytest.mark.django_db
def test_the_page_shows_the_best_offer_or_the_scenario_that_is_chosen(
    client: Client, shop: list[UUID]
):
    dear = campaign_with(margin_rate="0.01", fixed_cost="1000")
    run = finished(started(campaign_id=dear, depths=[Decimal(n) / 10 for n in (0, 1, 3)]))
    client.force_login(User.objects.create_superuser("boss", password=uuid4().hex))

    def page(query: str = "") -> str:
        return client.get(
            f"/admin/campaigns/simulationrun/{run.id}/change/{query}"
        ).content.decode()

    profits = [
        Decimal(scenario["economics"]["profit"]["mean"]) for scenario in run.result["scenarios"]
    ]
    offer = "10 %" if profits[1] > profits[2] else "30 %"
    assert run.result["best_scenario"] == 0
    assert "No offer of this grid pays" in page()
    assert f"What it costs and what it leaves: {offer} at once" in page()
    assert "What it costs and what it leaves: 30 % at once" in page("?scenario=2")
    assert f"What it costs and what it leaves: {offer} at once" in page("?scenario=77")


@pytest.mark.django_db
def test_the_command_takes_the_terms_and_prints_the_profit(shop: list[UUID]):
    out = StringIO()

    call_command(
        "simulate_campaign", "--replicates", "3", "--depths", "0.2", "--margin", "0.4",
        "--contact-cost", "0.1", "--budget", "0", stdout=out,
    )  # fmt: skip

    assert "Profit in GBP" in out.getvalue()
    assert "No scenario costs at most 0.00 GBP, the budget" in out.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"margin_rate": "1.5"}, "margin_rate"),
        ({"funded_share": "-0.1"}, "funded_share"),
        ({"contact_cost": "-1"}, "contact_cost"),
        ({"budget": "-1"}, "budget"),
    ],
)
def test_terms_out_of_range_are_refused(terms: dict[str, str], field: str):
    with pytest.raises(InvalidCampaign, match=field):
        campaign_with(**terms)


@pytest.mark.django_db
def test_products_are_stored_read_and_replaced_over_the_api(api):
    client = api("campaigns:read", "campaigns:write")
    one = {"sku": "A/1", "name": "Lamp", "price": "2.5500", "unit_cost": "1.1", "stock": 3}

    first = client.post("/api/v1/products/", {"products": [one, {"sku": "B"}]})
    again = client.post("/api/v1/products/", {"products": [{**one, "unit_cost": None}]})

    assert (first.status_code, first.json()) == (200, {"stored": 2})
    assert again.json() == {"stored": 1}
    assert client.get("/api/v1/products/A/1/").json()["unit_cost"] is None
    assert [row["sku"] for row in client.get("/api/v1/products/").json()["results"]] == ["A/1", "B"]
    assert client.get("/api/v1/products/C/").status_code == 404


@pytest.mark.django_db
def test_of_products_that_are_wrong_none_is_stored(api):
    client = api("campaigns:write")
    rows = [{"sku": "A"}, {"sku": "B", "unit_cost": "-1"}]

    refused = client.post("/api/v1/products/", {"products": rows})
    twice = client.post("/api/v1/products/", {"products": [{"sku": "A"}, {"sku": "A"}]})

    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "row 2: unit_cost is -1.0000, expected at least 0, less than 100,000,000: mend it and "
        "send all rows again",
    )
    assert twice.status_code == 422
    assert not Product.objects.exists()


@pytest.mark.django_db
def test_products_of_a_file_are_stored_together_or_not_at_all(tmp_path):
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("sku,category,unit_cost\nA,Lamps,1.10\nB,,\n")
    bad.write_text("sku,unit_cost\nC,1\nD,cheap\n")
    out = StringIO()

    call_command("import_products", str(good), stdout=out)
    with pytest.raises(CommandError, match="line 3"):
        call_command("import_products", str(bad))

    assert out.getvalue().strip() == "2 products"
    assert dict(Product.objects.values_list("sku", "unit_cost")) == {
        "A": Decimal("1.10"),
        "B": None,
    }
