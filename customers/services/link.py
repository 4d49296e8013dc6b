"""Linking: a customer who is known by one identity is known by a further one from now on.

Nobody is merged here. Where two identities belong to two customers already, they stay apart, and
the caller is told.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db import transaction

from common.locks import lock_streams
from customers import vault
from customers.errors import IdentityOfAnother, IdentitySuppressed, InvalidIdentity
from customers.identities import IdentityKey, Newcomer
from customers.locks import lock_identities
from customers.models import Identity, SubjectKey
from customers.selectors import customer_by_pseudonym, customers_by_digest, suppressed_digests
from customers.services.register import register_customers

Linked = Literal["registered", "linked", "known", "apart", "suppressed", "unknown", "invalid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """``person`` and ``other`` are told to be the same customer.

    A customer gets no second identity of the person's kind, because two people may share a device;
    unless ``renames``: then somebody says that the person has changed names.
    """

    person: Newcomer
    other: IdentityKey | None = None
    renames: bool = False

    @property
    def keys(self) -> list[IdentityKey]:
        return [self.person.key] if self.other is None else [self.person.key, self.other]


def link_identity(*, pseudonym: UUID, kind: str, value: str) -> bool:
    """The customer has this identity too; says whether it is new.

    Raises:
        InvalidIdentity: kind or value are malformed.
        UnknownCustomer: there is none, or the customer is being erased.
        IdentitySuppressed: the person with this identity was erased on request.
        IdentityOfAnother: somebody else has it.
    """
    digest = vault.identity_digest(kind, value)
    with transaction.atomic():
        lock_streams([pseudonym])  # an erasure holds it while it reads the identities
        lock_identities([digest])
        customer_by_pseudonym(pseudonym)
        if suppressed_digests([digest]):
            raise IdentitySuppressed(kind=kind)
        owner = customers_by_digest([digest]).get(digest)
        if owner is not None and owner != pseudonym:
            raise IdentityOfAnother(kind=kind)
        if owner is None:
            _store({digest: (pseudonym, (kind, value))})
    return owner is None


@transaction.atomic
def link_identities(*, links: Sequence[Link], at: datetime, may_register: bool) -> list[Linked]:
    """Each link is made, as far as it can be, and says how it ended, in the order given.

    ``registered``: the person is a new customer, with the other identity where it was free.
    ``linked``: one of the two was known, the other is new to that customer. ``known``: nothing was
    to be done. ``apart``: they are two customers and stay two; a person who was not known is
    registered alone. ``suppressed``: the person was erased on request. ``unknown``: neither may be
    stored, because ``may_register`` is false. ``invalid``: the person's identity is malformed.
    """
    digests = _digests({key for link in links for key in link.keys})
    lock_streams(set(customers_by_digest(digests.values()).values()))
    lock_identities(digests.values())
    # Read again: what another transaction registered or suppressed is committed by now.
    owners = customers_by_digest(digests.values())
    lock_streams(set(owners.values()))
    plan = _Plan(
        digests=digests,
        owners=dict(owners),
        suppressed=suppressed_digests(digests.values()),
        named=_named(owners.values(), {link.person.kind for link in links}),
        may_register=may_register,
    )
    ended = [plan.decide(link) for link in links]
    registered = register_customers(newcomers=list(plan.newcomers.values()), at=at)
    fresh = {digest: registered[person.key] for digest, person in plan.newcomers.items()}
    _store({d: (fresh.get(o, o), key) for d, (o, key) in plan.further.items()})  # type: ignore[arg-type]
    return ended


Owner = UUID | bytes  # a customer, or the digest of a person who is about to become one


@dataclass(slots=True)
class _Plan:
    """What the links decided so far will do; nothing is written while it is made."""

    digests: Mapping[IdentityKey, bytes]
    owners: dict[bytes, Owner]
    suppressed: set[bytes]
    named: set[tuple[Owner, str]]  # customers who have an identity of this kind
    may_register: bool
    newcomers: dict[bytes, Newcomer] = field(default_factory=dict)
    further: dict[bytes, tuple[Owner, IdentityKey]] = field(default_factory=dict)

    def decide(self, link: Link) -> Linked:
        person = self.digests.get(link.person.key)
        if person is None:
            return "invalid"
        if person in self.suppressed:
            return "suppressed"
        other = self._usable(link.other, person)
        mine, theirs = self.owners.get(person), self.owners.get(other) if other else None
        if mine is None and theirs is not None:
            return self._joined(link, person, theirs)
        if mine is None:
            return self._registered(link, person, other)
        if other is None or mine == theirs:
            return "known"
        return "apart" if theirs is not None else self._further(other, link.other, mine)

    def _usable(self, key: IdentityKey | None, person: bytes) -> bytes | None:
        digest = self.digests.get(key) if key else None
        return None if digest == person or digest in self.suppressed else digest

    def _joined(self, link: Link, person: bytes, theirs: Owner) -> Linked:
        """The person gets the customer of the other identity, unless that is somebody else."""
        if (theirs, link.person.kind) in self.named and not link.renames:
            ended = self._registered(link, person, None)
            return "apart" if ended == "registered" else ended
        return self._further(person, link.person.key, theirs)

    def _registered(self, link: Link, person: bytes, other: bytes | None) -> Linked:
        if not self.may_register:
            return "unknown"
        self.newcomers[person] = link.person
        self.owners[person] = person
        self.named.add((person, link.person.kind))
        if other is not None:
            self._further(other, link.other, person)
        return "registered"

    def _further(self, digest: bytes, key: IdentityKey | None, owner: Owner) -> Linked:
        if not self.may_register:
            return "unknown"
        assert key is not None  # noqa: S101 - it has a digest
        self.further[digest] = owner, key
        self.owners[digest] = owner
        self.named.add((owner, key[0]))
        return "linked"


def _digests(keys: Iterable[IdentityKey]) -> dict[IdentityKey, bytes]:
    """Digests of the identities; malformed ones have none."""
    digests: dict[IdentityKey, bytes] = {}
    for key in keys:
        try:
            digests[key] = vault.identity_digest(*key)
        except InvalidIdentity:
            continue
    return digests


def _named(customers: Iterable[UUID], kinds: set[str]) -> set[tuple[Owner, str]]:
    rows = Identity.objects.filter(customer_id__in=set(customers), kind__in=kinds)
    return set(rows.values_list("customer_id", "kind"))


def _store(further: Mapping[bytes, tuple[UUID, IdentityKey]]) -> None:
    """The identities are sealed under the keys of their customers; the caller holds the locks."""
    rows = SubjectKey.objects.filter(customer_id__in={owner for owner, _ in further.values()})
    keys = {row.customer_id: vault.unwrapped_key(row, row.customer_id) for row in rows}
    identities = []
    for digest, (owner, (kind, value)) in further.items():
        sealed = vault.seal_identity(keys[owner], owner, kind, value)
        identities.append(
            Identity(
                customer_id=owner,
                kind=kind,
                digest=digest,
                nonce=sealed.nonce,
                ciphertext=sealed.ciphertext,
            )
        )
    Identity.objects.bulk_create(identities, batch_size=1_000)
