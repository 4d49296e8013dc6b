"""The Celery application. Start a worker with ``celery -A dtoc_project worker -Q twins``."""

import os
import sys
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import celeryd_after_setup, worker_process_init

from common.cycles import look_for_cycles_rarely
from dtoc_project import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtoc_project.settings")

if "celery" in Path(sys.argv[0]).parts[-2:]:
    embedded.start()  # started by hand; `manage.py` and the supervisor have done it before

WITH_TORCH = {"twins", "simulations", "training"}  # queues

app = Celery("dtoc")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.set_default()  # tasks that any process asks for go to our broker


@celeryd_after_setup.connect
def _load_torch(instance: Any, **_: object) -> None:
    """Once, before the children of a worker that needs it are forked; the others do without."""
    if instance.app.amqp.queues.consume_from.keys() & WITH_TORCH:
        import ml.twin  # noqa: F401


@worker_process_init.connect
def _begin(**_: object) -> None:
    look_for_cycles_rarely()
