"""A further identity of a customer: linked, never merged, never brought back."""

from uuid import uuid4

import pytest
from django.db import connection, transaction

from common.locks import LOCK_CLASS, slot_of
from customers import vault
from customers.errors import (
    IdentityOfAnother,
    IdentitySuppressed,
    InvalidIdentity,
    UnknownCustomer,
)
from customers.identities import Newcomer
from customers.models import Customer, Identity
from customers.selectors import existing_pseudonyms, lookup_identity, resolve_identities
from customers.services import (
    Link,
    erase_now,
    link_identities,
    link_identity,
    register_customers,
)
from tests.builders import NOON
from tests.customers.builders import register, somebody
from tests.customers.test_registration import run_at_once, suppress


def user() -> Newcomer:
    return Newcomer(kind="user_id", value=f"user-{uuid4().hex}", country="GB")


def device() -> tuple[str, str]:
    return "anonymous_id", f"device-{uuid4().hex}"


def link(person: Newcomer, other=None, *, renames: bool = False, may_register: bool = True) -> str:
    links = [Link(person=person, other=other, renames=renames)]
    return link_identities(links=links, at=NOON, may_register=may_register)[0]


def test_a_linked_identity_leads_to_the_customer_and_is_kept_encrypted(db):
    newcomer = somebody()
    pseudonym = register(newcomer)

    assert link_identity(pseudonym=pseudonym, kind="anonymous_id", value="abc-1") is True
    assert link_identity(pseudonym=pseudonym, kind="anonymous_id", value=" abc-1") is False

    assert lookup_identity("anonymous_id", "abc-1") == pseudonym
    assert set(vault.open_identities(pseudonym)) == {newcomer.key, ("anonymous_id", "abc-1")}
    row = Identity.objects.get(customer_id=pseudonym, kind="anonymous_id")
    assert b"abc-1" not in bytes(row.ciphertext)


def test_what_cannot_be_linked_is_refused_and_changes_nothing(db):
    pseudonym, another, erased = register(somebody()), somebody(), somebody()
    register(another)
    suppress(erased)

    for refusal, owner, key in (
        (IdentityOfAnother, pseudonym, another.key),
        (IdentitySuppressed, pseudonym, erased.key),
        (InvalidIdentity, pseudonym, ("email", " ")),
        (UnknownCustomer, uuid4(), ("crm_id", "1")),
    ):
        with pytest.raises(refusal):
            link_identity(pseudonym=owner, kind=key[0], value=key[1])
    assert Identity.objects.filter(customer_id=pseudonym).count() == 1


def test_nothing_is_linked_to_a_customer_who_is_being_erased(db):
    pseudonym = register(somebody())
    Customer.objects.filter(pseudonym=pseudonym).update(status="erased")

    with pytest.raises(UnknownCustomer):
        link_identity(pseudonym=pseudonym, kind="crm_id", value="17")


def test_two_unknown_identities_become_one_customer(db):
    person, phone = user(), device()

    assert link(person, phone) == "registered"

    assert lookup_identity(*person.key) == lookup_identity(*phone)
    assert Customer.objects.get().country == "GB"
    assert link(person, phone) == "known"


def test_a_person_takes_over_the_customer_of_their_device(db):
    person, phone = user(), device()
    pseudonym = register(Newcomer(kind=phone[0], value=phone[1]))

    assert link(person, phone) == "linked"
    assert lookup_identity(*person.key) == pseudonym


def test_a_device_is_added_to_a_known_person(db):
    person, phone = user(), device()
    pseudonym = register(person)

    assert link(person, phone) == "linked"
    assert lookup_identity(*phone) == pseudonym


def test_two_known_customers_are_told_apart_and_not_merged(db):
    person, phone = user(), device()
    register(person)
    register(Newcomer(kind=phone[0], value=phone[1]))

    assert link(person, phone) == "apart"
    assert lookup_identity(*person.key) != lookup_identity(*phone)


def test_two_people_who_share_a_device_stay_two_customers(db):
    first, second, phone = user(), user(), device()
    link(first, phone)

    assert link(second, phone) == "apart"

    assert lookup_identity(*phone) == lookup_identity(*first.key)
    assert lookup_identity(*second.key) != lookup_identity(*first.key)


def test_a_person_who_changes_names_stays_one_customer(db):
    old, new = user(), user()
    pseudonym = register(old)

    assert link(new, old.key, renames=True) == "linked"
    assert lookup_identity(*new.key) == pseudonym


def test_who_was_erased_is_neither_linked_nor_registered(db):
    person, phone = user(), device()
    link(person, phone)
    erase_now(pseudonym=lookup_identity(*person.key), requested_by="test", at=NOON)

    assert link(person, device()) == "suppressed"
    newcomer = user()
    assert link(newcomer, phone) == "registered"  # another person, who gets no suppressed identity

    with pytest.raises(IdentitySuppressed):
        lookup_identity(*phone)
    assert Identity.objects.count() == 1


def test_an_erasure_suppresses_linked_identities_too(db):
    person, phone = user(), device()
    link(person, phone)

    erase_now(pseudonym=lookup_identity(*person.key), requested_by="test", at=NOON)

    assert resolve_identities([person.key, phone]).suppressed == {person.key, phone}


def test_without_the_right_to_register_nobody_new_is_stored(db):
    person, known, phone = user(), user(), device()
    register(known)

    assert link(person, phone, may_register=False) == "unknown"
    assert link(known, phone, may_register=False) == "unknown"
    assert link(known, may_register=False) == "known"
    assert Identity.objects.count() == 1


def test_a_malformed_identity_is_told_and_the_rest_is_linked(db):
    person = user()
    links = [Link(person=Newcomer(kind="user_id", value=" ")), Link(person=person, other=("x", ""))]

    assert link_identities(links=links, at=NOON, may_register=True) == ["invalid", "registered"]
    assert existing_pseudonyms([lookup_identity(*person.key)])


def test_links_of_one_batch_follow_each_other(db):
    first, second, phone = user(), user(), device()
    links = [
        Link(person=first, other=phone),
        Link(person=second, other=first.key, renames=True),
        Link(person=second, other=phone),
        Link(person=first, other=first.key),
    ]

    ended = link_identities(links=links, at=NOON, may_register=True)

    assert ended == ["registered", "linked", "known", "known"]
    assert len({lookup_identity(*key) for key in (first.key, second.key, phone)}) == 1


def test_an_identity_linked_to_itself_is_registered_once(db):
    person = user()

    assert link(person, person.key, renames=True) == "registered"
    assert Identity.objects.count() == 1


def test_the_number_of_queries_does_not_grow_with_the_links(db, django_assert_max_num_queries):
    links = [Link(person=user(), other=device()) for _ in range(200)]

    with django_assert_max_num_queries(25):
        ended = link_identities(links=links, at=NOON, may_register=True)

    assert ended == ["registered"] * 200
    assert Customer.objects.count() == 200
    assert Identity.objects.count() == 400


@pytest.mark.django_db(transaction=True)
def test_links_made_at_once_end_with_one_customer_each(no_subscribers):
    links = [Link(person=user(), other=device()) for _ in range(30)]

    def make(part: list[Link]) -> None:
        link_identities(links=part, at=NOON, may_register=True)

    raised = run_at_once(lambda: make(links), lambda: make(links[::-1]), lambda: make(links[10:]))

    assert raised == []
    assert Customer.objects.count() == 30
    assert Identity.objects.count() == 60


@pytest.mark.django_db(transaction=True)
def test_a_customer_registered_while_the_link_waited_is_locked_against_an_erasure_too(
    no_subscribers, monkeypatch: pytest.MonkeyPatch
):
    from customers.services import link as module

    person, phone, original = user(), device(), module.lock_identities

    def register_meanwhile(digests) -> None:
        assert run_at_once(lambda: register(person)) == []
        original(digests)

    monkeypatch.setattr(module, "lock_identities", register_meanwhile)
    with transaction.atomic():
        assert link(person, phone) == "linked"
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s"
                " AND pid = pg_backend_pid()",
                [LOCK_CLASS],
            )
            held = {slot for (slot,) in cursor}

    assert slot_of(lookup_identity(*person.key)) in held


@pytest.mark.django_db(transaction=True)
def test_a_link_that_races_an_erasure_leaves_no_identity_behind(no_subscribers):
    people = [user() for _ in range(15)]
    devices = [device() for _ in people]
    pseudonyms = register_customers(newcomers=people, at=NOON)

    def link_all() -> None:
        for person, phone in zip(people, devices, strict=True):
            link(person, phone)

    def erase_all() -> None:
        for pseudonym in pseudonyms.values():
            erase_now(pseudonym=pseudonym, requested_by="test", at=NOON)

    assert run_at_once(link_all, erase_all) == []

    with transaction.atomic():
        answer = resolve_identities([*(p.key for p in people), *devices])
    assert {p.key for p in people} <= answer.suppressed
    assert answer.known == {}
    assert not Identity.objects.exists()
