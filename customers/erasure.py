"""The registry of erasure: every app names its stores, and how to count, erase and scan them.

``customers`` erases what it does not know: it calls the stores in the order of their registration,
then searches the whole system on its own (``customers.scan``) for what a store may have missed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Model


@dataclass(frozen=True, slots=True)
class Needles:
    """What must not be found anywhere after an erasure."""

    pseudonym: UUID
    values: tuple[str, ...]  # plain identity values, normalised
    digests: tuple[bytes, ...]  # their keyed digests


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about an erased person is still there; says where, never what."""

    place: (
        str  # "events_event.data", "redis:KEYS of db 0", "models:weights.safetensors", store name
    )
    what: str  # "pseudonym", "identity value", "digest"
    count: int


@dataclass(frozen=True, slots=True)
class Store:
    """One place in which an app keeps data about people.

    ``erase`` is called inside a transaction while the request is in progress, may be called again
    after a crash, and returns how many rows, keys or files it removed.
    """

    name: str
    count: Callable[[UUID], int]
    erase: Callable[[UUID, UUID], int]  # pseudonym, request id
    scan: Callable[[Needles], Sequence[Finding]]


_stores: dict[str, Store] = {}


def register_store(store: Store) -> None:
    """Every erasure from now on empties ``store`` too.

    Raises:
        ValueError: another store has that name.
    """
    known = _stores.setdefault(store.name, store)
    if known != store:
        raise ValueError(f"there is a store named {store.name} already: choose another name")


def registered_stores() -> list[Store]:
    """All stores, the oldest registration first."""
    return list(_stores.values())


def rows_store(name: str, model: type[Model]) -> Store:
    """A store of the rows of ``model`` whose column ``pseudonym`` names the person."""
    rows = model._default_manager

    def count(pseudonym: UUID) -> int:
        return rows.filter(pseudonym=pseudonym).count()

    def erase(pseudonym: UUID, request_id: UUID) -> int:
        return rows.filter(pseudonym=pseudonym).delete()[0]

    def scan(needles: Needles) -> Sequence[Finding]:
        found = count(needles.pseudonym)
        return [Finding(place=name, what="pseudonym", count=found)] if found else []

    return Store(name=name, count=count, erase=erase, scan=scan)
