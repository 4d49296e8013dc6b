"""Launching: everybody has one arm, one event that says so, or a reason why not."""

import csv
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from campaigns import tasks
from campaigns.errors import InvalidLaunch, LaunchNotRunning, LaunchOverlaps, SimulationNotFinished
from campaigns.holdout import arm_of, global_place
from campaigns.ledger import launch_by_id
from campaigns.models import Exposure, PolicyLedgerEntry
from campaigns.services import (
    cancel_launch,
    expose,
    launch,
    launch_campaign,
    settle_launch,
    sweep_launches,
)
from campaigns.services.expose import assign_chunk
from common.clock import now
from common.models import Operation, OutboxMessage, WorkChunk
from common.operations import cancel_operation, claim_chunk
from customers.models import Customer
from customers.services import request_erasure, run_erasure
from events.models import Event
from tests.campaigns.builders import campaign, started
from tests.campaigns.launches import (
    STARTS_AT,
    arms_of,
    assigned,
    events_of,
    halved,
    launched,
    running,
    simulated,
)

pytestmark = pytest.mark.django_db
SCOPES = ("campaigns:read", "campaigns:write")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def in_fours(small_chunks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Launches are assigned in chunks of four customers."""
    monkeypatch.setattr(launch, "CHUNK_CUSTOMERS", 4)


def test_everybody_has_one_arm_and_one_event_that_says_so(shop: list[UUID]):
    entry = running()

    arms = arms_of(entry)
    assert arms == {who: arm_of(entry.campaign_id, who, 0.5) for who in shop}
    assert events_of(entry) == arms
    assert entry.status == "running"
    assert (entry.treated, entry.control) == (
        list(arms.values()).count("treatment"),
        list(arms.values()).count("control"),
    )
    assert entry.treated + entry.control == 12
    assert not any(entry.left_out.values())


def test_the_event_tells_the_offer_and_when_it_holds(shop: list[UUID]):
    entry = running()

    event = Event.objects.filter(type="offer_assigned").first()
    assert event.occurred_at == STARTS_AT
    assert event.data == {
        "offer_id": str(entry.id), "campaign_id": str(entry.campaign_id), "kind": "discount",
        "depth": "0.2", "valid_from": "2011-11-18T12:00:00Z", "valid_until": "2011-12-02T12:00:00Z",
        "arm": arms_of(entry)[event.stream],
    } | {name: None for name in ("sku", "category") if name in event.data}  # fmt: skip


def test_an_offer_that_opens_in_the_future_is_assigned_now(shop: list[UUID]):
    entry = running(at=STARTS_AT - timedelta(days=2))

    assert set(Exposure.objects.values_list("assigned_at", flat=True)) == {entry.launched_at}
    assert entry.offer_starts_at == STARTS_AT


def test_the_ledger_holds_the_forecast_of_the_scenario_for_the_treated(shop: list[UUID]):
    entry = running()

    assert entry.forecast["per_customer"]["revenue"] == {
        "mean": "2.0000", "low": "1.0000", "high": "3.0000",
    }  # fmt: skip
    assert entry.forecast["total"]["revenue"]["mean"] == f"{2 * entry.treated}.00"
    assert entry.forecast["total"]["orders"]["high"] == pytest.approx(0.2 * entry.treated)
    assert entry.model_sha256 == entry.simulation.manifest["model_version"]["sha256"]
    assert entry.response == {
        "name": "assumed", "provenance": "assumption", "assumption_share": 1.0,
    }  # fmt: skip


def test_others_are_told_once_without_naming_anybody(shop: list[UUID]):
    entry = running()
    assigned(entry, holder="late")

    message = OutboxMessage.objects.get(type="campaign.launched")
    assert message.body["launch_id"] == str(entry.id)
    assert message.body["treated"] == entry.treated
    assert not any(str(who) in str(message.body) for who in shop)


def test_chunks_give_the_arms_that_one_piece_gives(shop: list[UUID], in_fours: None):
    entry = launched()
    assert WorkChunk.objects.filter(operation=entry.operation).count() == 3

    assigned(entry, most_chunks=1)
    assert len(arms_of(entry)) == 4
    entry = assigned(entry, holder="another")

    assert arms_of(entry) == {who: arm_of(entry.campaign_id, who, 0.5) for who in shop}
    assert events_of(entry) == arms_of(entry)
    assert entry.operation.done == entry.operation.total == 12


@pytest.mark.parametrize("broken", ["_expose", "finish_chunk"])
def test_a_chunk_that_was_killed_halfway_is_done_whole_and_once(
    shop: list[UUID], in_fours: None, monkeypatch: pytest.MonkeyPatch, broken: str
):
    entry = assigned(launched(), most_chunks=1)

    with monkeypatch.context() as patch:
        patch.setattr(expose, broken, lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            assigned(entry, holder="doomed")
    assert len(arms_of(entry)) == len(events_of(entry)) == 4  # the first chunk's, and no half
    entry = assigned(entry, holder="late", clock=lambda: STARTS_AT + 2 * MINUTE)

    assert len(arms_of(entry)) == 12
    assert events_of(entry) == arms_of(entry)
    assert entry.treated + entry.control == 12


def test_a_chunk_that_is_done_again_stores_nothing_twice(shop: list[UUID]):
    entry = running()
    events = Event.objects.count()
    WorkChunk.objects.update(state="queued")  # as after a restore that lost the note
    Operation.objects.filter(id=entry.operation_id).update(status="running")

    chunk = claim_chunk(operation_id=entry.operation_id, holder="again", at=STARTS_AT)
    assert assign_chunk(entry=entry, chunk=chunk, holder="again", at=STARTS_AT + MINUTE)

    assert Event.objects.count() == events
    assert len(arms_of(entry)) == 12


def test_whoever_lost_the_lease_writes_nothing(shop: list[UUID]):
    entry = launched()
    chunk = claim_chunk(operation_id=entry.operation_id, holder="slow", at=STARTS_AT)

    done = assign_chunk(entry=entry, chunk=chunk, holder="somebody else", at=STARTS_AT)

    assert not done
    assert not arms_of(entry)
    assert not events_of(entry)


def test_the_erased_and_the_restricted_are_left_out_and_counted(
    committed_shop: list[UUID], in_fours: None
):
    run = simulated()
    gone, ending, restricted = committed_shop[:3]
    request = request_erasure(pseudonym=gone, requested_by="a test", at=now())
    run_erasure(request_id=request.id, at=now())
    Customer.objects.filter(pseudonym=ending).update(status="erased")  # while an erasure runs
    Customer.objects.filter(pseudonym=restricted).update(status="restricted")

    entry = running(run)

    assert arms_of(entry).keys() == set(committed_shop[3:]) == events_of(entry).keys()
    assert entry.left_out["erased"] == 2
    assert entry.left_out["restricted"] == 1
    assert entry.treated + entry.control + sum(entry.left_out.values()) == run.audience.size
    assert entry.operation.done == entry.operation.total


def test_the_global_holdout_is_in_no_arm_and_counted_apart(shop: list[UUID], settings):
    ordered = sorted(shop, key=global_place)
    settings.DTOC_GLOBAL_HOLDOUT_SHARE = global_place(ordered[4])

    entry = launched()
    settings.DTOC_GLOBAL_HOLDOUT_SHARE = 0.0  # the launch keeps to what it began with
    entry = assigned(entry)

    assert arms_of(entry).keys() == set(ordered[4:]) == events_of(entry).keys()
    assert entry.left_out["global_holdout"] == 4


def test_whoever_was_contacted_too_often_is_left_out_in_either_arm(shop: list[UUID], settings):
    settings.DTOC_CONTACT_CAP, settings.DTOC_CONTACT_CAP_DAYS = 1, 30
    first = running()
    treated = {who for who, arm in arms_of(first).items() if arm == "treatment"}
    soon, later = STARTS_AT + timedelta(days=29), STARTS_AT + timedelta(days=30)

    second = running(starts_at=soon, at=soon)
    third = running(starts_at=later, at=later, holdout_share=Decimal(0))

    assert arms_of(second).keys() == set(shop) - treated
    assert second.left_out["over_contact_cap"] == len(treated)
    contacted_since = {who for who, arm in arms_of(second).items() if arm == "treatment"}
    assert arms_of(third).keys() == set(shop) - contacted_since  # the first was 30 days ago


def test_a_launch_does_not_count_against_itself_when_a_chunk_is_done_again(
    shop: list[UUID], settings, monkeypatch: pytest.MonkeyPatch
):
    halved(monkeypatch, shop)
    settings.DTOC_CONTACT_CAP = 1
    entry = running()
    WorkChunk.objects.update(state="queued")
    Operation.objects.filter(id=entry.operation_id).update(status="running")
    chunk = claim_chunk(operation_id=entry.operation_id, holder="again", at=STARTS_AT)

    assign_chunk(entry=entry, chunk=chunk, holder="again", at=STARTS_AT)

    chunk.refresh_from_db()
    assert chunk.result["treatment"] == entry.treated


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"depth": Decimal("0.3")}, "depth and delay_days"),
        ({"delay_days": 7}, "depth and delay_days"),
        ({"holdout_share": Decimal("0.91")}, "holdout_share"),
        ({"holdout_share": Decimal("-0.1")}, "holdout_share"),
        ({"window_days": 0}, "window_days"),
        ({"window_days": 366}, "window_days"),
        ({"starts_at": STARTS_AT + timedelta(days=400)}, "starts_at"),
    ],
)
def test_a_launch_out_of_range_is_refused_and_leaves_nothing(
    shop: list[UUID], change: dict, field: str
):
    with pytest.raises(InvalidLaunch) as caught:
        launched(**change)

    assert caught.value.fields["field"] == field
    assert not PolicyLedgerEntry.objects.exists()


def test_a_simulation_without_a_result_or_of_another_campaign_cannot_be_launched(
    shop: list[UUID],
):
    with pytest.raises(SimulationNotFinished):
        launched(started())
    run, other = simulated(), campaign()
    with pytest.raises(InvalidLaunch):
        launch_campaign(
            campaign_id=other.id, simulation_id=run.id, depth=Decimal("0.2"), delay_days=0,
            launched_by="a test", at=STARTS_AT,
        )  # fmt: skip


def test_a_campaign_cannot_be_launched_twice_at_a_time(shop: list[UUID]):
    run = simulated()
    first = launched(run)

    with pytest.raises(LaunchOverlaps):
        launched(run, starts_at=STARTS_AT + timedelta(days=29))
    launched(run, starts_at=STARTS_AT + timedelta(days=30))
    cancel_launch(launch_id=first.id, at=STARTS_AT)
    launched(run, starts_at=STARTS_AT - timedelta(days=1), window_days=31)


def test_a_cancelled_launch_assigns_nobody_else(shop: list[UUID], in_fours: None):
    entry = assigned(launched(), most_chunks=1)

    cancel_launch(launch_id=entry.id, at=STARTS_AT)
    again = cancel_launch(launch_id=entry.id, at=STARTS_AT)

    assert again.status == "cancelled"
    assert len(arms_of(assigned(entry, holder="late"))) == 4
    assert not OutboxMessage.objects.filter(type="campaign.launched").exists()


def test_the_task_assigns_everybody_and_delivered_twice_does_nothing(shop: list[UUID]):
    entry = launched()

    assert tasks.run_launch_task(operation_id=str(entry.operation_id))
    assert tasks.run_launch_task(operation_id=str(entry.operation_id))

    assert launch_by_id(entry.id).status == "running"
    assert events_of(entry).keys() == set(shop)


def test_cancelling_the_operation_cancels_the_launch_at_the_next_sweep(shop: list[UUID]):
    entry = launched()
    cancel_operation(operation_id=entry.operation_id, at=STARTS_AT)

    sweep_launches(at=STARTS_AT)

    assert launch_by_id(entry.id).status == "cancelled"


def test_the_sweep_finds_a_launch_that_nobody_works_on(shop: list[UUID]):
    entry = launched()
    assert sweep_launches(at=STARTS_AT) == 1
    claim_chunk(operation_id=entry.operation_id, holder="busy", at=STARTS_AT)

    assert sweep_launches(at=STARTS_AT + timedelta(seconds=30)) == 0
    assert sweep_launches(at=STARTS_AT + 2 * MINUTE) == 1


def test_a_chunk_that_takes_every_worker_down_ends_the_launch(shop: list[UUID]):
    entry = launched()
    WorkChunk.objects.filter(operation=entry.operation).update(attempt=5)

    entry = assigned(entry)

    assert entry.status == "cancelled"
    assert entry.operation.error["code"] == "chunk-never-finished"


def body(run, **changes) -> dict:
    return {"simulation_id": str(run.id), "depth": "0.2", "delay_days": 0, **changes}


def test_a_launch_over_rest_from_request_to_export(
    api, shop: list[UUID], monkeypatch: pytest.MonkeyPatch
):
    halved(monkeypatch, shop)
    client, run, key = api(*SCOPES), simulated(), {"Idempotency-Key": str(uuid4())}
    url = f"/api/v1/campaigns/{run.campaign_id}/launches/"
    wanted = body(run, holdout_share="0.5", starts_at="2011-11-18T12:00:00Z")

    accepted = client.post(url, wanted, headers=key)
    again = client.post(url, wanted, headers=key)
    early = client.get(accepted.json()["launch_url"] + "export.csv")
    entry = assigned(PolicyLedgerEntry.objects.get(), clock=now)
    read = client.get(accepted.json()["launch_url"]).json()

    assert accepted.status_code == 202
    assert again.json() == accepted.json()
    assert early.status_code == 409
    assert client.get(accepted["Location"]).json()["result_url"] == accepted.json()["launch_url"]
    assert read["status"] == "running"
    assert read["depth"] == "0.2"
    assert read["treated"] + read["control"] == 12
    assert read["measured"] is None
    text = b"".join(client.get(read["links"]["export"]).streaming_content).decode()
    rows = list(csv.DictReader(text.splitlines()))
    treated = sorted(str(who) for who, arm in arms_of(entry).items() if arm == "treatment")
    assert [row["pseudonym"] for row in rows] == treated
    assert rows[0] == {
        "pseudonym": treated[0], "arm": "treatment", "depth": "0.2",
        "starts_at": "2011-11-18T12:00:00.000Z", "ends_at": "2011-12-02T12:00:00.000Z",
    }  # fmt: skip


def test_the_export_leaves_out_who_was_restricted_since_and_gives_both_arms_if_asked(
    api, shop: list[UUID]
):
    entry = running()
    Customer.objects.filter(pseudonym=shop[0]).update(status="restricted")

    answer = api(*SCOPES).get(
        f"/api/v1/launches/{entry.id}/export.csv?arm=all", headers={"Accept": "text/csv"}
    )

    text = b"".join(answer.streaming_content).decode()
    assert answer["Content-Type"] == "text/csv"
    assert len(text.splitlines()) == 12  # the header and eleven customers
    assert str(shop[0]) not in text


def test_exposures_are_paged_and_filtered_by_arm(
    api, shop: list[UUID], monkeypatch: pytest.MonkeyPatch
):
    halved(monkeypatch, shop)
    entry, client = running(), api(*SCOPES)
    url = f"/api/v1/campaigns/{entry.campaign_id}/exposures/"

    found, page = [], client.get(f"{url}?limit=5").json()
    while True:
        found += page["results"]
        if page["next"] is None:
            break
        page = client.get(page["next"]).json()
    held_out = client.get(f"{url}?arm=control&limit=500").json()["results"]

    assert {(row["pseudonym"], row["arm"]) for row in found} == {
        (str(who), arm) for who, arm in arms_of(entry).items()
    }
    assert len(found) == 12
    assert {row["arm"] for row in held_out} == {"control"}
    assert len(held_out) == entry.control
    assert client.get(f"{url}?arm=both").status_code == 400


def test_a_customers_exposures_are_told(api, shop: list[UUID]):
    entry = running()

    rows = api(*SCOPES).get(f"/api/v1/customers/{shop[0]}/exposures/").json()["results"]

    assert [(row["launch_id"], row["arm"]) for row in rows] == [
        (str(entry.id), arms_of(entry)[shop[0]])
    ]
    assert api(*SCOPES[:1]).get(f"/api/v1/customers/{uuid4()}/exposures/").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "campaigns/{campaign}/launches/"),
        ("get", "campaigns/{campaign}/exposures/"),
        ("get", "customers/{customer}/exposures/"),
        ("get", "launches/{launch}/"),
        ("get", "launches/{launch}/export.csv"),
        ("post", "launches/{launch}/settle/"),
        ("post", "launches/{launch}/cancel/"),
        ("get", "ledger/"),
        ("get", "ledger/summary/"),
    ],
)
def test_without_the_scope_it_is_refused(api, shop: list[UUID], method: str, path: str):
    entry = running()
    names = {"campaign": entry.campaign_id, "launch": entry.id, "customer": shop[0]}
    others = ("campaigns:read", "twins:read") if method == "post" else ("campaigns:write",)

    answer = getattr(api(*others), method)(f"/api/v1/{path.format(**names)}")

    assert answer.status_code == 403
    assert launch_by_id(entry.id).status == "running"


def test_a_launch_that_cannot_be_is_a_problem(api, shop: list[UUID]):
    client, run = api(*SCOPES), simulated()
    url = f"/api/v1/campaigns/{run.campaign_id}/launches/"

    without_key = client.post(url, body(run))
    deeper = client.post(url, body(run, depth="0.3"), headers={"Idempotency-Key": str(uuid4())})
    unknown = client.get(f"/api/v1/launches/{uuid4()}/")

    assert without_key.json()["type"] == "/problems/idempotency-key-missing"
    assert (deeper.status_code, deeper.json()["type"]) == (422, "/problems/invalid-launch")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "/problems/unknown-launch")


def test_a_cancelled_launch_is_not_handed_over(shop: list[UUID], api):
    entry = running()
    client = api(*SCOPES)

    cancelled = client.post(f"/api/v1/launches/{entry.id}/cancel/")
    export = client.get(f"/api/v1/launches/{entry.id}/export.csv", headers={"Accept": "text/csv"})

    assert cancelled.json()["status"] == "cancelled"
    assert export.json()["type"] == "/problems/launch-not-running"


def test_every_route_is_described_without_a_warning(capsys):
    schema = SchemaGenerator().get_schema(request=None, public=True)

    for path in ("campaigns/{campaign_id}/launches/", "launches/{launch_id}/", "ledger/"):
        assert f"/api/v1/{path}" in schema["paths"]
    assert "Warning" not in capsys.readouterr().err


def test_the_ledgers_pages_open(client: Client, shop: list[UUID]):
    client.force_login(User.objects.create_superuser("boss", password=uuid4().hex))
    entry = running()

    overview = client.get("/admin/campaigns/policyledgerentry/").content.decode()
    page = client.get(f"/admin/campaigns/policyledgerentry/{entry.id}/change/").content.decode()

    assert "20 % at once" in overview
    assert "+2.00 GBP [1.00, 3.00]" in overview
    assert '<canvas class="chart"' in page
    assert client.get("/admin/campaigns/policyledgerentry/nonsense/change/").status_code in (
        302,
        404,
    )


def test_a_cancelled_launch_is_never_settled(shop: list[UUID]):
    entry = running()
    cancel_launch(launch_id=entry.id, at=STARTS_AT)

    with pytest.raises(LaunchNotRunning):
        settle_launch(launch_id=entry.id, at=STARTS_AT + timedelta(days=40))
