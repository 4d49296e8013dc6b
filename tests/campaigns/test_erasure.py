"""Erasing a person empties what campaigns keep about that person; runs go on without them."""

from uuid import UUID

import pytest

from campaigns.erasure import AUDIENCE_MEMBERS, SIMULATION_MEMBERS
from campaigns.models import AudienceMember, SimulationMember
from campaigns.services.run import run_simulation
from common.clock import now
from customers.erasure import Needles, registered_stores
from customers.services import request_erasure, run_erasure
from tests.campaigns.builders import figures, finished, started

pytestmark = pytest.mark.django_db


def erase(pseudonym: UUID) -> None:
    request = request_erasure(pseudonym=pseudonym, requested_by="a test", at=now())
    run_erasure(request_id=request.id, at=now())


def needles(pseudonym: UUID) -> Needles:
    return Needles(pseudonym=pseudonym, values=(), digests=())


def test_the_stores_are_registered():
    assert {AUDIENCE_MEMBERS, SIMULATION_MEMBERS} <= set(registered_stores())


def test_the_stores_find_what_is_there_and_erase_nobody_else(shop: list[UUID]):
    started()
    for store in (AUDIENCE_MEMBERS, SIMULATION_MEMBERS):
        assert store.count(shop[0]) == 1
        assert store.scan(needles(shop[0]))[0].count == 1

        assert store.erase(shop[0], shop[0]) == 1

        assert store.erase(shop[0], shop[0]) == 0
        assert not store.scan(needles(shop[0]))
        assert store.count(shop[1]) == 1


def test_a_person_erased_during_a_run_leaves_no_row_and_the_run_completes_without_them(
    committed_shop: list[UUID],
):
    run = started()
    run_simulation(operation_id=run.operation_id, holder="a", clock=now, most_chunks=1)
    last = max(committed_shop)  # of the last chunk, which nobody has begun
    assert SimulationMember.objects.filter(pseudonym=last).exists()

    erase(last)

    assert not SimulationMember.objects.filter(pseudonym=last).exists()
    assert not AudienceMember.objects.filter(pseudonym=last).exists()
    done = finished(run)
    assert done.operation.status == "succeeded"
    assert done.operation.done == done.operation.total == 12
    assert done.result["customers"] == {"pinned": 12, "simulated": 11, "erased_meanwhile": 1}


def test_a_person_erased_after_their_chunk_was_computed_stays_in_the_sums_and_nowhere_else(
    committed_shop: list[UUID],
):
    undisturbed = finished(started())
    run = started()
    run_simulation(operation_id=run.operation_id, holder="a", clock=now, most_chunks=1)

    erase(min(committed_shop))  # of the first chunk

    done = finished(run)
    assert figures(done) == figures(undisturbed)
    assert not SimulationMember.objects.filter(pseudonym=min(committed_shop)).exists()
    assert done.audience.size == 12


def test_everybody_erased_leaves_a_run_that_ends_with_zeros(shop: list[UUID]):
    run = started()
    SimulationMember.objects.filter(run=run).delete()

    done = finished(run)

    assert done.operation.status == "succeeded"
    assert done.result["customers"]["simulated"] == 0
    assert done.result["control"]["revenue"]["mean"] == "0.00"
