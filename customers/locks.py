"""Locks that order whoever registers, and whoever suppresses, the same identities."""

from collections.abc import Iterable

from django.db import connection

SLOTS = 1024
LOCK_CLASS = 0x44546F49  # "DToI"


def lock_identities(digests: Iterable[bytes]) -> None:
    """Until the transaction ends, nobody else registers or suppresses these identities.

    Taken before the locks on streams, and in ascending order, so that nobody waits in a circle.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("lock_identities needs a transaction: the lock would be gone at once")
    slots = sorted({int.from_bytes(digest[:4], "big") % SLOTS for digest in digests})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, slot) FROM unnest(%s::int[]) AS slot",
            [LOCK_CLASS, slots],
        )
