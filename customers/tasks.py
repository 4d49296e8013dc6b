"""Erasures in the background; ids only, safe to deliver twice."""

import logging
from uuid import UUID

from celery import shared_task
from django.db import OperationalError

from common.clock import now
from customers import services

logger = logging.getLogger(__name__)


@shared_task(name="customers.run_erasure", autoretry_for=(OperationalError,), retry_backoff=True)
def run_erasure(request_id: str) -> str:
    """Bring one erasure as far as it goes; returns the status it has come to."""
    request = services.run_erasure(request_id=UUID(request_id), at=now())
    logger.info("erasure run", extra={"request": request_id, "status": request.status})
    return request.status


@shared_task(name="customers.sweep_erasures")
def sweep_erasures() -> int:
    """Ask again for every erasure that is due and unfinished; returns how many there are."""
    return services.resume_erasures(at=now())
