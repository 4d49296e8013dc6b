import threading
import time
from collections.abc import Sequence
from datetime import datetime
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, connections, transaction

from customers import lifecycle, vault
from customers.errors import IdentitySuppressed, InvalidIdentity, UnknownCustomer, UnknownIdentity
from customers.identities import Newcomer
from customers.lifecycle import Registered
from customers.models import Customer, DataSubjectRequest, Identity, SubjectKey, Suppression
from customers.selectors import (
    countries_of,
    customer_by_pseudonym,
    existing_pseudonyms,
    lookup_identity,
    resolve_identities,
)
from customers.services import register_customer, register_customers
from tests.builders import DAY, NOON
from tests.customers.builders import register, somebody


def suppress(newcomer: Newcomer) -> None:
    request = DataSubjectRequest.objects.create(
        pseudonym=uuid4(), right="erasure", requested_at=NOON, due_at=NOON + 30 * DAY
    )
    digest = vault.identity_digest(*newcomer.key)
    Suppression.objects.create(kind=newcomer.kind, digest=digest, request=request)


def run_at_once(*jobs) -> list[BaseException]:
    """Each job runs in a thread with a connection of its own; returns what they raised."""
    gate, raised = threading.Barrier(len(jobs)), []

    def run(job) -> None:
        try:
            gate.wait(timeout=30)
            job()
        except BaseException as error:
            raised.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return raised


def test_a_registered_customer_is_found_by_identity_and_kept_encrypted(db):
    newcomer = somebody()
    pseudonym = register(newcomer)

    assert lookup_identity(*newcomer.key) == pseudonym
    assert customer_by_pseudonym(pseudonym).country == "GB"
    assert countries_of([pseudonym, uuid4()]) == {pseudonym: "GB"}
    row = Identity.objects.get(customer_id=pseudonym)
    assert newcomer.value.encode() not in bytes(row.ciphertext)
    assert list(vault.open_identities(pseudonym)) == [newcomer.key]


def test_registering_the_same_identity_again_gives_the_same_customer(db):
    newcomer = somebody()
    other_spelling = Newcomer(kind="email", value=f" {newcomer.value.upper()}", country="FR")
    first, is_new = register_customer(newcomer=newcomer, at=NOON)
    again, is_new_again = register_customer(newcomer=other_spelling, at=NOON + DAY)
    assert (is_new, is_new_again) == (True, False)
    assert again == first
    assert again.registered_at == NOON
    assert again.country == "GB"


def test_one_identity_in_two_spellings_within_a_batch_is_one_customer(db):
    newcomer = somebody()
    twice = Newcomer(kind="email", value=newcomer.value.upper())
    answer = register_customers(newcomers=[newcomer, twice, newcomer], at=NOON)
    assert answer[newcomer.key] == answer[twice.key]
    assert Customer.objects.filter(pseudonym__in=answer.values()).count() == 1


def test_five_thousand_customers_are_registered_within_a_few_seconds(db):
    newcomers = [Newcomer(kind="crm_id", value=str(n), country="DE") for n in range(5_000)]
    start = time.perf_counter()
    answer = register_customers(newcomers=newcomers, at=NOON)
    seconds = time.perf_counter() - start
    assert len(set(answer.values())) == 5_000
    assert SubjectKey.objects.filter(customer_id__in=answer.values()).count() == 5_000
    assert seconds < 10


def test_the_number_of_queries_does_not_grow_with_the_batch(db, django_assert_num_queries):
    newcomers = [somebody() for _ in range(40)]
    answer = register_customers(newcomers=newcomers[:20], at=NOON)
    with django_assert_num_queries(1):
        resolution = resolve_identities([newcomer.key for newcomer in newcomers])
    assert resolution.known == answer
    assert resolution.unknown == [newcomer.key for newcomer in newcomers[20:]]


def test_a_resolution_tells_known_suppressed_unknown_and_invalid_apart(db):
    known, erased, unknown = somebody(), somebody(), somebody()
    pseudonym = register(known)
    suppress(erased)
    keys = [known.key, erased.key, unknown.key, ("email", "")]
    resolution = resolve_identities(iter(keys))
    assert resolution.known == {known.key: pseudonym}
    assert resolution.suppressed == {erased.key}
    assert resolution.unknown == [unknown.key, ("email", "")]
    assert resolution.invalid == {("email", "")}


def test_a_suppressed_identity_is_neither_registered_nor_looked_up(db):
    erased, other = somebody(), somebody()
    suppress(erased)
    answer = register_customers(newcomers=[erased, other], at=NOON)
    assert set(answer) == {other.key}
    for refused in (
        lambda: register_customer(newcomer=erased, at=NOON),
        lambda: lookup_identity(*erased.key),
    ):
        with pytest.raises(IdentitySuppressed) as caught:
            refused()
        assert erased.value not in str(caught.value)


def test_an_invalid_identity_registers_nobody_of_its_batch(db):
    good = somebody()
    with pytest.raises(InvalidIdentity):
        register_customers(newcomers=[good, Newcomer(kind="email", value=" ")], at=NOON)
    with pytest.raises(UnknownIdentity):
        lookup_identity(*good.key)


def test_an_unknown_customer_is_said_to_be_unknown(db):
    with pytest.raises(UnknownCustomer, match="look the pseudonym up"):
        customer_by_pseudonym(uuid4())


def test_a_customer_being_erased_no_longer_exists_for_others(db):
    pseudonym = register(somebody())
    assert existing_pseudonyms([pseudonym]) == {pseudonym}
    Customer.objects.filter(pseudonym=pseudonym).update(status="erased")
    assert existing_pseudonyms([pseudonym]) == set()
    with pytest.raises(UnknownCustomer):
        customer_by_pseudonym(pseudonym)


def test_subscribers_hear_of_new_customers_only_and_their_failure_undoes_the_registration(
    db, monkeypatch: pytest.MonkeyPatch
):
    heard: list[Registered] = []

    def hear(newcomers: Sequence[Registered], at: datetime) -> None:
        assert connection.in_atomic_block
        assert at == NOON
        heard.extend(newcomers)

    monkeypatch.setattr(lifecycle, "_on_registered", [hear])
    newcomer, another = somebody(), somebody(country="FR")
    pseudonym = register(newcomer)
    register(newcomer)
    assert heard == [Registered(pseudonym, "GB")]

    def fail(newcomers: Sequence[Registered], at: datetime) -> None:
        raise RuntimeError("the event store is full")

    lifecycle.on_registered(fail)
    with pytest.raises(RuntimeError):
        register(another)
    with pytest.raises(UnknownIdentity):
        lookup_identity(*another.key)


@pytest.mark.django_db(transaction=True)
def test_locks_are_taken_before_the_transaction_has_an_id(
    no_subscribers, monkeypatch: pytest.MonkeyPatch
):
    """A transaction id drawn before the lock would let the feed show versions out of order."""
    from customers.services import register as module

    original, ids = module.lock_streams, []

    def lock_and_look(pseudonyms) -> None:
        original(pseudonyms)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id_if_assigned()::text")
            ids.append(cursor.fetchone()[0])

    monkeypatch.setattr(module, "lock_streams", lock_and_look)
    register(somebody())
    assert ids == [None]


@pytest.mark.django_db(transaction=True)
def test_threads_that_register_the_same_people_at_once_end_with_one_customer_each(no_subscribers):
    people = [somebody() for _ in range(60)]
    answers: list[dict] = []

    def register_all(newcomers: list[Newcomer]) -> None:
        answers.append(register_customers(newcomers=newcomers, at=NOON))

    raised = run_at_once(
        lambda: register_all(people),
        lambda: register_all(people[::-1]),
        lambda: register_all(people[30:] + people[:30]),
    )
    assert raised == []
    assert answers[0] == answers[1] == answers[2]
    assert Customer.objects.count() == Identity.objects.count() == len(people)


@pytest.mark.django_db(transaction=True)
def test_a_registration_that_waited_for_a_suppression_obeys_it(no_subscribers):
    newcomer = somebody()
    inside, answers = threading.Event(), []

    def suppress_slowly() -> None:
        from customers.locks import lock_identities

        with transaction.atomic():
            lock_identities([vault.identity_digest(*newcomer.key)])
            inside.set()
            suppress(newcomer)
            wait_until_somebody_waits_for_a_lock()

    def register_meanwhile() -> None:
        inside.wait(timeout=30)
        answers.append(register_customers(newcomers=[newcomer], at=NOON))

    assert run_at_once(suppress_slowly, register_meanwhile) == []
    assert answers == [{}]


def wait_until_somebody_waits_for_a_lock() -> None:
    """Returns when another backend stands in the queue for an advisory lock; fails after 30 s."""
    end = time.monotonic() + 30
    with connection.cursor() as cursor:
        while time.monotonic() < end:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype='advisory' AND NOT granted"
            )
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waits: the registration takes no lock on the identity")


def test_models_and_migrations_agree(db):
    call_command("makemigrations", "customers", check=True, dry_run=True)
