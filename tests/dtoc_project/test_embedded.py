"""The private servers: shared, stopped by the last user, and unmoved by what a crash leaves."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dtoc_project.embedded.lease import ENOUGH_BYTES
from dtoc_project.supervisor import ROOT

USE = """
import os, sys
from dtoc_project import embedded
embedded.start()
import psycopg2
with psycopg2.connect(os.environ["DTOC_DATABASE_URL"]) as connection:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS visits (pid int)")
        cursor.execute("INSERT INTO visits VALUES (%s)", [os.getpid()])
        cursor.execute("SELECT count(*) FROM visits")
        (visits,) = cursor.fetchone()
connection.close()
print(visits, flush=True)  # after the commit: whoever reads it may kill us
if "wait" in sys.argv:
    sys.stdin.read(1)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="dtoc-"))
    folder.chmod(0o755)
    yield folder
    for name in ("postgres/postmaster.pid",):
        if (folder / name).exists():
            os.kill(int((folder / name).read_text().split()[0]), signal.SIGQUIT)


def environment(home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("DTOC_DATABASE_URL", "DTOC_REDIS_URL")}
    return {**kept, "DTOC_HOME": str(home), "DTOC_EMBEDDED_FSYNC": "off"}


def use(home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", USE], env=environment(home), cwd=ROOT, capture_output=True, text=True
    )


def use_and_wait(home: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", USE, "wait"],
        env=environment(home), cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.readline()
    return process


def running(home: Path) -> bool:
    return (home / "postgres" / "postmaster.pid").exists()


def test_what_was_stored_is_there_at_the_next_start(home: Path):
    first, second = use(home), use(home)

    assert (first.stdout, second.stdout) == ("1\n", "2\n")
    assert not running(home)


def test_the_last_user_stops_the_servers_and_nobody_before(home: Path):
    waiting = use_and_wait(home)

    assert use(home).stdout == "2\n"
    assert running(home)

    waiting.communicate("x")
    assert not running(home)


def test_a_killed_user_does_not_count_for_ever(home: Path):
    killed = use_and_wait(home)
    killed.kill()
    killed.communicate()

    assert running(home)  # nobody was left to stop them
    assert use(home).stdout == "2\n"
    assert not running(home)


def test_a_killed_server_leaves_a_stale_pid_file_that_disturbs_nobody(home: Path):
    waiting = use_and_wait(home)
    postmaster = int((home / "postgres" / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(postmaster)], timeout=10)
    waiting.communicate("x")

    assert running(home)
    assert use(home).stdout == "2\n"


def test_a_pid_file_that_names_another_program_is_stale(home: Path):
    use(home)
    own = f"{os.getpid()}\n{home / 'postgres'}\n0\n5432\n\n\n0 0\nready\n"
    (home / "postgres" / "postmaster.pid").write_text(own)

    assert use(home).stdout == "2\n"


def test_a_folder_whose_path_is_too_long_for_a_socket_works(home: Path):
    deep = home / ("d" * 90)
    deep.mkdir()

    assert use(deep).stdout == "1\n"


def test_a_file_where_the_folder_should_be_is_explained(home: Path):
    (home / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env=environment(home / "file"), cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "DTOC_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_explained_before_anything_is_written(home: Path, monkeypatch):
    from dtoc_project.embedded import lease
    from dtoc_project.embedded.errors import EmbeddedServerError

    usage = type("Usage", (), {"free": ENOUGH_BYTES - 1})
    monkeypatch.setattr(lease.shutil, "disk_usage", lambda folder: usage)

    with pytest.raises(EmbeddedServerError, match="free some"):
        lease._writable(home)
    assert list(home.iterdir()) == []
