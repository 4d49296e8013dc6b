"""The README's walk, as written, against a running stack; and what a killed worker leaves."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from dtoc_project.supervisor import ROOT
from tests.e2e.conftest import Stack

pytestmark = pytest.mark.e2e
README = ROOT / "README.md"
PATIENCE_SECONDS = 90


def walk() -> str:
    """The shell block behind the mark in the README."""
    after = README.read_text().split("<!-- walk", 1)[1]
    return after.split("```bash\n", 1)[1].split("```", 1)[0]


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.2)


def workers(stack: Stack, name: str) -> list[psutil.Process]:
    """The processes of one Celery worker of this stack, the parent first."""
    supervisor = psutil.Process(json.loads((stack.home / "up.json").read_text())["pid"])
    found = [p for p in supervisor.children(recursive=True) if f"{name}@%h" in p.cmdline()]
    return sorted(found, key=lambda process: process.create_time())


def test_the_readmes_walk_runs_as_written(stack: Stack, tmp_path: Path):
    script = tmp_path / "walk.sh"
    script.write_text(walk().replace(".venv/bin/python", os.sys.executable))

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


def test_a_twin_worker_killed_again_and_again_leaves_every_twin_right(stack: Stack):
    from tests.e2e.load import post_events

    token = access_token(stack)
    for number in range(5):
        post_events(stack.base, token, seed=number, count=400)
        os.kill(workers(stack, "twins")[-1].pid, signal.SIGKILL)  # the child that does the work

    eventually(lambda: ready(stack), "no twin lags")
    assert stack.manage("verify_twins", "--all").startswith("0 differences")


def ready(stack: Stack) -> bool:
    with urlopen(f"{stack.base}/metrics") as answer:  # noqa: S310 - loopback
        lines = answer.read().decode().splitlines()
    return "dtoc_twin_lag_events 0.0" in lines


def access_token(stack: Stack) -> str:
    from urllib.parse import urlencode
    from urllib.request import Request

    printed = stack.manage("create_client", "load", "--replace").splitlines()
    names = dict(line.split("=", 1) for line in printed if "=" in line)
    form = {
        "grant_type": "client_credentials",
        "client_id": names["CLIENT_ID"],
        "client_secret": names["CLIENT_SECRET"],
    }
    request = Request(f"{stack.base}/oauth/token/", urlencode(form).encode())  # noqa: S310
    with urlopen(request) as answer:  # noqa: S310 - loopback
        return json.load(answer)["access_token"]
