"""A worker is killed in the middle of a run, and nothing is lost or counted twice."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from campaigns import plan
from campaigns.models import SimulationRun
from common.clock import now
from common.models import WorkChunk
from tests.campaigns.builders import (
    active_version,
    customers,
    figures,
    finished,
    started,
    with_twins,
)

PATIENCE_SECONDS = 60
WORKER = """
import sys
from uuid import UUID
import django
django.setup()
from django.conf import settings
settings.STORAGES["models"]["OPTIONS"]["location"] = sys.argv[2]
from campaigns.services.run import run_simulation
from common.clock import now
run_simulation(operation_id=UUID(sys.argv[1]), holder="doomed", clock=now)
"""


def busy_in_the_middle(run: SimulationRun) -> bool:
    chunks = WorkChunk.objects.filter(operation=run.operation)
    return chunks.filter(state="done").exists() and chunks.filter(state="leased").exists()


def killed_in_the_middle(run: SimulationRun, environment: dict[str, str], models: Path) -> None:
    """A worker process computes at least one chunk and dies, by SIGKILL, within another."""
    command = [sys.executable, "-c", WORKER, str(run.operation_id), str(models)]
    worker = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not busy_in_the_middle(run):
        assert worker.poll() is None, "the worker ended before it could be killed"
        assert time.monotonic() < deadline
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()


@pytest.mark.faults
def test_a_run_whose_worker_was_killed_equals_an_undisturbed_one_to_the_last_digit(
    transactional_db: None,
    environment: dict[str, str],
    model_storage: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    with_twins(active_version(), customers(24))
    monkeypatch.setattr(plan, "CHUNK_ROWS", 2 * 3 * 40)
    undisturbed = finished(started(replicates=40))
    run = started(replicates=40)

    killed_in_the_middle(run, environment, model_storage)
    half = WorkChunk.objects.filter(operation=run.operation)
    assert 0 < half.filter(state="done").count() < half.count()
    # While the dead worker's lease runs, its chunk is nobody's; all others can be taken.
    assert finished(run, holder="early").result is None
    later = now() + timedelta(minutes=2)
    resumed = finished(run, holder="late", clock=lambda: later)

    assert resumed.operation.status == "succeeded"
    assert figures(resumed) == figures(undisturbed)
    assert list(half.filter(attempt__gt=1).values_list("holder", flat=True)) == ["late"]
