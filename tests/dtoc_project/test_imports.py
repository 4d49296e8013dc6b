"""What a process loads before it has anything to do: starting is what most of them do most."""

import os
import subprocess
import sys

import pytest

from dtoc_project.supervisor import ROOT

LOADED = """
import sys
import django
django.setup()
from django.urls import get_resolver
get_resolver().url_patterns
from dtoc_project.celery import app
app.loader.import_default_modules()
print(*sorted({"torch", "pandas"} & sys.modules.keys()))
"""
AFTER_SETUP = """
from types import SimpleNamespace
from celery.signals import celeryd_after_setup
queues = SimpleNamespace(consume_from=dict.fromkeys(["%s"]))
instance = SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace(queues=queues)))
celeryd_after_setup.send(sender="worker", instance=instance, conf=None)
print(*sorted({"torch", "pandas"} & sys.modules.keys()))
"""


def printed(code: str) -> list[str]:
    settings = {"DJANGO_SETTINGS_MODULE": "dtoc_project.settings"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **settings, "DTOC_DATABASE_URL": "postgresql://nobody/nothing"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    return done.stdout.splitlines()


def test_neither_web_nor_beat_nor_a_worker_loads_torch_or_pandas_to_start():
    assert printed(LOADED) == [""]


@pytest.mark.parametrize(("queue", "loaded"), [("twins", "torch"), ("ingest", "")])
def test_a_worker_that_needs_torch_has_it_before_its_children_are_forked(queue, loaded):
    assert printed(LOADED + AFTER_SETUP % queue) == ["", loaded]
