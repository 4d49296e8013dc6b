"""The Celery application. Start a worker with ``celery -A dtoc_project worker -Q twins``."""

import os

from celery import Celery

from dtoc_project import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtoc_project.settings")
embedded.start()

app = Celery("dtoc")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
