"""Reading customers: who is meant by an identity, who exists, what became of a request."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, QuerySet

from customers import vault
from customers.errors import (
    IdentitySuppressed,
    InvalidIdentity,
    UnknownCustomer,
    UnknownIdentity,
    UnknownRequest,
)
from customers.identities import IdentityKey
from customers.models import Customer, DataSubjectRequest, Identity, Suppression

OPEN = (DataSubjectRequest.Status.PENDING, DataSubjectRequest.Status.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the vault says about a set of identities; the keys are as they were asked."""

    known: dict[IdentityKey, UUID]
    suppressed: set[IdentityKey]
    unknown: list[IdentityKey]  # in the order asked, the invalid ones included
    invalid: set[IdentityKey]  # these cannot be registered


# Both tables in one round trip, with a plan that is kept: every event that comes in asks this.
RESOLVE = "SELECT digest, customer FROM customers_resolve(%(digests)s::bytea[])"


def resolve_identities(keys: Iterable[IdentityKey]) -> Resolution:
    """Who is meant by each identity; one query, however many there are."""
    asked = list(dict.fromkeys(keys))
    digests, invalid = _digests_of(asked)
    customers, suppressed = _resolved(digests.values())
    found = Resolution(known={}, suppressed=set(), unknown=[], invalid=invalid)
    for key in asked:
        digest = digests.get(key)
        if digest in suppressed:
            found.suppressed.add(key)
        elif digest in customers:
            found.known[key] = customers[digest]
        else:
            found.unknown.append(key)
    return found


def _resolved(digests: Collection[bytes]) -> tuple[dict[bytes, UUID], set[bytes]]:
    """Whose digests these are, and which of them are suppressed."""
    customers: dict[bytes, UUID] = {}
    suppressed: set[bytes] = set()
    if not digests:
        return customers, suppressed
    with connection.cursor() as cursor:
        cursor.execute(RESOLVE, {"digests": list(digests)})
        for digest, customer in cursor:
            if customer is None:
                suppressed.add(bytes(digest))
            else:
                customers[bytes(digest)] = customer
    return customers, suppressed


def lookup_identity(kind: str, value: str) -> UUID:
    """The pseudonym of the customer with this identity.

    Raises:
        InvalidIdentity: kind or value are malformed.
        IdentitySuppressed: the person was erased on request.
        UnknownIdentity: nobody has it.
    """
    digest = vault.identity_digest(kind, value)
    if suppressed_digests([digest]):
        raise IdentitySuppressed(kind=kind)
    pseudonym = customers_by_digest([digest]).get(digest)
    if pseudonym is None:
        raise UnknownIdentity(kind=kind)
    return pseudonym


def customer_by_pseudonym(pseudonym: UUID) -> Customer:
    """One customer.

    Raises:
        UnknownCustomer: there is none, or the customer is being erased.
    """
    customer = _existing().filter(pseudonym=pseudonym).first()
    if customer is None:
        raise UnknownCustomer(pseudonym=pseudonym)
    return customer


def existing_pseudonyms(pseudonyms: Iterable[UUID]) -> set[UUID]:
    """Those of the pseudonyms that belong to a customer who is not being erased."""
    asked = list(pseudonyms)
    if not asked:
        return set()
    return set(_existing().filter(pseudonym__in=asked).values_list("pseudonym", flat=True))


def suppressed_pseudonyms(pseudonyms: Iterable[UUID]) -> set[UUID]:
    """Those of the pseudonyms whose person was erased on request."""
    digests = {vault.pseudonym_digest(pseudonym): pseudonym for pseudonym in pseudonyms}
    return {digests[digest] for digest in suppressed_digests(digests)}


def countries_of(pseudonyms: Iterable[UUID]) -> dict[UUID, str]:
    """The country of each existing customer, empty where unknown."""
    existing = _existing().filter(pseudonym__in=list(pseudonyms))
    return dict(existing.values_list("pseudonym", "country"))


def customer_count() -> int:
    """How many customers there are, counted one by one."""
    return _existing().count()


def customers_by_digest(digests: Iterable[bytes]) -> dict[bytes, UUID]:
    """The pseudonym behind each identity digest that is known."""
    identities = Identity.objects.filter(digest__in=list(digests))
    return {bytes(digest): owner for digest, owner in identities.values_list("digest", "customer")}


def suppressed_digests(digests: Iterable[bytes]) -> set[bytes]:
    """Those of the digests that belong to somebody who was erased on request."""
    asked = list(digests)
    if not asked:
        return set()
    suppressed = Suppression.objects.filter(digest__in=asked)
    return {bytes(digest) for digest in suppressed.values_list("digest", flat=True)}


def request_by_id(request_id: UUID) -> DataSubjectRequest:
    """One data-subject request.

    Raises:
        UnknownRequest: there is none of that id.
    """
    request = DataSubjectRequest.objects.filter(id=request_id).first()
    if request is None:
        raise UnknownRequest(request_id=request_id)
    return request


def open_erasure_of(pseudonym: UUID) -> DataSubjectRequest | None:
    """The customer's erasure that has been asked for and is not completed."""
    erasures = DataSubjectRequest.objects.filter(right=DataSubjectRequest.Right.ERASURE)
    return erasures.filter(pseudonym=pseudonym, status__in=OPEN).first()


def due_erasures(at: datetime) -> list[UUID]:
    """Erasures that have work to do at ``at``, the oldest first."""
    erasures = DataSubjectRequest.objects.filter(
        Q(retry_at__isnull=True) | Q(retry_at__lte=at),
        right=DataSubjectRequest.Right.ERASURE,
        status__in=OPEN,
    )
    return list(erasures.order_by("requested_at").values_list("id", flat=True))


def open_requests_by_right() -> dict[str, int]:
    """How many requests of each right are not completed."""
    counts = dict.fromkeys(DataSubjectRequest.Right.values, 0)
    opened = DataSubjectRequest.objects.filter(status__in=OPEN).values_list("right")
    return counts | dict(opened.annotate(n=Count("id")))


def _digests_of(keys: Iterable[IdentityKey]) -> tuple[dict[IdentityKey, bytes], set[IdentityKey]]:
    digests: dict[IdentityKey, bytes] = {}
    invalid: set[IdentityKey] = set()
    for key in keys:
        try:
            digests[key] = vault.identity_digest(*key)
        except InvalidIdentity:
            invalid.add(key)
    return digests, invalid


def _existing() -> QuerySet[Customer]:
    return Customer.objects.exclude(status=Customer.Status.ERASED)
