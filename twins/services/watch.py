"""Watching whether the twins still foresee what they used to."""

import logging
from datetime import datetime

from django.db import transaction

from common.outbox import announce
from twins.fidelity import drift_of
from twins.selectors import active_model_id

logger = logging.getLogger(__name__)


@transaction.atomic
def watch_drift(*, at: datetime) -> bool:
    """A drift of the active model's twins is announced; returns whether there is one."""
    model_id = active_model_id()
    drift = drift_of(model_id, at=at) if model_id else None
    if drift is None or not drift.alarming:
        return False
    body = {
        "model_id": str(model_id),
        "skill_nats": drift.recent.skill,
        "skill_before_nats": drift.before.skill,
        "allowed_drop_nats": drift.allowed,
        "lines": drift.recent.lines,
    }
    announce(type="model.drifted", body=body, at=at)
    logger.warning("twins drift", extra=body)
    return True
