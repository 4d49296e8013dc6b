"""Erasing: nothing of the twin stays, and no worker brings it back."""

from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection

from customers.erasure import Needles, registered_stores
from customers.models import Customer, DataSubjectRequest
from customers.services import register_customers, request_erasure, run_erasure
from customers.services.register import Newcomer
from tests.builders import DAY, NOON
from tests.twins.builders import advance_everything, happen, orders, stored_model
from twins.erasure import SNAPSHOTS, TWINS
from twins.models import Twin, TwinSnapshot
from twins.services import advance, rebuild_twins

pytestmark = pytest.mark.django_db


def newcomer(value: str):
    key = ("crm_id", value)
    return register_customers(
        newcomers=[Newcomer(kind="crm_id", value=value, country="GB")], at=NOON
    )[key]


def needles(pseudonym) -> Needles:
    return Needles(pseudonym=pseudonym, values=(), digests=())


def test_the_stores_of_the_twins_come_after_that_of_the_events():
    names = [store.name for store in registered_stores()]

    assert names.index("events") < names.index("twins.heads") < names.index("twins.snapshots")


def test_an_erasure_takes_twins_of_all_models_and_snapshots_and_leaves_the_others(model):
    gone, stays = newcomer("gone"), newcomer("stays")
    for someone in (gone, stays):
        happen(someone, *orders(3), start=NOON + DAY)
    advance_everything()
    for _ in rebuild_twins(model_id=stored_model(seed=1).id, at=NOON):
        pass
    assert (TWINS.count(gone), SNAPSHOTS.count(gone)) == (2, 2)
    assert TWINS.scan(needles(gone))[0].count == 2

    request = request_erasure(pseudonym=gone, requested_by="a test", at=NOON)
    run_erasure(request_id=request.id, at=NOON)

    assert DataSubjectRequest.objects.get().status == "completed"
    assert TWINS.scan(needles(gone)) == SNAPSHOTS.scan(needles(gone)) == []
    assert set(Twin.objects.values_list("pseudonym", flat=True)) == {stays}
    assert set(TwinSnapshot.objects.values_list("pseudonym", flat=True)) == {stays}
    assert advance_everything() == 0


def test_neither_advancer_nor_rebuild_makes_a_twin_of_a_stream_that_is_gone(model):
    gone = newcomer("gone")
    happen(gone, *orders(3), start=NOON + DAY)
    request = request_erasure(pseudonym=gone, requested_by="a test", at=NOON)
    run_erasure(request_id=request.id, at=NOON)

    for shard in range(16):
        advance(shard=shard, at=NOON)
    assert list(rebuild_twins(model_id=model.id, at=NOON)) == []

    assert not Twin.objects.exists()
    assert not Customer.objects.exists()


def test_erasing_twins_twice_is_erasing_them_once(model):
    someone = newcomer("someone")
    happen(someone, *orders(3), start=NOON + DAY)
    advance_everything()

    assert (TWINS.erase(someone, uuid4()), TWINS.erase(someone, uuid4())) == (1, 0)


def test_the_migrations_can_be_undone_and_done_again():
    call_command("migrate", "twins", "0001", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_proc WHERE proname LIKE 'twins_refuse%'")
        assert cursor.fetchone() == (0,)
    call_command("migrate", "twins", verbosity=0)
