"""Locks that order the writers of a stream.

A transaction that appends events takes these first and writes afterwards. A transaction id drawn
before the lock would let the feed, which reads in the order of transaction ids, show version 2 of a
stream before version 1. Slots instead of one lock per stream, because a batch of ten thousand
streams would exhaust PostgreSQL's lock table.
"""

import zlib
from collections.abc import Iterable
from uuid import UUID

from django.db import connection

SLOTS = 1024
LOCK_CLASS = 0x44546F43  # "DToC": keeps our advisory locks apart from those of other programs


def slot_of(pseudonym: UUID) -> int:
    """The lock slot of a stream, 0 to 1,023; the same on every machine."""
    return zlib.crc32(pseudonym.bytes) % SLOTS


def lock_streams(pseudonyms: Iterable[UUID]) -> None:
    """Until the transaction ends, nobody else appends to these streams.

    Slots are taken in ascending order, so two batches never wait for each other in a circle.
    """
    slots = sorted({slot_of(pseudonym) for pseudonym in pseudonyms})
    if not connection.in_atomic_block:
        raise RuntimeError("lock_streams needs a transaction: the lock would be gone at once")
    with connection.cursor() as cursor:
        # unnest keeps the order of the array, and a set-returning function is evaluated in order.
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, slot) FROM unnest(%s::int[]) AS slot",
            [LOCK_CLASS, slots],
        )
