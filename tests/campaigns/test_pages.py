"""The admin's pages and the metrics."""

import csv
import html
import io
import json
import re
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

import campaigns
from campaigns.metrics import simulation_metrics
from campaigns.models import SimulationRun
from common.clock import now
from common.operations import fail_operation
from tests.campaigns.builders import finished, started
from tests.campaigns.made_up import simulated

pytestmark = pytest.mark.django_db
RUNS = "/admin/campaigns/simulationrun/"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password=uuid4().hex))
    return client


def charts_of(page: str) -> list[dict]:
    """The data that the charts of a page are drawn from."""
    found = re.findall(r'<canvas class="chart"[^>]* data-value="([^"]*)"', page)
    return [json.loads(html.unescape(data)) for data in found]


def test_a_finished_run_shows_its_grid_curve_manifest_and_csv(staff: Client, shop: list[UUID]):
    run = finished(started(depths=[Decimal(0), Decimal("0.3")], delays_days=[0, 7]))

    page = staff.get(f"{RUNS}{run.id}/change/").content.decode()
    grid = staff.get(f"{RUNS}{run.id}/csv/grid/")

    assert "Incremental revenue in GBP over 30 days" in page
    assert "after 7 days" in page
    assert run.manifest_sha256 in page
    assert "/progress/" not in page
    assert grid["Content-Type"] == "text/csv"
    assert len(grid.content.decode().splitlines()) == 5
    assert "0,0,0.00,0.00,0.00" in grid.content.decode()


def test_the_charts_hold_the_figures_of_the_scenario_that_is_asked_for(
    staff: Client, shop: list[UUID]
):
    run = simulated(depths=[Decimal(0), Decimal("0.3")], delays_days=[0, 7])
    days = run.result["scenarios"][3]["treated"]["revenue_by_day"]

    page = staff.get(f"{RUNS}{run.id}/change/?scenario=3").content.decode()

    (chart,) = charts_of(page)
    lines = {line["label"]: line["data"] for line in chart["datasets"]}
    assert lines["this scenario"] == [float(amount) for amount in days["mean"]]
    assert lines["upper end"] == [float(amount) for amount in days["high"]]
    assert len(chart["labels"]) == run.horizon_days
    assert "Revenue by day: 30 % after 7 days" in page


@pytest.mark.parametrize(("part", "rows"), [("grid", 4), ("segments", 4 * 5), ("days", 5 * 30)])
def test_every_figure_can_be_downloaded(staff: Client, shop: list[UUID], part: str, rows: int):
    run = simulated(depths=[Decimal(0), Decimal("0.3")], delays_days=[0, 7])

    answer = staff.get(f"{RUNS}{run.id}/csv/{part}/")

    table = list(csv.reader(io.StringIO(answer.content.decode())))
    assert answer["Content-Type"] == "text/csv"
    assert len(table) == 1 + rows
    assert {len(row) for row in table} == {len(table[0])}
    if part == "days":
        assert table[1][3] == run.result["control"]["revenue_by_day"]["mean"][0]
    if part == "segments":
        shown = run.result["scenarios"][0]["segments"][2]
        assert (table[3][2], table[3][3]) == (shown["segment"], str(shown["customers"]))


def test_a_part_that_there_is_not_cannot_be_downloaded(staff: Client, shop: list[UUID]):
    assert staff.get(f"{RUNS}{simulated().id}/csv/everything/").status_code == 404


def test_an_unfinished_run_shows_its_progress_and_asks_for_more(staff: Client, shop: list[UUID]):
    run = started()

    page = staff.get(f"{RUNS}{run.id}/change/").content.decode()
    overview = staff.get(RUNS).content.decode()
    bar = staff.get(f"{RUNS}{run.id}/progress/")

    for text in (page, overview, bar.content.decode()):
        assert 'role="progressbar"' in text
        assert "0 of 12 customers" in text
        assert f'hx-get="{RUNS}{run.id}/progress/"' in text
    assert "HX-Refresh" not in bar
    assert staff.get(f"{RUNS}{run.id}/csv/grid/").status_code == 404


def test_once_a_run_has_ended_the_page_that_asks_loads_itself_anew(staff: Client, shop: list[UUID]):
    bar = staff.get(f"{RUNS}{simulated().id}/progress/")

    assert bar["HX-Refresh"] == "true"
    assert "hx-get" not in bar.content.decode()


def test_no_page_of_campaigns_brings_a_script_or_a_file_from_elsewhere():
    for page in Path(campaigns.__file__).parent.glob("templates/**/*.html"):
        text = page.read_text()
        assert "<script" not in text, page
        assert "//" not in text.replace("http://www.w3.org", ""), page


def test_the_button_cancels_a_run_once(staff: Client, shop: list[UUID]):
    run = started()

    staff.post(f"{RUNS}{run.id}/cancel/")
    again = staff.post(f"{RUNS}{run.id}/cancel/", follow=True).content.decode()

    assert SimulationRun.objects.get().operation.status == "cancelled"
    assert "It was cancelled" in again
    assert "is cancelled" in again  # what the second one was answered
    assert staff.get(f"{RUNS}{run.id}/cancel/").status_code == 405


def test_a_failed_run_says_why(staff: Client, shop: list[UUID]):
    run = started()
    fail_operation(operation_id=run.operation_id, code="bad-luck", detail="it rained", at=now())

    assert "it rained" in staff.get(f"{RUNS}{run.id}/change/").content.decode()


def test_the_button_begins_the_same_run_again(staff: Client, shop: list[UUID]):
    run = finished(started())

    refused = staff.get(f"{RUNS}{run.id}/repeat/")
    answer = staff.post(f"{RUNS}{run.id}/repeat/")

    again = SimulationRun.objects.get(repeats=run)
    assert refused.status_code == 405
    assert str(again.id) in answer["Location"]
    assert finished(again).result == run.result


def test_somebody_who_may_only_look_cannot_begin_a_run(client: Client, shop: list[UUID]):
    from django.contrib.auth.models import Permission

    viewer = User.objects.create_user("viewer", password=uuid4().hex, is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_simulationrun"))
    client.force_login(viewer)
    run = simulated()

    assert "Run again" not in client.get(f"{RUNS}{run.id}/change/").content.decode()
    assert "Launch" not in client.get(f"{RUNS}{run.id}/change/").content.decode()
    assert client.post(f"{RUNS}{run.id}/repeat/").status_code == 403
    assert client.post(f"{RUNS}{run.id}/cancel/").status_code == 403
    assert client.get(f"{RUNS}add/").status_code == 403


@pytest.mark.parametrize("kind", ["campaign", "audience", "simulationrun"])
def test_every_list_and_page_opens(staff: Client, shop: list[UUID], kind: str):
    run = started()
    row = {"campaign": run.campaign_id, "audience": run.audience_id, "simulationrun": run.id}[kind]

    assert staff.get(f"/admin/campaigns/{kind}/").status_code == 200
    assert staff.get(f"/admin/campaigns/{kind}/{row}/change/").status_code == 200


def test_the_metrics_count_runs_customers_and_steps(shop: list[UUID]):
    finished(started())
    started()

    found = {
        (sample.name, sample.labels.get("status")): sample.value
        for metric in simulation_metrics()
        for sample in metric.samples
    }

    assert found[("dtoc_simulation_runs", "succeeded")] == 1
    assert found[("dtoc_simulation_runs", "queued")] == 1
    assert found[("dtoc_simulation_customers_total", None)] == 12
    assert found[("dtoc_simulation_twin_steps_total", None)] > 0
