"""Workers are killed in the middle of a run, and nothing is lost or counted twice."""

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
from tests.faults.size import sized

PATIENCE_SECONDS = 300
KILLS, WORKERS = sized(1, 10), sized(1, 4)
WORKER = """
import sys
from uuid import UUID
import django
django.setup()
from django.conf import settings
settings.STORAGES["models"]["OPTIONS"]["location"] = sys.argv[2]
from campaigns.services.run import run_simulation
from common.clock import now
run_simulation(operation_id=UUID(sys.argv[1]), holder=sys.argv[3], clock=now)
"""


def worker(
    run: SimulationRun, name: str, environment: dict[str, str], models: Path
) -> "subprocess.Popen[bytes]":
    """A process that computes chunks until none is left."""
    command = [sys.executable, "-c", WORKER, str(run.operation_id), str(models), name]
    return subprocess.Popen(command, env=environment)


def busy_in_the_middle(run: SimulationRun, name: str) -> bool:
    chunks = WorkChunk.objects.filter(operation=run.operation, holder=name)
    return chunks.filter(state="done").exists() and chunks.filter(state="leased").exists()


def killed_in_the_middle(
    run: SimulationRun, name: str, environment: dict[str, str], models: Path
) -> None:
    """A worker process computes at least one chunk and dies, by SIGKILL, within another."""
    process = worker(run, name, environment, models)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not busy_in_the_middle(run, name):
        assert process.poll() is None, "the worker ended before it could be killed"
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.faults
@pytest.mark.timeout(1_800)
def test_a_run_whose_workers_were_killed_equals_an_undisturbed_one_to_the_last_digit(
    transactional_db: None,
    environment: dict[str, str],
    model_storage: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    with_twins(active_version(), customers(12 + 12 * KILLS))
    monkeypatch.setattr(plan, "FEWEST_CHUNKS", 1)
    monkeypatch.setattr(plan, "CHUNK_ROWS", 2 * 3 * 40)
    undisturbed = finished(started(replicates=40))
    run = started(replicates=40)

    for number in range(KILLS):
        killed_in_the_middle(run, f"doomed {number}", environment, model_storage)
    chunks = WorkChunk.objects.filter(operation=run.operation)
    assert chunks.filter(state="leased").exists()
    assert KILLS <= chunks.filter(state="done").count() < chunks.count()
    several = [worker(run, f"alive {n}", environment, model_storage) for n in range(WORKERS)]
    assert [process.wait(PATIENCE_SECONDS) for process in several] == [0] * WORKERS
    later = now() + timedelta(minutes=2)
    resumed = finished(run, holder="late", clock=lambda: later)

    assert resumed.operation.status == "succeeded"
    assert figures(resumed) == figures(undisturbed)
    again = chunks.filter(attempt__gt=1)
    assert 1 <= again.count() <= KILLS
    assert not again.filter(holder="doomed 0").exists()
