"""A running stack of its own: servers, web, workers, beat, and a small synthetic shop in it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dtoc_project import ports
from dtoc_project.supervisor import ROOT
from tests.e2e.client import Client

CUSTOMERS, DAYS = 150, 150


@dataclass(frozen=True)
class Stack:
    """Where the stack listens, and how to run commands beside it."""

    base: str
    home: Path
    environment: dict[str, str]

    def manage(self, *arguments: str) -> str:
        return run([sys.executable, "manage.py", *arguments], self.environment)


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


@pytest.fixture(scope="package")  # its workers would slow down all tests that come after
def stack() -> Iterator[Stack]:
    home = Path(tempfile.mkdtemp(prefix="dtoc-e2e-"))
    home.chmod(0o755)
    hidden = ("DTOC_DATABASE_URL", "DTOC_REDIS_URL", "DJANGO_SETTINGS_MODULE")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    environment = {**kept, "DTOC_HOME": str(home), "DTOC_DEVICE": "cpu", "COLUMNS": "120"}
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    port = ports.first_free(18_000 + 50 * int(worker))  # apart from the stack of another worker
    found = Stack(f"http://127.0.0.1:{port}", home, environment)
    try:
        fill(found)
        found.manage("up", "--detach", "--port", str(port), "--flower-port", str(port + 500))
        yield found
    finally:
        subprocess.run(
            [sys.executable, "manage.py", "down", "--quiet"], env=environment, cwd=ROOT, check=False
        )
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="package")
def client(stack: Stack) -> Client:
    return Client(stack)


def fill(stack: Stack) -> None:
    """A shop is imported and a model of it is active; nothing has been advanced yet."""
    shop = stack.home / "shop.parquet"
    size = ["--customers", str(CUSTOMERS), "--days", str(DAYS)]
    run([sys.executable, "-m", "ml.shop", *size, str(shop)], stack.environment)
    stack.manage("migrate", "--verbosity", "0")
    stack.manage("import_events", str(shop), "--mapping", "synthetic_shop")
    stack.manage("train_twin", "--epochs", "1", "--activate")
