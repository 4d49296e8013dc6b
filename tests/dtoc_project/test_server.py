"""The web server as a process: it answers, replaces its dead, and leaves nobody behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil
import pytest

from dtoc_project import ports

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def port() -> int:
    found = ports.first_free(20_000 + 50 * _worker())
    assert found is not None
    return found


@pytest.fixture
def server(port) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "dtoc_project.server", "--port", str(port), "--processes", "2"]
    started = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    family = psutil.Process(started.pid)
    until(lambda: len(living(family.children())) == 2 and answers(port))
    everybody = [family, *family.children(recursive=True)]
    yield family
    everybody += family.children(recursive=True) if family.is_running() else []
    for process in everybody:
        if process.is_running():
            process.kill()
    started.wait(10)


def _worker() -> int:
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def answers(port: int) -> bool:
    with closing(HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
        try:
            connection.request("GET", "/livez")
            with connection.getresponse() as answer:
                return answer.status == 200
        except (OSError, HTTPException):
            return False


def living(processes: list[psutil.Process]) -> set[int]:
    return {p.pid for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE}


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert holds()


def test_a_process_that_dies_is_replaced(server, port):
    before = living(server.children())
    os.kill(min(before), signal.SIGKILL)

    until(lambda: len(living(server.children()) - before) == 1)

    until(lambda: answers(port))


def test_a_server_that_is_killed_leaves_no_process_that_holds_its_port(server, port):
    processes = server.children()

    server.kill()

    until(lambda: not living(processes))
    assert not answers(port)


def test_a_server_that_is_asked_to_stop_stops(server, port):
    processes = server.children()

    server.terminate()

    until(lambda: not living([server]))
    assert not living(processes)
    assert not answers(port)


def test_a_kept_connection_takes_one_request_after_another(server, port):
    with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.connect()
        kept = connection.sock

        for _ in range(3):
            connection.request("GET", "/livez")
            answer = connection.getresponse()
            assert answer.status == 200
            answer.read()

        assert connection.sock is kept
