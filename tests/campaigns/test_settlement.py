"""Settling: what was measured, how it stands to the forecast, and that it then never changes."""

import io
import math
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.test import Client
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from campaigns import tasks
from campaigns.erasure import EXPOSURES
from campaigns.errors import LaunchNotRunning, SettledTooEarly
from campaigns.grading import Difference, difference, graded
from campaigns.ledger import launch_by_id, record
from campaigns.models import Exposure, PolicyLedgerEntry
from campaigns.services import settle_launch, settle_launches
from common.clock import now
from common.models import OutboxMessage
from customers.erasure import Needles, registered_stores
from customers.models import Customer
from customers.services import request_erasure, run_erasure
from tests.campaigns.launches import (
    END,
    STARTS_AT,
    buys,
    halved,
    launched,
    running,
    simulated,
)

HOUR = timedelta(hours=1)
SCOPES = ("campaigns:read", "campaigns:write")


@pytest.fixture
def halves(shop: list[UUID], monkeypatch: pytest.MonkeyPatch) -> tuple[list[UUID], list[UUID]]:
    """Six customers of each arm; one of the treated buys twice, one of the control once."""
    return halved(monkeypatch, shop)


def planted(treated: list[UUID], control: list[UUID]) -> None:
    """Revenue of the treated 30, 20, 10, 0, 0, 0; of the control 6, 0, 0, 0, 0, 0."""
    buys(treated[0], "7.50", quantity=2)
    buys(treated[0], "15.00")
    buys(treated[1], "10.00", quantity=2)
    buys(treated[2], "10.00")
    buys(control[0], "2.00", quantity=3)


def settled(entry: PolicyLedgerEntry) -> PolicyLedgerEntry:
    return settle_launch(launch_id=entry.id, at=max(END, entry.ends_at))


def test_planted_purchases_give_the_uplift_computed_by_hand(halves):
    entry = running()
    planted(*halves)

    found = settled(entry).measured

    revenue = found["outcomes"]["revenue"]
    assert (revenue["treatment"], revenue["control"]) == ("10.0000", "1.0000")
    # Variances of the means 160 / 6 and 6 / 6; Satterthwaite's degrees of freedom 5.3745.
    freedom = (160 / 6 + 1) ** 2 / ((160 / 6) ** 2 / 5 + 1 / 5)
    reach = stats.t.ppf(0.95, freedom) * math.sqrt(160 / 6 + 1)
    assert freedom == pytest.approx(5.3745, abs=1e-4)
    assert float(revenue["uplift"]["mean"]) == 9
    assert float(revenue["uplift"]["low"]) == pytest.approx(9 - reach, abs=1e-4)
    assert float(revenue["uplift"]["high"]) == pytest.approx(9 + reach, abs=1e-4)
    assert revenue["total"]["mean"] == "54.00"
    assert float(revenue["total"]["high"]) == pytest.approx(6 * (9 + reach), abs=0.01)
    orders, units, buyers = (found["outcomes"][name] for name in ("orders", "units", "buyers"))
    assert orders["uplift"]["mean"] == pytest.approx(4 / 6 - 1 / 6, abs=1e-6)
    assert units["uplift"]["mean"] == pytest.approx(6 / 6 - 3 / 6, abs=1e-6)
    assert buyers["uplift"]["mean"] == pytest.approx(3 / 6 - 1 / 6, abs=1e-6)
    assert found["customers"] == {"treatment": 6, "control": 6}


def test_the_grade_compares_with_the_forecast_widened_by_the_sampling_error(halves):
    entry = running()  # forecast 2 [1, 3] for each customer
    planted(*halves)

    found = settled(entry).measured

    uplift, grade = found["outcomes"]["revenue"]["uplift"], found["against_forecast"]["revenue"]
    reach = float(uplift["high"]) - 9
    assert float(grade["difference"]) == 7
    assert grade["relative_error"] == 3.5
    assert float(grade["expected"]["high"]) == pytest.approx(2 + math.hypot(1, reach), abs=1e-3)
    assert float(grade["expected"]["low"]) == pytest.approx(2 - math.hypot(1, reach), abs=1e-3)
    assert grade["within"]


def test_what_lies_outside_the_widened_forecast_is_said_to(halves):
    entry = running(simulated(mean=1200.0, reach=12.0))  # 100 [99, 101] for each customer
    planted(*halves)

    grade = settled(entry).measured["against_forecast"]["revenue"]

    assert grade["within"] is False
    assert grade["relative_error"] == pytest.approx(0.91)


def test_the_window_holds_its_start_and_not_its_end(halves):
    entry = running()
    treated, _ = halves
    buys(treated[0], "6.00", at=STARTS_AT)
    buys(treated[1], "60.00", at=STARTS_AT - timedelta(milliseconds=1))
    buys(treated[2], "600.00", at=END)
    buys(treated[3], "12.00", at=END - timedelta(milliseconds=1))

    revenue = settled(entry).measured["outcomes"]["revenue"]

    assert revenue["treatment"] == "3.0000"


def test_lines_that_the_twins_skip_are_left_out_and_counted(halves):
    entry = running()
    treated, _ = halves
    buys(treated[0], "6.00")
    buys(treated[0], "60.00", technical=True)
    buys(treated[1], "600.00", outlier=True)

    found = settled(entry).measured

    assert found["outcomes"]["revenue"]["treatment"] == "1.0000"
    assert found["outcomes"]["buyers"]["treatment"] == pytest.approx(1 / 6, abs=1e-6)
    assert found["lines_left_out"] == 2


@pytest.mark.usefixtures("halves")
def test_nothing_is_measured_before_the_window_has_ended():
    entry = running()

    with pytest.raises(SettledTooEarly, match=r"until 2011-12-18T12:00:00\.000Z, and it is"):
        settle_launch(launch_id=entry.id, at=END - HOUR)

    assert launch_by_id(entry.id).status == "running"


@pytest.mark.usefixtures("shop")
def test_a_launch_that_is_still_being_assigned_is_not_measured():
    entry = launched()

    with pytest.raises(LaunchNotRunning):
        settle_launch(launch_id=entry.id, at=END)


def test_a_late_event_changes_nothing_and_settling_again_neither(halves):
    entry = running()
    planted(*halves)
    first = settled(entry)

    buys(halves[1][0], "999.00")
    again = settle_launch(launch_id=entry.id, at=END + HOUR)

    assert again.measured == first.measured
    assert again.settled_at == END
    assert OutboxMessage.objects.filter(type="campaign.settled").count() == 1


@pytest.mark.usefixtures("halves")
@pytest.mark.parametrize(
    "change", [{"measured": {"outcomes": None}}, {"status": "running"}, {"treated": 7}]
)
def test_the_database_refuses_to_change_a_settled_entry(change: dict):
    entry = settled(running())
    row = PolicyLedgerEntry.objects.filter(id=entry.id)

    for attempt in (lambda: row.update(**change), lambda: row._raw_delete(row.db)):
        with pytest.raises(DatabaseError, match="refused"), transaction.atomic():
            attempt()

    assert launch_by_id(entry.id).measured == entry.measured


@pytest.mark.usefixtures("halves")
def test_the_database_refuses_to_better_a_forecast_while_the_launch_runs():
    entry = running()
    row = PolicyLedgerEntry.objects.filter(id=entry.id)

    with pytest.raises(DatabaseError, match="Only the settlement"), transaction.atomic():
        row.update(forecast={})


def test_of_fewer_than_five_customers_nothing_is_shown(shop: list[UUID], monkeypatch):
    halved(monkeypatch, shop[:2] + shop[:2])  # two treated, ten held out
    entry = running()
    buys(shop[0], "10.00")

    found = settled(entry).measured

    assert found["outcomes"] is None
    assert found["against_forecast"] is None
    assert "fewer than 5 customers are left in the treatment arm" in found["reason"]
    assert record().settled == 1
    assert record().compared == 0


def test_another_window_than_the_forecasts_is_measured_and_not_graded(halves):
    entry = running(window_days=14)
    planted(*halves)

    found = settled(entry).measured

    assert found["outcomes"]["revenue"]["uplift"]["mean"] == "9.0000"
    assert found["against_forecast"] is None
    assert found["reason"].startswith("14 days were measured and 30 forecast")


@pytest.mark.usefixtures("halves")
def test_where_nobody_bought_anything_there_is_no_interval_and_no_verdict():
    found = settled(running()).measured

    assert found["outcomes"]["revenue"]["uplift"] == {"mean": "0.0000", "low": None, "high": None}
    assert found["against_forecast"]["revenue"]["within"] is None
    assert record().compared == 0


def test_who_was_restricted_since_is_not_measured_and_counted(halves):
    entry = running()
    planted(*halves)
    Customer.objects.filter(pseudonym=halves[0][0]).update(status="restricted")

    found = settled(entry).measured

    assert found["outcomes"]["revenue"]["treatment"] == "6.0000"  # 20, 10, 0, 0, 0
    assert found["customers"] == {"treatment": 5, "control": 6}
    assert found["erased_or_restricted_meanwhile"] == 1


def erase(pseudonym: UUID) -> None:
    request = request_erasure(pseudonym=pseudonym, requested_by="a test", at=now())
    done = run_erasure(request_id=request.id, at=now())
    assert done.status == "completed", done.findings


def test_an_erasure_removes_the_exposure_and_leaves_the_aggregate(
    committed_shop: list[UUID], monkeypatch: pytest.MonkeyPatch
):
    treated, control = halved(monkeypatch, committed_shop)
    entry = running()
    planted(treated, control)
    first = settled(entry).measured
    assert EXPOSURES in registered_stores()
    assert EXPOSURES.scan(Needles(pseudonym=treated[0], values=(), digests=()))[0].count == 1

    erase(treated[0])

    assert not Exposure.objects.filter(pseudonym=treated[0]).exists()
    assert Exposure.objects.filter(launch=entry).count() == 11
    assert launch_by_id(entry.id).measured == first


def test_who_was_erased_before_the_settlement_is_not_measured(
    committed_shop: list[UUID], monkeypatch: pytest.MonkeyPatch
):
    treated, control = halved(monkeypatch, committed_shop)
    entry = running()
    planted(treated, control)

    erase(treated[0])

    found = settled(entry).measured
    assert found["outcomes"]["revenue"]["treatment"] == "6.0000"
    assert found["erased_or_restricted_meanwhile"] == 1


@pytest.mark.usefixtures("halves")
def test_the_beat_asks_for_the_settlement_of_what_ended_a_day_ago(monkeypatch):
    entry = running()
    asked: list[str] = []
    monkeypatch.setattr(
        "campaigns.services.settle.ask_later", lambda task, launch_id: asked.append(launch_id)
    )

    settle_launches(at=END + timedelta(hours=23))
    assert not asked
    settle_launches(at=END + timedelta(hours=24))

    assert asked == [str(entry.id)]
    assert tasks.settle_launch(launch_id=asked[0]) == "settled"  # years later, by the clock
    assert tasks.settle_launch(launch_id=asked[0]) == "settled"


def test_the_command_settles_what_is_over_and_says_what_came_of_it(halves):
    running()
    planted(*halves)
    out = io.StringIO()

    call_command("settle_campaigns", stdout=out)

    assert "9.0000 GBP a customer [" in out.getvalue()
    assert "within the forecast of 2.0000" in out.getvalue()
    assert "1 launches were due" in out.getvalue()


def test_over_rest_a_launch_is_settled_listed_and_summed_up(api, halves):
    client = api(*SCOPES)
    other = settled(running(simulated(mean=1200.0, reach=12.0)))  # nobody bought: not compared
    entry = running()
    planted(*halves)

    answer = client.post(f"/api/v1/launches/{entry.id}/settle/")
    first = client.get("/api/v1/ledger/?limit=1").json()
    second = client.get(first["next"]).json()
    summary = client.get("/api/v1/ledger/summary/").json()
    of_nobody = client.get(f"/api/v1/ledger/summary/?model={uuid4()}").json()

    assert answer.status_code == 200
    assert answer.json()["status"] == "settled"
    assert answer.json()["measured"]["outcomes"]["revenue"]["uplift"]["mean"] == "9.0000"
    assert {row["id"] for row in first["results"] + second["results"]} == {
        str(entry.id), str(other.id),
    }  # fmt: skip
    assert summary == {
        "settled": 2, "compared": 1, "within": 1, "within_share": 1.0, "mean_relative_error": 3.5,
    }  # fmt: skip
    assert of_nobody["settled"] == 0
    assert of_nobody["within_share"] is None


@pytest.mark.usefixtures("halves")
def test_over_rest_it_is_too_early_to_settle(api):
    entry = running(starts_at=now(), at=now(), holdout_share=Decimal("0.5"))

    answer = api(*SCOPES).post(f"/api/v1/launches/{entry.id}/settle/")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/settled-too-early")


def test_the_page_shows_forecast_and_measurement_side_by_side(client: Client, halves):
    client.force_login(User.objects.create_superuser("boss", password=uuid4().hex))
    entry = running()
    planted(*halves)
    settled(entry)

    page = client.get(f"/admin/campaigns/policyledgerentry/{entry.id}/change/").content.decode()
    overview = client.get("/admin/campaigns/policyledgerentry/").content.decode()

    assert "Forecast&quot;, &quot;With sampling error&quot;, &quot;Measured" in page
    assert "+9.00 GBP [" in overview


Spending = st.lists(st.floats(0, 1_000, width=16), min_size=2, max_size=30)


@settings(max_examples=40)
@given(one=Spending, other=Spending)
def test_the_interval_is_welchs_and_turns_round_with_the_arms(one: list, other: list):
    treated, control = np.array(one), np.array(other)
    assume(min(treated.var(), control.var()) > 1e-6)

    found, turned = difference(treated, control), difference(control, treated)

    expected = stats.ttest_ind(treated, control, equal_var=False).confidence_interval(0.9)
    assert found.ends[1:] == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-6)
    assert turned.mean == pytest.approx(-found.mean)
    assert turned.reach == pytest.approx(found.reach)


@given(value=st.floats(0, 100), sizes=st.tuples(st.integers(5, 40), st.integers(5, 40)))
def test_equal_customers_give_no_interval_however_their_figures_round(value, sizes):
    treated, control = (np.full(size, value) for size in sizes)

    assert difference(treated, control).reach is None


def test_nine_in_ten_intervals_hold_the_true_uplift():
    draw = np.random.default_rng(1)
    hits = 0
    for _ in range(1_000):
        treated, control = draw.exponential(12, 180), draw.exponential(10, 60)
        _, low, high = difference(treated, control).ends
        hits += low <= 2 <= high

    assert 0.87 < hits / 1_000 < 0.93


@given(
    mean=st.floats(-50, 50),
    low=st.floats(0, 20),
    high=st.floats(0, 20),
    found=st.floats(-100, 100),
    reach=st.floats(0, 30),
)
def test_the_sampling_error_only_widens_what_is_expected(mean, low, high, found, reach):
    forecast = {"mean": mean, "low": mean - low, "high": mean + high}

    grade = graded("orders", Difference(found, reach), forecast)

    assert grade["expected"]["low"] <= forecast["low"] + 1e-5
    assert grade["expected"]["high"] >= forecast["high"] - 1e-5
    if forecast["low"] <= found <= forecast["high"]:
        assert grade["within"]
    if abs(found - mean) > math.hypot(max(low, high), reach) + 1e-6:
        assert not grade["within"]
