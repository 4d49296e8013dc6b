"""How a quarantined event ends without being stored: discarded or expired, then forgotten."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet

from events.models import QuarantinedEvent
from events.services.replay import waiting_row

audit = logging.getLogger("dtoc.audit")

Status = QuarantinedEvent.Status
CHUNK = 1_000


def discard(*, ids: Sequence[int], by: str, at: datetime) -> int:
    """The bodies of those that wait are destroyed; returns how many that were."""
    done = _end(ids, Status.DISCARDED, by, at)
    audit.info("quarantined events discarded", extra={"count": done, "by": by})
    return done


def discard_one(*, row_id: int, by: str, at: datetime) -> QuarantinedEvent:
    """The row is discarded and its body destroyed.

    Raises:
        UnknownQuarantined, QuarantineResolved: there is nothing to discard.
    """
    waiting_row(row_id)
    discard(ids=[row_id], by=by, at=at)
    return QuarantinedEvent.objects.get(id=row_id)


def expire_quarantined(*, at: datetime) -> int:
    """The bodies of those that nobody took care of in time are destroyed; returns how many."""
    total = 0
    while ids := _ids(QuarantinedEvent.objects.filter(status=Status.WAITING, expires_at__lte=at)):
        total += _end(ids, Status.EXPIRED, "expiry", at)
    return total


def forget_resolved(*, at: datetime) -> int:
    """Rows that were resolved long ago are gone; returns how many."""
    limit = at - timedelta(days=settings.DTOC_QUARANTINE_DAYS_RESOLVED)
    total = 0
    while ids := _ids(QuarantinedEvent.objects.filter(resolved_at__lt=limit)):
        # One resolved row may have been opened again by its sender since we looked.
        rows = QuarantinedEvent.objects.filter(id__in=ids, resolved_at__lt=limit)
        total += rows.delete()[0]
    return total


def _ids(rows: QuerySet[QuarantinedEvent]) -> list[int]:
    return list(rows.order_by("id").values_list("id", flat=True)[:CHUNK])


def _end(ids: Sequence[int], status: str, by: str, at: datetime) -> int:
    waiting = QuarantinedEvent.objects.filter(id__in=ids, status=Status.WAITING)
    return waiting.update(
        status=status, body=b"", subject_digest=None, resolved_at=at, resolved_by=by
    )
