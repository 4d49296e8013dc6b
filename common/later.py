"""Asking for work after the commit, by task name, with ids only."""

import logging
from typing import Any

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def ask_later(task_name: str, **kwargs: Any) -> None:
    """Once the transaction has committed, a worker is told to run ``task_name``.

    A nudge, not a promise: where the broker is out of reach it is logged and dropped, because every
    kind of work is also found by a periodic sweep over the database.
    """
    transaction.on_commit(lambda: ask_now(task_name, **kwargs))


def ask_now(task_name: str, **kwargs: Any) -> None:
    """The same for what is committed already; needs no database."""
    try:
        current_app.send_task(task_name, kwargs=kwargs, retry=False)
    except OperationalError as error:
        logger.warning("nudge lost", extra={"task": task_name, "error": str(error)})
