"""What campaigns keep about single people, for ``customers.erasure``.

Results, audience sizes and hashes are sums over many and stay; they name nobody.
"""

from campaigns.models import AudienceMember, Decision, Exposure, SimulationMember
from customers.erasure import rows_store

AUDIENCE_MEMBERS = rows_store("campaigns.audience_members", AudienceMember)
SIMULATION_MEMBERS = rows_store("campaigns.simulation_members", SimulationMember)
EXPOSURES = rows_store("campaigns.exposures", Exposure)
DECISIONS = rows_store("campaigns.decisions", Decision)
