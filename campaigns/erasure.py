"""What campaigns keep about single people, for ``customers.erasure``.

Results, audience sizes and hashes are sums over many and stay; they name nobody.
"""

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Model

from campaigns.models import AudienceMember, SimulationMember
from customers.erasure import Finding, Needles, Store


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


AUDIENCE_MEMBERS = _store("campaigns.audience_members", AudienceMember)
SIMULATION_MEMBERS = _store("campaigns.simulation_members", SimulationMember)
