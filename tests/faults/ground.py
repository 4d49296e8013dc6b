"""Servers that a test may kill, and the product pointed at them."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from django.db import connection

from dtoc_project.embedded import postgres
from dtoc_project.urls_of_servers import database_settings


class Cluster:
    """A PostgreSQL of its own; started again after a kill it has the same data and address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self) -> str:
        self.url = postgres.start(self.folder)
        return self.url

    def stop(self) -> None:
        postgres.stop(self.folder)

    def kill(self) -> None:
        """SIGKILL for the server and each of its processes: nobody says goodbye."""
        postmaster = psutil.Process(int((self.folder / "postmaster.pid").read_text().split()[0]))
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, timeout=10)

    def program(self, name: str, *arguments: str) -> None:
        run([str(postgres._programs() / name), *arguments])


@contextmanager
def cluster(name: str) -> Iterator[Cluster]:
    home = Path(tempfile.mkdtemp(prefix=f"dtoc-{name}-"))
    home.chmod(0o755)  # where we are root, PostgreSQL runs as another user and must pass through
    found = Cluster(home / "postgres")
    try:
        found.start()
        yield found
    finally:
        found.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def connected_to(url: str) -> Iterator[None]:
    """The product works on another database; back on its own afterwards."""
    own = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(database_settings(url))
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.clear()
        connection.settings_dict.update(own)


def url_of_this_database() -> str:
    """For programs of PostgreSQL; Django and libpq read the same form."""
    found = connection.settings_dict
    port = f"&port={found['PORT']}" if found["PORT"] else ""
    user = f"{found['USER']}:{found['PASSWORD']}" if found["PASSWORD"] else found["USER"]
    return f"postgresql://{user}@/{found['NAME']}?host={found['HOST']}{port}"


def run(command: list[str], **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}\n{done.stderr}"
    return done.stdout
