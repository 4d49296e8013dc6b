"""A request that is sent again takes effect once."""

import itertools
from datetime import timedelta

import pytest

from common.api.idempotency import forget_answers
from common.clock import now
from common.models import IdempotencyRecord, Operation
from common.operations import create_operation, expire_operations
from customers.identities import Newcomer
from customers.models import Customer, DataSubjectRequest
from customers.services import register_customer
from tests.builders import DAY, NOON
from tests.conftest import Api

pytestmark = pytest.mark.django_db
NUMBERS = itertools.count()


@pytest.fixture
def customer() -> Customer:
    newcomer = Newcomer(kind="crm_id", value=f"again-{next(NUMBERS)}")
    return register_customer(newcomer=newcomer, at=NOON)[0]


def erase(client, customer, key=None):
    headers = {"Idempotency-Key": key} if key else {}
    body = {"pseudonym": str(customer.pseudonym)}
    return client.post("/api/v1/erasures/", body, headers=headers)


def test_the_second_request_with_a_key_gets_the_answer_of_the_first(api: Api, customer: Customer):
    client = api("requests:manage")

    first = erase(client, customer, "0123456789abcdef")
    again = erase(client, customer, "0123456789abcdef")

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again["Location"] == first["Location"]
    assert again["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert DataSubjectRequest.objects.count() == 1


def test_quotes_around_a_key_do_not_matter(api: Api, customer: Customer):
    client = api("requests:manage")

    first = erase(client, customer, "0123456789abcdef")
    again = erase(client, customer, '"0123456789abcdef"')

    assert again.json() == first.json()


def test_a_key_is_refused_for_another_body(api: Api, customer: Customer):
    client = api("requests:manage")
    erase(client, customer, "0123456789abcdef")
    other = register_customer(newcomer=Newcomer(kind="crm_id", value="other"), at=NOON)[0]

    answer = erase(client, other, "0123456789abcdef")

    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/idempotency-key-reused"


def test_a_request_that_needs_a_key_is_refused_without_one(api: Api, customer: Customer):
    answer = erase(api("requests:manage"), customer)

    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/idempotency-key-missing"
    assert DataSubjectRequest.objects.count() == 0


@pytest.mark.parametrize("key", ["short", "x" * 129])
def test_a_key_of_a_wrong_length_is_refused(api: Api, customer: Customer, key: str):
    assert erase(api("requests:manage"), customer, key).status_code == 400


def test_a_failed_request_may_be_tried_again_with_its_key(api: Api, customer: Customer):
    client = api("requests:manage")
    wrong = client.post("/api/v1/erasures/", {}, headers={"Idempotency-Key": "0123456789abcdef"})

    answer = erase(client, customer, "0123456789abcdef")

    assert (wrong.status_code, answer.status_code) == (400, 202)


def test_the_keys_of_two_clients_do_not_meet(api: Api, customer: Customer):
    other = register_customer(newcomer=Newcomer(kind="crm_id", value="other"), at=NOON)[0]
    erase(api("requests:manage"), customer, "0123456789abcdef")

    answer = erase(api("requests:manage", "audit:read"), other, "0123456789abcdef")

    assert answer.status_code == 202
    assert "Idempotency-Replayed" not in answer


def test_answers_are_forgotten_after_seven_days(api: Api, customer: Customer):
    erase(api("requests:manage"), customer, "0123456789abcdef")

    assert forget_answers(at=now() + timedelta(days=6)) == 0
    assert forget_answers(at=now() + timedelta(days=8)) == 1
    assert IdempotencyRecord.objects.count() == 0


def test_work_that_never_ends_expires():
    operation = create_operation(
        kind="test", unit="rows", total=1, chunks=1, requested_by="me", payload={}, at=NOON
    )

    assert expire_operations(at=NOON + 6 * DAY) == 0
    assert expire_operations(at=NOON + 8 * DAY) == 1
    operation.refresh_from_db()
    assert operation.status == Operation.Status.EXPIRED
