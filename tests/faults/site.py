"""Servers, web and workers of one test, each of which it may kill and start again."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from dtoc_project import ports, supervisor
from dtoc_project.embedded import redis
from dtoc_project.supervisor import ROOT
from tests.faults.ground import Cluster, run

PATIENCE_SECONDS = 300  # where a machine has other work, too
WEB_PROCESSES = 2  # fewer than a real one's: each takes seconds to begin


class Site:
    """A stack without Flower. What runs is named as in the supervisor: web, twins, beat, ..."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.cluster = Cluster(home / "postgres")
        worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
        self.port = ports.first_free(19_000 + 50 * int(worker))  # apart from another worker's
        self.base = f"http://127.0.0.1:{self.port}"
        self.running: dict[str, subprocess.Popen] = {}
        self.senders: list[subprocess.Popen] = []

    def begin(self) -> None:
        """Servers run, tables are there, and a client has a token."""
        kept = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
        self.environment = {
            **kept,
            "DTOC_HOME": str(self.home),
            "DTOC_DATABASE_URL": self.cluster.start(),
            "DTOC_REDIS_URL": redis.start(self.home / "redis"),
            "DTOC_DEVICE": "cpu",
            "OMP_NUM_THREADS": "1",
        }
        self.manage("migrate", "--verbosity", "0")
        printed = self.manage("create_client", "sender", "--replace").splitlines()
        self.secrets = dict(line.split("=", 1) for line in printed if "=" in line)

    def manage(self, *arguments: str) -> str:
        return run([sys.executable, "manage.py", *arguments], env=self.environment, cwd=ROOT)

    def start(self, *names: str) -> None:
        commands = supervisor.commands(
            port=self.port, flower_port=self.port + 500, web_processes=WEB_PROCESSES
        )
        for name in names:
            with (self.home / f"{name}.log").open("ab") as log:
                self.running[name] = subprocess.Popen(
                    shlex.split(commands[name]), cwd=ROOT, env=self.environment,
                    stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
        if "web" in names:
            eventually(lambda: self.get("/livez").status == 200, "the web server answers")

    def kill(self, name: str) -> None:
        """SIGKILL for the process and its children."""
        process = self.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        for process in self.senders:
            process.kill()
            process.wait()
        for name in list(self.running):
            self.kill(name)
        redis.stop(self.home / "redis")
        self.cluster.stop()

    def token(self) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.secrets["CLIENT_ID"],
            "client_secret": self.secrets["CLIENT_SECRET"],
        }
        answer = self.get("/oauth/token/", urlencode(form).encode())
        return json.loads(answer.body)["access_token"]

    def get(self, route: str, form: bytes | None = None, token: str = "") -> "Answer":
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with urlopen(Request(self.base + route, form, headers), timeout=30) as found:
                return Answer(found.status, found.headers, found.read())
        except HTTPError as error:
            return Answer(error.code, error.headers, error.read())
        except OSError:
            return Answer(0, {}, b"")

    def counts(self) -> dict[str, int]:
        """How many events ended how, by /metrics."""
        counts: dict[str, int] = {}
        for line in self.get("/metrics").body.decode().splitlines():
            if line.startswith("dtoc_events_") and "_total{" in line:
                outcome = line.removeprefix("dtoc_events_").split("_total{")[0]
                counts[outcome] = counts.get(outcome, 0) + int(float(line.rsplit(" ", 1)[1]))
        return counts

    def send(self, token: str, orders: list[list[list[dict[str, Any]]]]) -> Path:
        """A process for each list of batches sends them; returns the file that ends the rest."""
        stop = self.home / "stop"
        for number, batches in enumerate(orders):
            file = self.home / f"orders-{number}.ndjson"
            file.write_text("".join(f"{json.dumps(batch)}\n" for batch in batches))
            log = self.home / f"sender-{number}.ndjson"
            arguments = [self.base, token, str(file), str(log), str(stop)]
            command = [sys.executable, "-m", "tests.faults.sender", *arguments]
            self.senders.append(subprocess.Popen(command, cwd=ROOT, env=self.environment))
        return stop

    def attempts(self) -> list[dict[str, Any]]:
        """What the senders wrote down so far; a line that is just being written is left out."""
        lines = [
            line
            for log in sorted(self.home.glob("sender-*.ndjson"))
            for line in log.read_text().splitlines(keepends=True)
        ]
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def answered(self) -> list[dict[str, Any]]:
        """The attempts that were acknowledged; no sender was answered anything but that or 503."""
        assert not any(sender.poll() for sender in self.senders)
        return [found for found in self.attempts() if found["status"] in (200, 207)]


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body


@contextmanager
def site() -> Iterator[Site]:
    home = Path(tempfile.mkdtemp(prefix="dtoc-site-"))
    home.chmod(0o755)
    found = Site(home)
    try:
        found.begin()
        yield found
    finally:
        found.end()
        shutil.rmtree(home, ignore_errors=True)


def eventually(holds: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)
