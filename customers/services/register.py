"""Registering customers: one at a time or thousands, each identity once."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from django.db import transaction

from common.locks import lock_streams
from customers import vault
from customers.errors import IdentitySuppressed
from customers.identities import IdentityKey, Newcomer
from customers.lifecycle import Registered, announce_registered
from customers.locks import lock_identities
from customers.models import Customer, Identity, SubjectKey
from customers.selectors import customers_by_digest, suppressed_digests

BATCH = 1_000
Fresh = dict[bytes, tuple[UUID, Newcomer]]


@transaction.atomic
def register_customers(*, newcomers: Sequence[Newcomer], at: datetime) -> dict[IdentityKey, UUID]:
    """Each newcomer is a customer, whether before or from now on; returns all their pseudonyms.

    Those who were erased on request are left out of the answer and not registered. Whoever else
    registers the same identities at the same time gets the same customers.

    Raises:
        InvalidIdentity: one of the identities is malformed; nobody was registered.
    """
    digests = {newcomer.key: vault.identity_digest(*newcomer.key) for newcomer in newcomers}
    lock_identities(digests.values())
    # Read after the locks: what another transaction registered or suppressed is committed by now.
    suppressed = suppressed_digests(digests.values())
    owners = customers_by_digest(digests.values())
    fresh: Fresh = {}
    for newcomer in newcomers:
        digest = digests[newcomer.key]
        if digest not in suppressed and digest not in owners:
            fresh.setdefault(digest, (uuid4(), newcomer))
    _store(fresh, at)
    owners |= {digest: pseudonym for digest, (pseudonym, _) in fresh.items()}
    return {key: owners[digest] for key, digest in digests.items() if digest not in suppressed}


def register_customer(*, newcomer: Newcomer, at: datetime) -> tuple[Customer, bool]:
    """One customer, and whether the customer is new.

    Raises:
        InvalidIdentity: the identity is malformed.
        IdentitySuppressed: the person was erased on request.
    """
    with transaction.atomic():
        lock_identities([vault.identity_digest(*newcomer.key)])
        known = customers_by_digest([vault.identity_digest(*newcomer.key)])
        pseudonym = register_customers(newcomers=[newcomer], at=at).get(newcomer.key)
        if pseudonym is None:
            raise IdentitySuppressed(kind=newcomer.kind)
        return Customer.objects.get(pseudonym=pseudonym), not known


def _store(fresh: Fresh, at: datetime) -> None:
    if not fresh:
        return
    people = [(pseudonym, newcomer.country) for pseudonym, newcomer in fresh.values()]
    # Before the first write: the subscribers below append events to these streams.
    lock_streams(pseudonym for pseudonym, _ in people)
    Customer.objects.bulk_create(
        (Customer(pseudonym=p, country=country, registered_at=at) for p, country in people),
        batch_size=BATCH,
    )
    keys, identities = _sealed(fresh)
    SubjectKey.objects.bulk_create(keys, batch_size=BATCH)
    Identity.objects.bulk_create(identities, batch_size=BATCH)
    announce_registered([Registered(p, country) for p, country in people], at)


def _sealed(fresh: Fresh) -> tuple[Iterable[SubjectKey], Iterable[Identity]]:
    keys, identities = [], []
    for digest, (pseudonym, newcomer) in fresh.items():
        key = vault.new_subject_key()
        keys.append(vault.wrapped_key(pseudonym, key))
        sealed = vault.seal_identity(key, pseudonym, newcomer.kind, newcomer.value)
        identities.append(
            Identity(
                customer_id=pseudonym,
                kind=newcomer.kind,
                digest=digest,
                nonce=sealed.nonce,
                ciphertext=sealed.ciphertext,
            )
        )
    return keys, identities
