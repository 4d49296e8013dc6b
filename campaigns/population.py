"""The people and twins that campaigns read: who may be simulated, and what the twins say."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Max

from campaigns.criteria import TwinHead
from common.clock import truncated
from customers.models import Customer
from ml.timing import TimeToOrder
from twins.models import ModelVersion, Twin
from twins.selectors import active_model

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CENTS = Decimal("0.01")
BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a customer is, and whether the customer's data may be used."""

    status: str
    country: str


def standings(pseudonyms: Iterable[UUID] | None = None) -> dict[UUID, Standing]:
    """Every customer, or those given, by pseudonym; who is missing is unknown or erased."""
    customers = Customer.objects.all()
    if pseudonyms is not None:
        customers = customers.filter(pseudonym__in=list(pseudonyms))
    rows = customers.values_list("pseudonym", "status", "country")
    return {pseudonym: Standing(status, country) for pseudonym, status, country in rows}


def active_standings_locked(pseudonyms: Iterable[UUID]) -> dict[UUID, Standing]:
    """Those customers whose data may be used, their rows locked until the transaction ends.

    An erasure begins with a change of that row. It therefore either came first, and the customer is
    not among these, or it waits and then finds what the caller has written about the customer.
    """
    active = Customer.objects.filter(
        pseudonym__in=list(pseudonyms), status=Customer.Status.ACTIVE
    ).order_by("pseudonym")  # one order for everybody, so that two callers never wait in a circle
    locked = active.select_for_update(no_key=True)
    return {customer.pseudonym: Standing(customer.status, customer.country) for customer in locked}


def active_version() -> ModelVersion:
    """The active model version.

    Raises:
        NoActiveModel: there is none.
    """
    return active_model()


def moment_of(version: ModelVersion, as_of: datetime | None) -> datetime:
    """``as_of``, or where it is left out the newest moment that any twin of the version has seen.

    Events of the past may have been imported years later, so the clock on the wall says nothing
    about what customers do "next"; the newest event does. Twins that have seen an event after
    ``as_of`` cannot be used as they were then: callers leave them out and count them.
    """
    if as_of is not None:
        return truncated(as_of)
    newest = Twin.objects.filter(model_version=version).aggregate(at=Max("clock_at"))["at"]
    return newest or version.cut_off


def heads(version: ModelVersion, pseudonyms: Iterable[UUID] | None = None) -> Iterator[TwinHead]:
    """What a filter reads of every twin of a version, or of those given."""
    rows = Twin.objects.filter(model_version=version)
    if pseudonyms is not None:
        rows = rows.filter(pseudonym__in=list(pseudonyms))
    values = rows.values_list("pseudonym", "clock_at", "memory", "forecast__time_to_order")
    for pseudonym, clock_at, memory, time in values.iterator(chunk_size=BATCH):
        last_ms = memory["last_order_ms"]
        yield TwinHead(
            pseudonym=pseudonym,
            clock_at=clock_at,
            orders=memory["orders"],
            last_order_at=EPOCH + timedelta(milliseconds=last_ms) if last_ms else None,
            spend=Decimal(memory["spend_cents"]) * CENTS,
            time_to_order=TimeToOrder.of(time),
        )


def twins_of(version: ModelVersion, pseudonyms: Iterable[UUID]) -> list[Twin]:
    """The twins of these customers as they are stored, in ascending order; some may have none."""
    rows = Twin.objects.filter(model_version=version, pseudonym__in=list(pseudonyms))
    return list(rows.order_by("pseudonym"))


def version_by_id(version_id: UUID) -> ModelVersion:
    """One model version that a run refers to."""
    return ModelVersion.objects.get(id=version_id)
