"""The lock around the pointer to the active model.

Advancers share it, an activation has it alone. Without it an advancer that read the old pointer
could mark streams as folded that the new model's twins have never seen.

An advancer's commit does not wait for the disk. What it wrote follows from events that are on disk
already; where a power cut takes it back, it takes back twin and to-do list together, and the twin
is advanced again.
"""

from django.db import connection

LOCK_CLASS = 0x44546F54  # "DToT": a space of its own beside the locks of streams
POINTER = 0


def share_pointer() -> None:
    """Until the transaction ends, the active model stays the active model; for advancers."""
    _lock(
        "SELECT pg_advisory_xact_lock_shared(%s, %s), set_config('synchronous_commit', 'off', true)"
    )


def hold_pointer() -> None:
    """Until the transaction ends, nobody advances and nobody else activates."""
    _lock("SELECT pg_advisory_xact_lock(%s, %s)")


def _lock(statement: str) -> None:
    if not connection.in_atomic_block:
        raise RuntimeError("the pointer's lock needs a transaction: it would be gone at once")
    with connection.cursor() as cursor:
        cursor.execute(statement, [LOCK_CLASS, POINTER])
