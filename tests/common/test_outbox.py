"""The outbox: a message is there exactly where its cause was committed, and names nobody erased."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction

from campaigns.services.run import complete_simulation
from common.clock import now
from common.models import OutboxMessage, WorkChunk
from common.outbox import KEPT, LARGEST_BYTES, TYPES, announce, forget_messages
from common.tasks import tidy
from customers.erasure import Needles, registered_stores
from customers.services import request_erasure, run_erasure
from customers.stores import OUTBOX
from events.api.parsers import item_of
from events.services import Policy, ingest
from tests.builders import NOON
from tests.campaigns.builders import active_version, customers, finished, started, with_twins
from tests.customers.builders import register, somebody
from tests.events.builders import sent
from tests.twins.builders import stored_model
from twins.services import activate_model


def told(type_name: str | None = None) -> list[dict]:
    messages = OutboxMessage.objects.order_by("created_at", "type")
    if type_name:
        messages = messages.filter(type=type_name)
    return [message.body for message in messages]


def take(*events: dict):
    items = [item_of(json.dumps(event, default=str).encode()) for event in events]
    return ingest(items=items, policy=Policy(source="shop", at=NOON))


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_nothing_is_announced():
    with pytest.raises(RuntimeError, match="needs a transaction"):
        announce(type="twin.updated", body={}, at=NOON)

    assert not OutboxMessage.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_cause_that_is_undone_leaves_no_message():
    with transaction.atomic():
        announce(type="twin.updated", body={"stays": False}, at=NOON)
        transaction.set_rollback(True)
    with transaction.atomic():
        identifier = announce(type="twin.updated", body={"stays": True}, at=NOON)

    (message,) = OutboxMessage.objects.all()
    assert (message.id, message.body) == (identifier, {"stays": True})
    assert (message.state, message.created_at) == ("waiting", NOON)


@pytest.mark.django_db
def test_unknown_types_and_bodies_that_are_not_thin_are_refused():
    with pytest.raises(ValueError, match="no message type twin"):
        announce(type="twin.admired", body={}, at=NOON)
    with pytest.raises(ValueError, match="at most 20000"):
        announce(type="twin.updated", body={"text": "x" * LARGEST_BYTES}, at=NOON)

    assert not OutboxMessage.objects.exists()
    assert len(TYPES) == 13


@pytest.mark.django_db
def test_messages_are_kept_for_thirty_days():
    old = announce(type="twin.updated", body={}, at=NOON - KEPT - timedelta(seconds=1))
    young = announce(type="twin.updated", body={}, at=NOON - KEPT)

    assert forget_messages(at=NOON) == 1

    assert [message.id for message in OutboxMessage.objects.all()] == [young] != [old]


@pytest.mark.django_db
def test_tidying_up_forgets_old_messages():
    announce(type="twin.updated", body={}, at=NOON)  # years ago by the clock

    assert tidy()["messages"] == 1
    assert tidy()["messages"] == 0


@pytest.mark.django_db
def test_a_message_that_names_a_person_is_found_counted_and_erased():
    mine, other = uuid4(), uuid4()
    announce(type="twin.updated", body={"twins": [str(mine), str(other)]}, at=NOON)
    announce(type="twin.updated", body={"twins": [str(other)]}, at=NOON)
    needles = Needles(mine, (), ())

    assert OUTBOX in registered_stores()
    assert OUTBOX.count(mine) == 1
    assert [finding.count for finding in OUTBOX.scan(needles)] == [1]
    assert OUTBOX.erase(mine, uuid4()) == 1
    assert OUTBOX.scan(needles) == []
    assert told() == [{"twins": [str(other)]}]


@pytest.mark.django_db
def test_a_batch_with_something_quarantined_is_told_once_by_reason():
    customer = register(somebody())

    take(
        sent(customer, data={"unit_price": "0"}),
        sent(customer, data={"unit_price": "0", "line_no": 2}),
        sent(customer, data={"line_no": 3}),
        sent(None, data={"line_no": 4}),
    )
    take(sent(customer, data={"unit_price": "0"}), sent(customer, data={"line_no": 3}))

    assert told("events.quarantined") == [
        {
            "source": "shop",
            "reasons": {"price_not_positive": 2, "no_customer": 1},
            "links": {"quarantine": "/api/v1/quarantine/?source=shop&status=waiting"},
        }
    ]


def test_an_erasure_is_told_step_by_step_and_names_nobody(transactional_db):
    pseudonym = register(somebody())
    with transaction.atomic():
        announce(type="twin.updated", body={"pseudonym": str(pseudonym)}, at=NOON)

    request = request_erasure(pseudonym=pseudonym, requested_by="test", at=NOON)
    done = run_erasure(request_id=request.id, at=NOON)

    assert done.status == "completed"
    changes = [body["status"] for body in told("request.status_changed")]
    assert sorted(changes) == ["completed", "in_progress", "pending"]
    (erased,) = told("twin.erased")
    assert erased == {
        "request_id": str(request.id),
        "pseudonym_sha256": done.pseudonym_sha256,
        "links": {"request": f"/api/v1/erasures/{request.id}/"},
    }
    assert str(pseudonym) not in json.dumps(told())
    assert told("twin.updated") == []


@pytest.mark.django_db
def test_an_activation_is_told_with_the_version_that_it_replaced(model_storage):
    first = stored_model()
    second = stored_model(seed=1, name="second")

    activate_model(model_id=first.id, at=NOON)
    activate_model(model_id=second.id, at=NOON, reason="test")

    assert sorted(told("model.activated"), key=lambda body: body["replaced"] or "") == [
        {
            "model_id": str(version.id),
            "name": version.name,
            "replaced": replaced,
            "links": {"model": f"/api/v1/models/{version.id}/"},
        }
        for version, replaced in ((first, None), (second, str(first.id)))
    ]


@pytest.mark.django_db
def test_the_end_of_a_simulation_is_told_once(model_storage):
    with_twins(active_version(), customers(3))
    good, bad = started(), started()
    WorkChunk.objects.filter(operation=bad.operation).update(attempt=5)

    run = finished(good)
    complete_simulation(run=run, at=now())
    assert finished(bad).operation.status == "failed"

    facts = {"campaign_id": str(good.campaign_id), "operation_id": str(good.operation_id)}
    link = {"simulation": f"/api/v1/simulations/{good.id}/"}
    assert told("simulation.succeeded") == [{"simulation_id": str(good.id), **facts, "links": link}]
    (failed,) = told("simulation.failed")
    assert (failed["simulation_id"], failed["code"]) == (str(bad.id), "chunk-never-finished")
