"""Simulations side by side: what is compared, what is refused, what is warned of."""

from decimal import Decimal
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from campaigns.api.compare import ComparisonSerializer, SideSerializer
from campaigns.compare import Asked, asked_of, comparable_with, comparison, difference
from campaigns.criteria import Criteria
from campaigns.errors import (
    NotComparable,
    SimulationNotFinished,
    UnknownSimulation,
)
from campaigns.models import SimulationRun
from campaigns.services import repeat_simulation
from common.clock import now
from tests.campaigns.builders import audience, campaign, finished, started
from tests.campaigns.made_up import composed, simulated

pytestmark = pytest.mark.django_db
COMPARE = "/api/v1/simulations/compare/"
PAGE = "/admin/campaigns/simulationrun/compare/"
amounts = st.decimals(-10_000, 10_000, places=2)
drawn = st.lists(st.tuples(amounts, amounts, amounts), min_size=2, max_size=8)


def run_on(who, of=None, **changes) -> SimulationRun:
    """A finished simulation of two depths on two replicates."""
    of = of or composed(margin_rate=Decimal("0.4"))
    facts = {"depths": [Decimal(0), Decimal("0.2")], "replicates": 2, "audience_id": who.id}
    return simulated(campaign_id=of.id, **{**facts, **changes})


def both(one: SimulationRun, other: SimulationRun, **changes):
    return comparison([Asked(one.id, **changes), Asked(other.id, **changes)])


def edited(run: SimulationRun, **changes) -> SimulationRun:
    """The run with other facts, as another one that was kept for some time would have them."""
    SimulationRun.objects.filter(id=run.id).update(**changes)
    return SimulationRun.objects.get(id=run.id)


@pytest.fixture
def who(shop: list[UUID]):
    return audience()


def scenario(draws: list[Decimal]) -> dict:
    mean = str(sum(draws) / len(draws))
    return {
        "uplift": {"revenue": {"mean": mean}},
        "by_replicate": {"revenue": [str(draw) for draw in draws]},
    }


@given(drawn)
def test_luck_that_both_sides_share_cancels_out_of_their_difference(rows):
    mine, other, luck = (list(column) for column in zip(*rows, strict=True))
    shared = [scenario([a + b for a, b in zip(side, luck, strict=True)]) for side in (mine, other)]

    alone = difference(scenario(mine), scenario(other), "revenue")
    lucky = difference(*shared, "revenue")

    assert (alone["low"], alone["high"]) == (lucky["low"], lucky["high"])


@given(drawn)
def test_the_other_way_round_the_difference_changes_its_sign(rows):
    mine, other, _ = (list(column) for column in zip(*rows, strict=True))

    there = difference(scenario(mine), scenario(other), "revenue")
    back = difference(scenario(other), scenario(mine), "revenue")

    assert Decimal(there["mean"]) == -Decimal(back["mean"])
    assert Decimal(there["low"]) == -Decimal(back["high"])


def test_equal_simulations_lie_exactly_nothing_apart(who):
    run = finished(started(audience_id=who.id, replicates=2))
    again = finished(repeat_simulation(simulation_id=run.id, requested_by="a test", at=now()))

    found = both(run, again)

    assert found.sides[1].difference == {"mean": "0.00", "low": "0.00", "high": "0.00"}
    assert found.sides[0].difference is None
    assert found.warnings == {}


def test_the_replicates_of_each_scenario_average_to_its_figures(who):
    run = run_on(who, composed(margin_rate=Decimal("0.4"), fixed_cost=Decimal(70)))

    for one in run.result["scenarios"]:
        money = one["economics"]
        for name, figure in (("revenue", one["uplift"]), ("profit", money), ("cost", money)):
            draws = [Decimal(draw) for draw in one["by_replicate"][name]]
            assert len(draws) == run.replicates
            assert abs(sum(draws) / 2 - Decimal(figure[name]["mean"])) <= Decimal("0.01")


def test_each_simulation_is_there_by_its_best_offer_or_by_the_scenario_asked_for(who):
    run = run_on(who, delays_days=[0, 7])
    best = max(
        (2, 3), key=lambda at: Decimal(run.result["scenarios"][at]["economics"]["profit"]["mean"])
    )

    found = comparison(asked_of(f"{run.id}, {run.id}:0"))

    assert [side.place for side in found.sides] == [best, 0]
    assert found.sides[1].verdict == "no-offer-pays"


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        ({"horizon_days": 31}, "horizon_days"),
        ({"manifest__currency": "EUR"}, "currency"),
    ],
)
def test_other_times_and_currencies_are_refused(who, edit: dict, field: str):
    one, other = run_on(who), run_on(who)
    if "manifest__currency" in edit:
        edit = {"manifest": {**other.manifest, "currency": edit["manifest__currency"]}}
    edited(other, **edit)

    with pytest.raises(NotComparable, match=field):
        both(one, other)


def test_other_audiences_are_refused_and_equal_ones_of_another_day_are_not(who, shop: list[UUID]):
    same, fewer = audience(), audience(Criteria(sample=5))
    one = run_on(who)

    assert len(both(one, run_on(same)).sides) == 2
    with pytest.raises(NotComparable, match="audience"):
        both(one, run_on(fewer))


def test_what_may_be_compared_with_a_run_is_offered_for_it(who, shop: list[UUID]):
    one, other = run_on(who), run_on(audience())
    run_on(audience(Criteria(sample=5)))
    run_on(who, horizon_days=20)
    started(audience_id=who.id)

    assert [run.id for run in comparable_with(one)] == [other.id]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"seed": 8}, "luck"),
        ({"replicates": 3}, "luck"),
        ({"response": {"kind": "assumed", "mean": 2.0, "spread": 0.5}}, "response"),
    ],
)
def test_what_is_not_the_campaign_but_moves_figures_is_warned_of(who, changes: dict, code: str):
    found = both(run_on(who), run_on(who, **changes))

    assert code in found.warnings


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        ({"as_of": "2011-01-01T00:00:00.000Z"}, "as_of"),
        ({"model_version": {"sha256": "another"}}, "model_version"),
        ({"twins_sha256": "another"}, "twins"),
        ({"economics": {"unit_costs": {"products": 1, "sha256": "another"}}}, "unit_costs"),
    ],
)
def test_a_manifest_that_differs_besides_the_campaign_is_warned_of(who, edit: dict, code: str):
    one, other = run_on(who), run_on(who)
    edited(other, manifest={**other.manifest, **edit})

    assert set(both(one, other).warnings) == {code}


def test_where_the_margin_of_one_is_unknown_both_are_compared_by_revenue(who):
    found = both(run_on(who), run_on(who, campaign()))

    assert found.compared_by == "revenue"
    assert set(found.warnings) == {"ranked_by"}


def test_an_offer_over_its_budget_is_never_the_best(who):
    rich = composed("Rich", margin_rate=Decimal(1))
    poor = composed("Poor", margin_rate=Decimal(1), budget=Decimal(0))

    found = both(run_on(who, poor), run_on(who, rich), scenario=1)

    assert [side.verdict for side in found.sides] == ["over-budget", "offer"]
    assert found.best == 1


def test_where_no_offer_gains_none_is_the_best(who):
    dear = composed("Dear", margin_rate=Decimal("0.1"), fixed_cost=Decimal(10_000))

    found = both(run_on(who, dear), run_on(who, dear, seed=8))

    assert found.best is None
    assert {side.verdict for side in found.sides} == {"no-offer-pays"}


def test_results_of_before_replicates_were_kept_are_compared_without_an_interval(who):
    one, other = run_on(who), run_on(who, seed=8)
    for each in other.result["scenarios"]:
        del each["by_replicate"]
    edited(other, result=other.result)

    apart = both(one, other).sides[1].difference

    assert (apart["low"], apart["high"]) == (None, None)
    assert Decimal(apart["mean"]) != 0


def test_a_simulation_without_a_result_and_one_that_is_not_there_are_refused(who):
    run, waiting = run_on(who), started(audience_id=who.id)

    with pytest.raises(SimulationNotFinished, match="queued"):
        both(run, waiting)
    with pytest.raises(UnknownSimulation):
        both(run, SimpleNamespace(id=uuid4()))


@pytest.mark.parametrize("text", ["", "{0}", ",".join(["{0}"] * 7), "{0},{0}", "{0}:1,{0}:1",
                                  "{0}:0,{0}:99", "{0}:1,{0}:x", "{0}:1,{0}:-1", "nonsense,{0}",
                                  "{0}:0,{0}:99999999999999999999"])  # fmt: skip
def test_what_makes_no_comparison_is_refused_with_what_to_do(api, who, text: str):
    run = run_on(who)

    answer = api("campaigns:read").get(COMPARE, {"ids": text.format(run.id)})

    blank = not text
    assert answer.status_code == (400 if blank else 422)
    problem = "validation-error" if blank else "invalid-comparison"
    assert answer.json()["type"] == f"/problems/{problem}"


def test_the_api_answers_as_its_schema_says(api, who):
    one, other = run_on(who), run_on(who, campaign())

    answer = api("campaigns:read").get(COMPARE, {"ids": f"{one.id},{other.id}:1"})

    found = answer.json()
    assert answer.status_code == 200
    assert found.keys() == ComparisonSerializer().fields.keys()
    assert [side.keys() for side in found["sides"]] == [SideSerializer().fields.keys()] * 2
    assert [side["simulation_id"] for side in found["sides"]] == [str(one.id), str(other.id)]
    assert found["sides"][1]["profit"] is None
    assert api("campaigns:write").get(COMPARE, {"ids": "x"}).status_code == 403


def test_incomparable_simulations_are_a_problem_that_names_both_values(api, who, shop: list[UUID]):
    one, other = run_on(who), run_on(who, horizon_days=20)

    answer = api("campaigns:read").get(COMPARE, {"ids": f"{one.id},{other.id}"})

    assert (answer.status_code, answer.json()["type"]) == (
        422, "/problems/simulations-not-comparable",
    )  # fmt: skip
    assert "is 30 and that" in answer.json()["detail"]
    assert "is 20, expected the same" in answer.json()["detail"]


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password=uuid4().hex))
    return client


def test_the_page_shows_both_sides_their_charts_and_what_differs(staff: Client, who):
    one = run_on(who, composed("Spring", margin_rate=Decimal("0.4")))
    other = run_on(who, composed("Autumn", margin_rate=Decimal("0.5")), seed=8)

    page = staff.get(f"{PAGE}?ids={one.id}&ids={other.id}").content.decode()
    csv = staff.get(f"{PAGE}csv/?ids={one.id},{other.id}").content.decode()

    assert "1. Spring, 20 % at once" in page
    assert "2. Autumn, 20 % at once" in page
    assert page.count('<canvas class="chart"') == 3
    assert "a part of the difference is luck" in page
    assert len(csv.splitlines()) == 3
    assert "difference_in_profit_mean" in csv


def test_the_list_sends_the_chosen_to_the_page_and_the_page_sends_back_with_the_reason(
    staff: Client, who
):
    one, other = run_on(who), run_on(who, horizon_days=20)
    chosen = {"action": "compare", "_selected_action": [str(one.id), str(other.id)]}

    sent = staff.post("/admin/campaigns/simulationrun/", chosen)
    back = staff.get(sent["Location"], follow=True)

    assert sent["Location"] == f"{PAGE}?ids={one.id},{other.id}"
    assert back.redirect_chain == [("/admin/campaigns/simulationrun/", 302)]
    assert "expected the same" in back.content.decode()
