"""Who uses the private servers: the first process starts them, the last one stops them."""

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from dtoc_project.embedded import postgres, redis
from dtoc_project.embedded.errors import EmbeddedServerError

DATABASE_VARIABLE = "DTOC_DATABASE_URL"
REDIS_VARIABLE = "DTOC_REDIS_URL"
ENOUGH_BYTES = 300 * 1024 * 1024  # an empty cluster takes 80 MB, its first segments of WAL as much

_in_use: IO[str] | None = None
_started: set[str] = set()


def home() -> Path:
    """The folder of everything that DToC keeps on this machine (``DTOC_HOME``)."""
    default = Path(__file__).resolve().parents[2] / ".dtoc"
    return Path(os.environ.get("DTOC_HOME") or default).absolute()


def start() -> None:
    """Both server variables name a server that answers; missing servers were started.

    Called again, by this process or by a child, it does nothing.

    Raises:
        EmbeddedServerError: a server cannot run here; the message names the ways out.
    """
    missing = {name for name in (DATABASE_VARIABLE, REDIS_VARIABLE) if not os.environ.get(name)}
    if not missing:
        return
    folder = _writable(home())
    _share(folder)
    with _alone(folder):
        if DATABASE_VARIABLE in missing:
            os.environ[DATABASE_VARIABLE] = postgres.start(folder / "postgres")
        if REDIS_VARIABLE in missing:
            os.environ[REDIS_VARIABLE] = redis.start(folder / "redis")
    _started.update(missing)


def stop() -> None:
    """This process uses the servers no more; they are stopped if nobody else does."""
    global _in_use
    if _in_use is None:
        return
    lock, _in_use = _in_use, None
    folder = home()
    with _alone(folder):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # somebody else still uses them
        finally:
            for name in _started:
                os.environ.pop(name, None)
        redis.stop(folder / "redis")
        postgres.stop(folder / "postgres")
        _started.clear()
        lock.close()


def _share(folder: Path) -> None:
    """This process counts as a user of the servers until it ends."""
    global _in_use
    if _in_use is not None:
        return
    # Not inherited by programs that we start: a worker that outlives us must not hold our lock.
    _in_use = (folder / "in-use.lock").open("a")
    with _alone(folder):
        fcntl.flock(_in_use, fcntl.LOCK_SH)
    owner = os.getpid()

    def stop_in_the_owner_only() -> None:
        if os.getpid() == owner:  # a forked child runs our exit handlers too
            stop()

    atexit.register(stop_in_the_owner_only)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process starts or stops the servers meanwhile."""
    with (folder / "start.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise EmbeddedServerError(
            f"{folder} cannot be written ({error.strerror}): set DTOC_HOME to one that can, or "
            f"{DATABASE_VARIABLE} and {REDIS_VARIABLE} to servers of your own"
        ) from error
    if free < ENOUGH_BYTES:
        raise EmbeddedServerError(
            f"{folder} has {free // 2**20} MB left and a database needs "
            f"{ENOUGH_BYTES // 2**20} MB: free some, or set DTOC_HOME to another disk"
        )
    return folder
