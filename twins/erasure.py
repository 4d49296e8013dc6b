"""What the twins keep about single people, for ``customers.erasure``.

Model versions stay: they hold weights and item codes, no trained number belongs to one customer.
Registered after the event store, and emptied after it: a stream that is gone cannot be claimed, so
no advancer writes a twin anew once it was erased.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Model

from customers.erasure import Finding, Needles, Store
from twins.models import Twin, TwinSnapshot


def _store(name: str, model: type[Model]) -> Store:
    rows = model._default_manager

    def count(pseudonym: UUID) -> int:
        return rows.filter(pseudonym=pseudonym).count()

    def erase(pseudonym: UUID, request_id: UUID) -> int:
        return rows.filter(pseudonym=pseudonym).delete()[0]

    def scan(needles: Needles) -> Sequence[Finding]:
        found = count(needles.pseudonym)
        return [Finding(place=name, what="pseudonym", count=found)] if found else []

    return Store(name=name, count=count, erase=erase, scan=scan)


TWINS = _store("twins.heads", Twin)
SNAPSHOTS = _store("twins.snapshots", TwinSnapshot)
