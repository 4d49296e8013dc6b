import threading

import pytest
from django.db import transaction

from customers import services
from customers.models import DataSubjectRequest
from customers.receipts import verify_receipt
from tests.builders import NOON
from tests.customers.builders import register, somebody
from tests.customers.test_registration import run_at_once, wait_until_somebody_waits_for_a_lock

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("model_storage", "no_subscribers"),
]


def test_two_workers_on_one_erasure_do_each_step_once():
    pseudonym = register(somebody())
    request = services.begin_erasure(pseudonym=pseudonym, requested_by="a test", at=NOON)

    def run() -> None:
        services.run_erasure(request_id=request.id, at=NOON)

    assert run_at_once(run, run, run) == []
    request.refresh_from_db()
    assert request.status == "completed"
    names = [step["name"] for step in request.steps]
    assert len(names) == len(set(names))
    assert request.receipt["body"]["destroyed"] == {"identities": 1, "keys": 1}
    assert verify_receipt(request.receipt)


def test_two_requests_at_once_for_one_customer_open_one():
    pseudonym = register(somebody())

    def ask() -> None:
        services.begin_erasure(pseudonym=pseudonym, requested_by="a test", at=NOON)

    raised = run_at_once(ask, ask, ask)
    assert [error.code for error in raised] == ["request-already-open"] * 2
    assert DataSubjectRequest.objects.count() == 1


def test_a_registration_during_the_erasure_of_the_same_person_brings_nobody_back():
    newcomer = somebody()
    pseudonym = register(newcomer)
    answers: list[dict] = []

    def erase() -> None:
        services.erase_now(pseudonym=pseudonym, requested_by="a test", at=NOON)

    def register_again() -> None:
        answers.append(services.register_customers(newcomers=[newcomer], at=NOON))

    assert run_at_once(erase, register_again, register_again) == []
    assert all(answer in ({}, {newcomer.key: pseudonym}) for answer in answers)
    assert services.register_customers(newcomers=[newcomer], at=NOON) == {}
    request = DataSubjectRequest.objects.get()
    assert services.verify_erasure(request_id=request.id, pseudonym=pseudonym) == []


def test_an_erasure_waits_for_whoever_registers_the_same_identity():
    newcomer = somebody()
    pseudonym = register(newcomer)
    inside = threading.Event()

    def register_slowly() -> None:
        with transaction.atomic():
            services.register_customers(newcomers=[newcomer], at=NOON)
            inside.set()
            wait_until_somebody_waits_for_a_lock()

    def erase() -> None:
        inside.wait(timeout=30)
        services.erase_now(pseudonym=pseudonym, requested_by="a test", at=NOON)

    assert run_at_once(register_slowly, erase) == []
    assert services.register_customers(newcomers=[newcomer], at=NOON) == {}
