"""What the twins keep about single people, for ``customers.erasure``.

Model versions stay: they hold weights and item codes, no trained number belongs to one customer.
Registered after the event store, and emptied after it: a stream that is gone cannot be claimed, so
no advancer writes a twin anew once it was erased.
"""

from customers.erasure import rows_store
from twins.models import Twin, TwinSnapshot

TWINS = rows_store("twins.heads", Twin)
SNAPSHOTS = rows_store("twins.snapshots", TwinSnapshot)
