"""The web server: ``python -m dtoc_project.server --port 8000 --processes 4``.

Granian speaks HTTP outside the interpreter, which for a single event saves a quarter of a
millisecond of the two that it takes in all (ADR 0009).
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing import parent_process
from threading import Thread
from time import sleep
from typing import Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces

from common.cycles import look_for_cycles_rarely

THREADS = 4
STOP_SECONDS = 10
WATCH_SECONDS = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Requests were answered until SIGTERM or SIGINT; those under way then had 10 s to end."""
    options = _parser().parse_args(arguments)
    Granian(
        "dtoc_project.server:application",
        factory=True,
        address=options.address,
        port=options.port,
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=options.processes,
        blocking_threads=THREADS,
        workers_kill_timeout=STOP_SECONDS,
        respawn_failed_workers=True,
        respawn_interval=0.1,
    ).serve()
    return 0


def application() -> Any:
    """The WSGI application of a process that has just begun."""
    from dtoc_project.wsgi import application as wsgi

    if (parent := parent_process()) is not None:  # known from the start, even if gone by now
        Thread(target=_end_with, args=[parent.pid], name="end-with-parent", daemon=True).start()
    look_for_cycles_rarely()
    return wsgi


def _end_with(parent: int) -> None:
    """A server that was killed leaves no process behind that holds its port."""
    while os.getppid() == parent:
        sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dtoc_project.server", description="Serve the API, the admin and the docs."
    )
    parser.add_argument("--address", default="127.0.0.1", help="to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="to listen at (8000)")
    cores = os.cpu_count() or 1
    parser.add_argument(
        "--processes",
        type=int,
        default=2 * cores,
        help=f"that share the work (twice the cores: {2 * cores})",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
