"""The README's walk, as written, against a running stack; and what a killed worker leaves."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from dtoc_project.supervisor import ROOT
from tests.e2e.client import PATIENCE_SECONDS, Client, eventually
from tests.e2e.conftest import Stack
from tests.e2e.traffic import purchases
from tests.faults.size import sized

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_800)]  # the stack's beginning is in it
README = ROOT / "README.md"


def walk() -> str:
    """The shell block behind the mark in the README."""
    after = README.read_text().split("<!-- walk", 1)[1]
    return after.split("```bash\n", 1)[1].split("```", 1)[0]


def kill_a_worker_at_work(stack: Stack, name: str) -> None:
    """SIGKILL for a child of one Celery worker of this stack: the children do the work."""
    supervisor = psutil.Process(json.loads((stack.home / "up.json").read_text())["pid"])
    eventually(lambda: is_killed(supervisor, name), f"worker {name} has a child")


def is_killed(supervisor: psutil.Process, name: str) -> bool:
    """One of the forked children; their parent runs under the same command line, and is spared."""
    family = [p for p in supervisor.children(recursive=True) if is_worker(p, name)]
    parents = {process.pid for process in family}
    try:
        next(process for process in family if process.ppid() in parents).kill()
    except (psutil.Error, StopIteration):  # it has just ended, and the next is not there yet
        return False
    return True


def is_worker(process: psutil.Process, name: str) -> bool:
    try:
        return f"{name}@%h" in process.cmdline()
    except psutil.Error:  # it has ended meanwhile
        return False


def test_the_readmes_walk_runs_as_written(stack: Stack, tmp_path: Path):
    script = tmp_path / "walk.sh"
    script.write_text(walk().replace(".venv/bin/python", sys.executable))

    done = subprocess.run(
        ["bash", "-euo", "pipefail", str(script)],
        env={**stack.environment, "BASE": stack.base},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    before, stored, after, simulation, erasure, gone = map(json.loads, done.stdout.splitlines())
    assert (before["stream_version"], after["stream_version"]) == (1, 2)
    assert stored["consistency_token"].endswith(".2")
    assert after["memory"]["orders"] == 1
    assert before["predictions"] != after["predictions"]
    nothing = simulation["result"]["scenarios"][0]
    assert (float(nothing["depth"]), float(nothing["uplift"]["revenue"]["mean"])) == (0, 0)
    assert erasure["status"] == "completed"
    assert erasure["receipt"]["body"]["scan"]["clean"] is True
    assert gone["status"] == 404


def test_a_twin_worker_killed_again_and_again_leaves_every_twin_right(stack: Stack, client: Client):
    for number in range(sized(2, 5)):
        batch = purchases(seed=number, count=400)
        assert client.post("events/", batch)["accepted"] == 400
        kill_a_worker_at_work(stack, "twins")

    eventually(lambda: "dtoc_twin_lag_events 0.0" in client.metrics(), "no twin lags")
    *_, verified = stack.manage("verify_twins", "--all").splitlines()
    assert verified.startswith(
        "0 differences"
    )  # before it may stand what other tests sent too late


def test_a_simulation_whose_workers_are_killed_ends_as_if_nothing_had_happened(
    stack: Stack, client: Client
):
    campaign = client.post("campaigns/", {"name": "Kill", "offer": {}, "currency": "GBP"})["id"]
    audience = client.post("audiences/", {"filter": {"orders_at_least": 1}})["id"]
    run = {
        "audience_id": audience,
        "depths": ["0", "0.1", "0.3"],
        "delays_days": [0, 7],
        "horizon_days": 60,
        "replicates": 20,
        "seed": 5,
        "response": {"kind": "assumed", "mean": 1.5, "spread": 0.5},
    }
    interrupted = client.post(f"campaigns/{campaign}/simulations/", run, key="interrupted-run-1")
    for share in (0.0, 0.4):
        eventually(lambda least=share: client.progress(interrupted) > least, "some chunks are done")
        kill_a_worker_at_work(stack, "simulations")

    left_alone = client.post(f"campaigns/{campaign}/simulations/", run, key="left-alone-run-2")

    first, second = client.result(interrupted), client.result(left_alone)
    assert first["scenarios"] == second["scenarios"]
    assert first["control"] == second["control"]
