"""Housekeeping of what every app shares."""

from celery import shared_task

from common.api.idempotency import forget_answers
from common.clock import now
from common.operations import expire_operations
from common.outbox import forget_messages


@shared_task(name="common.tidy")
def tidy() -> dict[str, int]:
    """Expire forgotten work, forget old answers and messages; twice, it finds nothing to do."""
    at = now()
    return {
        "expired": expire_operations(at=at),
        "forgotten": forget_answers(at=at),
        "messages": forget_messages(at=at),
    }
