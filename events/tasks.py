"""Celery tasks of the event store: one service each; safe to deliver twice."""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from celery import shared_task
from django.db import OperationalError

from common.clock import now
from common.later import ask_later
from events import services
from events.services import uploads
from events.services.bulk_replay import resume_replays, run_replay
from events.services.compact import compact_sku_days
from events.services.resolve import expire_quarantined, forget_resolved

logger = logging.getLogger(__name__)

IMPORT_BUDGET = timedelta(seconds=60)

REPLAY_BUDGET = timedelta(seconds=45)  # no chunk of a replay begins after this


@shared_task(name="events.mark_feed")
def mark_feed() -> int | None:
    """It is on record how far the feed is whole; after a fail-over a new epoch has begun."""
    raised = services.mark_feed(at=now())
    if raised is not None:
        logger.warning("feed epoch raised", extra={"epoch": raised})
    return raised


@shared_task(name="events.tidy_quarantine")
def tidy_quarantine() -> dict[str, int]:
    """Old bodies are destroyed and old rows forgotten; delivered twice, it finds nothing to do."""
    at = now()
    return {"expired": expire_quarantined(at=at), "forgotten": forget_resolved(at=at)}


@shared_task(
    name="events.replay_quarantined",
    bind=True,
    autoretry_for=(OperationalError,),
    retry_backoff=True,
)
def replay_quarantined(self: Any, operation_id: str) -> bool:
    """Replay some chunks, then make room for others and ask to go on."""
    holder = f"{self.request.hostname or 'worker'}/{uuid4()}"
    until = now() + REPLAY_BUDGET
    while run_replay(operation_id=UUID(operation_id), holder=holder, at=now()):
        if now() >= until:
            ask_later("events.replay_quarantined", operation_id=operation_id)
            return False
    return True


@shared_task(name="events.sweep_replays")
def sweep_replays() -> int:
    """Tell workers about replays whose own workers or nudges were lost."""
    return resume_replays()


@shared_task(
    name="events.run_import", bind=True, autoretry_for=(OperationalError,), retry_backoff=True
)
def run_import(self: Any, import_id: str) -> bool:
    """Store rows of an uploaded file for a while, then make room for others and ask to go on.

    Delivered twice, the second one finds the import taken.
    """
    holder = f"{self.request.hostname or 'worker'}/{uuid4()}"
    finished = uploads.run_import(
        import_id=UUID(import_id), holder=holder, clock=now, budget=IMPORT_BUDGET
    )
    if not finished:
        ask_later(uploads.TASK, import_id=import_id)
    return finished


@shared_task(name="events.sweep_imports")
def sweep_imports() -> int:
    """Tell workers of imports whose own workers or nudges were lost; delete what is done."""
    return uploads.sweep_imports(at=now())


@shared_task(name="events.compact_sku_days")
def compact_past_days() -> int:
    """The sums of past days have one row for each item and day."""
    return compact_sku_days(at=now())
