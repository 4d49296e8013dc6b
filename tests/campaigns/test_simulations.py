"""Simulations: the same answer whoever computes it, and an exact zero where nothing is offered."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.db import connection

from campaigns.criteria import Criteria
from campaigns.errors import (
    EmptyAudience,
    GridTooLarge,
    InvalidSimulation,
    NotRepeatable,
    UnknownAudience,
    UnknownCampaign,
)
from campaigns.models import SimulationMember, SimulationRun
from campaigns.rollouts import row_keys
from campaigns.services import repeat_simulation, sweep_simulations
from campaigns.services.lease import kept_lease
from campaigns.services.run import complete_simulation, run_simulation
from campaigns.tasks import run_simulation_task
from common.canonical_json import sha256_hex
from common.clock import now
from common.models import Operation, WorkChunk
from common.operations import LEASE, cancel_operation, claim_chunk
from customers.models import Customer
from tests.campaigns.builders import audience, campaign, figures, finished, started
from twins.errors import NoActiveModel
from twins.models import ModelVersion, Twin

pytestmark = pytest.mark.django_db
DEPTHS = [Decimal(0), Decimal("0.1"), Decimal("0.3")]


def test_a_discount_of_nothing_has_an_uplift_of_exactly_nothing(shop: list[UUID]):
    run = finished(started(depths=DEPTHS, delays_days=[0, 7]))

    uplifts = [s["uplift"] for s in run.result["scenarios"] if s["depth"] == "0"]

    assert len(uplifts) == 2
    for uplift in uplifts:
        assert uplift["revenue"] == {"mean": "0.00", "low": "0.00", "high": "0.00"}
        assert uplift["orders"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
        assert uplift["buyers"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
        assert uplift["discount_cost"] == {"mean": "0.00", "low": "0.00", "high": "0.00"}


def test_a_discount_changes_what_customers_do(shop: list[UUID]):
    run = finished(started())

    uplift = run.result["scenarios"][1]["uplift"]

    assert float(run.result["control"]["revenue"]["mean"]) > 0
    assert uplift["orders"]["mean"] > 0
    assert float(uplift["discount_cost"]["mean"]) > 0
    assert float(uplift["revenue"]["low"]) < float(uplift["revenue"]["high"])


def test_the_result_says_what_it_rests_on_and_what_is_not_in_it(shop: list[UUID]):
    result = finished(started()).result

    assert result["response"]["name"] == "assumed"
    assert result["response"]["assumption_share"] == 1.0
    assert result["currency"] == "GBP"
    assert len(result["limits"]) > 3
    assert result["customers"] == {"pinned": 12, "simulated": 12, "erased_meanwhile": 0}
    assert len(result["control"]["revenue_by_day"]["mean"]) == 30


def test_the_manifest_names_everything_and_its_hash_is_its_own(shop: list[UUID]):
    run = finished(started())

    assert run.manifest["seed"] == 7
    assert run.manifest["audience"]["sha256"] == run.audience.sha256
    assert run.manifest["model_version"]["sha256"] == ModelVersion.objects.get().sha256
    assert run.manifest["code_version"] == run.code_version
    assert sha256_hex(run.manifest) == run.manifest_sha256 == run.result["manifest_sha256"]


def test_the_same_seed_gives_the_same_result_to_the_last_digit(shop: list[UUID]):
    who, what = audience().id, campaign().id

    one = finished(started(audience_id=who, campaign_id=what))
    two = finished(started(audience_id=who, campaign_id=what))
    other = finished(started(audience_id=who, campaign_id=what, seed=8))

    assert one.result == two.result
    assert figures(other) != figures(one)


def test_every_customer_has_luck_of_their_own(shop: list[UUID]):
    assert len(set(row_keys(shop).tolist())) == 12
    twin = Twin.objects.get(pseudonym=shop[0])
    Twin.objects.update(h=twin.h, c=twin.c, memory=twin.memory, clock_at=twin.clock_at)

    revenues = {
        finished(started(audience_id=audience(Criteria(pseudonyms=frozenset([p]))).id)).result[
            "control"
        ]["revenue"]["mean"]
        for p in shop[:3]
    }

    assert len(revenues) == 3


def test_the_size_of_the_chunks_changes_no_figure(shop: list[UUID], monkeypatch):
    monkeypatch.setattr("campaigns.plan.FEWEST_CHUNKS", 1)
    whole = finished(started())
    assert WorkChunk.objects.filter(operation=whole.operation).count() == 1
    monkeypatch.setattr("campaigns.plan.CHUNK_ROWS", 5 * 3 * 4)
    parts = finished(started())

    assert WorkChunk.objects.filter(operation=parts.operation).count() == 3
    assert figures(parts) == figures(whole)


def test_twins_that_advance_during_a_run_do_not_change_its_result(
    shop: list[UUID], small_chunks: None
):
    undisturbed = finished(started())
    run = started()
    run_simulation(operation_id=run.operation_id, holder="a", clock=now, most_chunks=1)
    Twin.objects.update(h=bytes(48), c=bytes(48), stream_version=2)

    assert figures(finished(run)) == figures(undisturbed)


def test_a_repeated_run_equals_the_first_although_its_twins_have_advanced(shop: list[UUID]):
    first = finished(started())
    Twin.objects.update(h=bytes(48), c=bytes(48), stream_version=2)

    again = finished(repeat_simulation(simulation_id=first.id, requested_by="a test", at=now()))

    assert again.repeats_id == first.id
    assert again.result == first.result


def test_a_run_whose_people_were_erased_cannot_be_repeated_exactly(shop: list[UUID]):
    first = finished(started())
    SimulationMember.objects.filter(run=first, pseudonym=shop[0]).delete()

    with pytest.raises(NotRepeatable, match="began with 12 customers and 11 are left"):
        repeat_simulation(simulation_id=first.id, requested_by="a test", at=now())


def test_a_cancelled_run_ends_at_the_next_chunk_and_has_no_result(
    shop: list[UUID], small_chunks: None
):
    run = started()
    run_simulation(operation_id=run.operation_id, holder="a", clock=now, most_chunks=1)
    cancel_operation(operation_id=run.operation_id, at=now())

    ended = finished(run)

    assert (ended.operation.status, ended.operation.done) == ("cancelled", 4)
    assert ended.result is None


def test_a_run_cancelled_within_its_last_chunk_has_no_result(shop: list[UUID], monkeypatch):
    run = started()
    from campaigns import rollouts as module

    simulated = module.simulated

    def cancelled_meanwhile(*args):
        cancel_operation(operation_id=run.operation_id, at=now())
        return simulated(*args)

    monkeypatch.setattr(module, "simulated", cancelled_meanwhile)
    ended = finished(run)

    assert ended.operation.status == "cancelled"
    assert ended.result is None


def test_the_result_is_written_once(shop: list[UUID]):
    run = finished(started())

    assert complete_simulation(run=run, at=now()) is False


def test_a_worker_that_died_after_the_last_chunk_is_made_good_by_the_next_nudge(
    shop: list[UUID], monkeypatch
):
    run = started()
    monkeypatch.setattr("campaigns.services.run.complete_simulation", lambda **facts: None)
    assert finished(run).result is None
    monkeypatch.undo()

    stalled = sweep_simulations(at=now())

    assert stalled == 1
    assert finished(run, holder="another").operation.status == "succeeded"


def test_the_sweep_leaves_runs_alone_that_somebody_works_on(shop: list[UUID], small_chunks: None):
    run = started()
    at = now()
    claim_chunk(operation_id=run.operation_id, holder="a", at=at)

    assert sweep_simulations(at=at) == 0
    assert sweep_simulations(at=at + LEASE + timedelta(seconds=1)) == 1


def test_a_chunk_that_takes_down_every_worker_ends_the_run(shop: list[UUID]):
    run = started()
    WorkChunk.objects.filter(operation=run.operation).update(attempt=5)

    ended = finished(run)

    assert ended.operation.status == "failed"
    assert ended.operation.error["code"] == "chunk-never-finished"


def test_the_lease_of_a_long_chunk_is_renewed_until_it_is_lost(committed_shop: list[UUID]):
    run = started()
    begun = now()
    chunk = claim_chunk(operation_id=run.operation_id, holder="a", at=begun)
    beats: list[int] = []

    def clock():
        beats.append(1)
        return begun + len(beats) * timedelta(seconds=15)

    def lease_until():
        return WorkChunk.objects.get(id=chunk.id).lease_until

    with kept_lease(chunk_id=chunk.id, holder="a", clock=clock, every_seconds=0.001):
        while lease_until() < begun + LEASE + timedelta(seconds=30):
            assert len(beats) < 1000
        WorkChunk.objects.filter(id=chunk.id).update(holder="b", lease_until=begun)
    assert lease_until() == begun


def test_two_workers_at_once_give_the_same_as_one(committed_shop: list[UUID]):
    alone = finished(started())
    run = started()

    def work(holder: str) -> None:
        try:
            run_simulation(operation_id=run.operation_id, holder=holder, clock=now)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, ["a", "b"]))
    run.refresh_from_db()

    assert figures(run) == figures(alone)
    assert Operation.objects.get(id=run.operation_id).done == 12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon_days": 0}, "horizon_days is 0, expected 1 to 365"),
        ({"replicates": 1}, "replicates is 1, expected 2 to 1000"),
        ({"depths": [Decimal("0.95")]}, "depths is 0.95, expected 0 to 0.9"),
        ({"depths": []}, "depths is empty"),
        ({"depths": [Decimal("0.1"), Decimal("0.10")]}, "each value once"),
        ({"delays_days": [30]}, "delays_days is 30, expected 0 to 29"),
        ({"seed": -1}, "seed is -1"),
        ({"response": {"kind": "guessed"}}, "expected assumed or elasticity or learned"),
        ({"response": {"kind": "learned", "mean": 1}}, "no mean or spread"),
        ({"response": {"kind": "assumed", "mean": float("nan"), "spread": 0}}, "response/mean"),
        ({"response": {"kind": "assumed", "mean": 1.5, "spread": -1}}, "response/spread"),
        ({"response": {"kind": "elasticity", "mean": 1}}, "no mean or spread"),
    ],
)
def test_a_plan_out_of_range_is_refused_in_words(shop: list[UUID], change: dict, message: str):
    with pytest.raises(InvalidSimulation, match=message):
        started(**change)

    assert not SimulationRun.objects.exists()
    assert not Operation.objects.exists()


def test_an_absurd_grid_is_refused(shop: list[UUID]):
    with pytest.raises(GridTooLarge, match="2100 scenarios, expected at most 400"):
        started(depths=[Decimal(n) / 1000 for n in range(100)], delays_days=list(range(21)))
    with pytest.raises(GridTooLarge, match="cells"):
        started(depths=[Decimal(n) / 1000 for n in range(100)], replicates=1000, horizon_days=365)


def test_unknown_campaigns_and_audiences_are_named(shop: list[UUID]):
    with pytest.raises(UnknownCampaign):
        started(campaign_id=uuid4())
    with pytest.raises(UnknownAudience):
        started(audience_id=uuid4())


def test_without_an_active_model_nothing_starts(shop: list[UUID]):
    who = audience()
    ModelVersion.objects.update(state="retired")

    with pytest.raises(NoActiveModel):
        started(audience_id=who.id)


def test_members_restricted_since_the_audience_was_stored_do_not_take_part(shop: list[UUID]):
    who = audience()
    Customer.objects.filter(pseudonym=shop[0]).update(status="restricted")

    run = finished(started(audience_id=who.id))

    assert run.manifest["customers"]["left_out"]["erased_or_restricted"] == 1
    assert run.result["customers"]["simulated"] == 11


def test_an_audience_of_which_nobody_is_left_starts_nothing(shop: list[UUID]):
    who = audience()
    Twin.objects.all().delete()

    with pytest.raises(EmptyAudience, match="12 no twin"):
        started(audience_id=who.id)


def test_a_horizon_that_begins_before_a_twins_last_event_leaves_that_twin_out(shop: list[UUID]):
    clocks = sorted(Twin.objects.values_list("clock_at", flat=True))

    run = started(as_of=clocks[5])

    pinned = sum(clock <= clocks[5] for clock in clocks)
    assert run.manifest["customers"]["pinned"] == pinned
    assert run.manifest["customers"]["left_out"]["seen_later"] == 12 - pinned
    assert finished(run).operation.status == "succeeded"


def test_a_task_works_on_a_simulation_and_finds_nothing_to_do_the_second_time(shop: list[UUID]):
    run = started()

    first = run_simulation_task.apply(kwargs={"operation_id": str(run.operation_id)})
    second = run_simulation_task.apply(kwargs={"operation_id": str(run.operation_id)})

    assert first.get() is True
    assert second.get() is True
    assert Operation.objects.get(id=run.operation_id).status == "succeeded"
    assert WorkChunk.objects.filter(operation=run.operation, attempt=1).exists()


def test_a_task_out_of_time_asks_for_another(shop: list[UUID], monkeypatch):
    asked = []
    run = started()
    monkeypatch.setattr("campaigns.tasks.BUDGET", timedelta(0))
    monkeypatch.setattr("campaigns.tasks.ask_later", lambda name, **ids: asked.append((name, ids)))

    finished_now = run_simulation_task.apply(kwargs={"operation_id": str(run.operation_id)}).get()

    assert finished_now is False
    assert asked == [("campaigns.run_simulation", {"operation_id": str(run.operation_id)})]
