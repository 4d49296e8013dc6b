"""The steps of an erasure: each runs in a transaction of its own and may run again."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from common import canonical_json
from customers import vault
from customers.erasure import Store, registered_stores
from customers.errors import VaultError
from customers.identities import IdentityKey
from customers.lifecycle import announce_closing
from customers.locks import lock_identities
from customers.models import Customer, DataSubjectRequest, Identity, SubjectKey, Suppression

Facts = dict[str, Any]
ERASE = "erase "


@dataclass(frozen=True, slots=True)
class Step:
    """``perform`` does it and returns what the receipt will say about it.

    A step that repeats is done once more after a scan that still found something.
    """

    name: str
    perform: Callable[[DataSubjectRequest, UUID, datetime], Facts]
    repeats: bool = False


def all_steps() -> list[Step]:
    """Every step before the scan, in order. Suppressing comes first: nothing new may come in."""
    emptied = [_emptying(store) for store in registered_stores()]
    return [
        Step("suppress", _suppress),
        Step("close stream", _close_stream),
        Step("destroy identities", _destroy_identities),
        *emptied,
        Step("delete customer", _delete_customer, repeats=True),
    ]


def sealed_identities_of(request: DataSubjectRequest) -> tuple[IdentityKey, ...]:
    """The identities that the scan looks for; empty once the request is completed."""
    if request.sealed_identities is None:
        return ()
    identities = json.loads(vault.open_body(bytes(request.sealed_identities)))
    return tuple((kind, value) for kind, value in identities)


def _suppress(request: DataSubjectRequest, pseudonym: UUID, at: datetime) -> Facts:
    identities = Identity.objects.filter(customer_id=pseudonym)
    digests = [(kind, bytes(digest)) for kind, digest in identities.values_list("kind", "digest")]
    digests.append(("pseudonym", vault.pseudonym_digest(pseudonym)))
    # Against a registration of the same identity, which reads the suppressions under this lock.
    lock_identities(digest for _, digest in digests)
    Suppression.objects.bulk_create(
        [Suppression(kind=kind, digest=digest, request=request) for kind, digest in digests],
        ignore_conflicts=True,
    )
    Customer.objects.filter(pseudonym=pseudonym).update(status=Customer.Status.ERASED)
    return {"identities": len(digests) - 1, "readable": _seal_for_scan(request, pseudonym)}


def _seal_for_scan(request: DataSubjectRequest, pseudonym: UUID) -> int:
    """The plain values are kept, sealed, for the scan; returns how many could be read.

    An identity that no longer opens is no reason not to erase it.
    """
    try:
        identities = list(vault.open_identities(pseudonym))
        request.sealed_identities = vault.seal_body(canonical_json.dumps(identities))
    except VaultError:
        return 0
    return len(identities)


def _close_stream(request: DataSubjectRequest, pseudonym: UUID, at: datetime) -> Facts:
    announce_closing(pseudonym, at)
    return {}


def _destroy_identities(request: DataSubjectRequest, pseudonym: UUID, at: datetime) -> Facts:
    identities = Identity.objects.filter(customer_id=pseudonym).delete()[0]
    keys = SubjectKey.objects.filter(customer_id=pseudonym).delete()[0]
    return {"identities": identities, "keys": keys}


def _delete_customer(request: DataSubjectRequest, pseudonym: UUID, at: datetime) -> Facts:
    return {"deleted": Customer.objects.filter(pseudonym=pseudonym).delete()[0]}


def _emptying(store: Store) -> Step:
    def empty(request: DataSubjectRequest, pseudonym: UUID, at: datetime) -> Facts:
        found = store.count(pseudonym)
        return {"found": found, "deleted": store.erase(pseudonym, request.id)}

    return Step(ERASE + store.name, empty, repeats=True)
