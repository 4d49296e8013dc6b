"""The processes of one machine's stack under one supervisor (honcho)."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from honcho.manager import Manager

ROOT = Path(__file__).resolve().parent.parent
# Chunks of a simulation share nothing, so they get a process per core, each with one thread.
PROCESSES_OF = {"ingest": 1, "twins": 1, "simulations": os.cpu_count() or 1, "training": 1}


# Clients that keep their connections open are spread over the processes by chance, so that with
# as many processes as cores two of them often share one, and a core is idle.
WEB_PROCESSES = 2 * (os.cpu_count() or 1)


def commands(*, port: int, flower_port: int, web_processes: int = WEB_PROCESSES) -> dict[str, str]:
    """What to run, by name: web, one worker per queue, beat and Flower."""
    python = sys.executable
    celery = f"{python} -m celery -A dtoc_project.celery:app"
    workers = {
        queue: f"{celery} worker -Q {queue} -n {queue}@%h -c {processes} --loglevel INFO"
        for queue, processes in PROCESSES_OF.items()
    }
    web = f"{python} -m dtoc_project.server --port {port} --processes {web_processes}"
    flower = f"{celery} flower --address=127.0.0.1 --port={flower_port} --logging=warning"
    return {"web": web, **workers, "beat": f"{celery} beat --loglevel WARNING", "flower": flower}


def run(processes: Mapping[str, str], *, environment: Mapping[str, str]) -> int:
    """All processes ran until Ctrl-C or until one of them ended; returns the exit status.

    One that ends takes the others down: half a stack that looks alive helps nobody.
    """
    manager = Manager()
    for name, command in processes.items():
        threads = {} if name == "training" else {"OMP_NUM_THREADS": "1"}
        env = {**threads, **os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        manager.add_process(name, command, env=env, cwd=str(ROOT))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a detached stack outlives its terminal
    manager.loop()
    return manager.returncode or 0
