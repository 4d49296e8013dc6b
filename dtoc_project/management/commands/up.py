import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dtoc_project import ports, supervisor

PATIENCE_SECONDS = 90
STOPPED_ON_PURPOSE = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)


class Command(BaseCommand):
    help = "Run web, workers, beat and Flower until Ctrl-C (production: run them as services)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="of the web server (8000)")
        parser.add_argument("--flower-port", type=int, default=5555, help="of Flower (5555)")
        parser.add_argument("--detach", action="store_true", help="return once the stack answers")

    def handle(self, *args: Any, port: int, flower_port: int, detach: bool, **options: Any) -> None:
        record = settings.DTOC_HOME / "up.json"
        _refuse_a_second_stack(record)
        flower = refuse_ports_in_use(port, flower_port)
        call_command("migrate", interactive=False, verbosity=0)
        if detach:
            _detach(port, flower)
        else:
            self._run(record, port, flower)

    def _run(self, record: Path, port: int, flower_port: int) -> None:
        urls = {"web": f"http://127.0.0.1:{port}", "flower": f"http://127.0.0.1:{flower_port}"}
        record.write_text(json.dumps({"pid": os.getpid(), **urls}))
        self.stdout.write(
            f"web      {urls['web']}/admin/\nAPI      {urls['web']}/api/docs/\n"
            f"Flower   {urls['flower']}/\nCtrl-C stops everything.\n"
        )
        self.stdout.flush()
        try:
            status = supervisor.run(
                supervisor.commands(port=port, flower_port=flower_port),
                environment={"DTOC_FLOWER_URL": f"{urls['flower']}/"},
            )
        finally:
            record.unlink(missing_ok=True)
        if status not in STOPPED_ON_PURPOSE:
            raise CommandError(f"a process ended with status {status}: see the lines above")
        self.stdout.write("stopped")


def refuse_ports_in_use(port: int, flower_port: int = 5555) -> int:
    """The port for Flower; the web port is the user's choice, so it is never moved silently."""
    if not ports.is_free(port):
        other = ports.first_free(port + 1)
        raise CommandError(f"port {port} is in use by another program: try `make up PORT={other}`")
    flower = ports.first_free(flower_port)
    if flower is None:
        raise CommandError(f"ports {flower_port} and the next 50 are in use: pass --flower-port")
    return flower


def _refuse_a_second_stack(record: Path) -> None:
    running = running_stack(record)
    if running:
        raise CommandError(
            f"a stack of this folder is running already at {running['web']}: "
            "stop it with `make down`"
        )


def running_stack(record: Path) -> dict[str, Any] | None:
    """The stack that ``record`` tells of, where its supervisor lives."""
    try:
        stack: dict[str, Any] = json.loads(record.read_text())
        command = Path(f"/proc/{stack['pid']}/cmdline")
        os.kill(stack["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    if command.exists() and b"manage.py" not in command.read_bytes():
        return None  # the number went to another program
    return stack


def _detach(port: int, flower_port: int) -> None:
    """The stack runs in the background and answers."""
    log = settings.DTOC_HOME / "up.log"
    arguments = ["up", "--port", str(port), "--flower-port", str(flower_port)]
    # It must hold the private servers itself, so it may not inherit that they are there already.
    hidden = {"DTOC_DATABASE_URL", "DTOC_REDIS_URL"} if _servers_are_private() else set()
    environment = {k: v for k, v in os.environ.items() if k not in hidden}
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, str(supervisor.ROOT / "manage.py"), *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env=environment,
        )  # fmt: skip
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not _answers(f"http://127.0.0.1:{port}/livez"):
        if process.poll() is not None or time.monotonic() > deadline:
            last = "\n".join(log.read_text().splitlines()[-15:])
            raise CommandError(f"the stack did not come up; end of {log}:\n{last}")
        time.sleep(0.3)


def _servers_are_private() -> bool:
    return str(settings.DTOC_HOME) in os.environ.get("DTOC_DATABASE_URL", "")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - loopback
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
