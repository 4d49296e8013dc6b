"""The admin's pages and the metrics."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from campaigns.metrics import simulation_metrics
from campaigns.models import SimulationRun
from common.clock import now
from common.operations import fail_operation
from tests.campaigns.builders import finished, started

pytestmark = pytest.mark.django_db
RUNS = "/admin/campaigns/simulationrun/"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("boss", password=uuid4().hex))
    return client


def test_a_finished_run_shows_its_grid_curve_manifest_and_csv(staff: Client, shop: list[UUID]):
    run = finished(started(depths=[Decimal(0), Decimal("0.3")], delays_days=[0, 7]))

    page = staff.get(f"{RUNS}{run.id}/change/").content.decode()
    csv = staff.get(f"{RUNS}{run.id}/csv/")

    assert "Incremental revenue in GBP over 30 days" in page
    assert "after 7 days" in page
    assert "<polyline" in page
    assert "<polygon" in page
    assert run.manifest_sha256 in page
    assert "location.reload" not in page
    assert csv["Content-Type"] == "text/csv"
    assert len(csv.content.decode().splitlines()) == 5
    assert "0,0,0.00,0.00,0.00" in csv.content.decode()


def test_an_unfinished_run_shows_its_progress_and_refreshes(staff: Client, shop: list[UUID]):
    run = started()

    page = staff.get(f"{RUNS}{run.id}/change/").content.decode()
    overview = staff.get(RUNS).content.decode()

    for text in (page, overview):
        assert 'role="progressbar"' in text
        assert "0 of 12 customers" in text
        assert "location.reload" in text
    assert staff.get(f"{RUNS}{run.id}/csv/").status_code == 404


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
    run = finished(started())

    assert "Run again" not in client.get(f"{RUNS}{run.id}/change/").content.decode()
    assert client.post(f"{RUNS}{run.id}/repeat/").status_code == 403


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
