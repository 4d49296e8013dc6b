"""What the twins keep about single people, for ``customers.erasure``.

Model versions stay: they hold weights and item codes, no trained number belongs to one customer.
Registered after the event store, and emptied after it: a stream that is gone cannot be claimed, so
no advancer writes a twin anew once it was erased.
"""

from dataclasses import replace
from uuid import UUID

from django.db import connection, transaction

from customers.erasure import rows_store
from twins.models import ParkedStream, Twin, TwinSnapshot


@transaction.atomic
def erase_snapshots(pseudonym: UUID, request_id: UUID) -> int:
    """The customer's snapshots are gone; a trigger asks for the erasure in progress.

    Raises:
        ProgrammingError: there are some, and ``request_id`` is not their customer's erasure.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('dtoc.erasure_request', %s, true)", [str(request_id)])
    gone: int = TwinSnapshot.objects.filter(pseudonym=pseudonym).delete()[0]
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('dtoc.erasure_request', '', true)")
    return gone


TWINS = rows_store("twins.heads", Twin)
SNAPSHOTS = replace(rows_store("twins.snapshots", TwinSnapshot), erase=erase_snapshots)
PARKED = rows_store("twins.parked", ParkedStream)
