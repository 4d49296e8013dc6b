"""The outbox: what is to be told to others, written in the transaction that caused it.

A message therefore exists exactly where its cause was committed. Bodies are thin: ids, versions,
counts and links; whoever is told fetches the rest with its own rights.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connection

from common.canonical_json import dumps
from common.models import OutboxMessage

TYPES = frozenset(
    {
        "twin.updated",
        "twin.prediction.changed",
        "twin.erased",
        "segment.entered",
        "segment.left",
        "simulation.succeeded",
        "simulation.failed",
        "campaign.launched",
        "campaign.settled",
        "request.status_changed",
        "model.activated",
        "model.drifted",
        "events.quarantined",
    }
)
LARGEST_BYTES = 20_000
KEPT = timedelta(days=30)


def announce(*, type: str, body: Mapping[str, Any], at: datetime) -> UUID:  # noqa: A002
    """A message of this type is in the outbox if, and only if, the transaction commits.

    Returns its id, which stays the same however often it will be delivered.

    Raises:
        RuntimeError: no transaction is open: the message could outlive a cause that was undone.
        ValueError: nobody knows this type, or the body is not a thin one.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("announce needs a transaction: call it in the one that is the cause")
    if type not in TYPES:
        raise ValueError(f"there is no message type {type}: the types are {sorted(TYPES)}")
    plain = dumps(dict(body))
    if len(plain) >= LARGEST_BYTES:
        raise ValueError(f"the body has {len(plain)} bytes, at most {LARGEST_BYTES}: send links")
    message = OutboxMessage.objects.create(id=uuid4(), type=type, body=dict(body), created_at=at)
    return message.id


def forget_messages(*, at: datetime) -> int:
    """Messages older than thirty days are gone, delivered or not; returns how many it were."""
    return OutboxMessage.objects.filter(created_at__lt=at - KEPT).delete()[0]
