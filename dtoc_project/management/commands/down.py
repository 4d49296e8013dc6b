import os
import signal
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from dtoc_project.management.commands.up import running_stack

PATIENCE_SECONDS = 60


class Command(BaseCommand):
    help = "Stop the stack that `up` started in the background."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--quiet", action="store_true", help="say nothing if none runs")

    def handle(self, *args: Any, quiet: bool, **options: Any) -> None:
        record = settings.DTOC_HOME / "up.json"
        stack = running_stack(record)
        if stack is None:
            record.unlink(missing_ok=True)
            if not quiet:
                self.stdout.write("no stack of this folder is running")
            return
        os.kill(stack["pid"], signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while running_stack(record):
            if time.monotonic() > deadline:
                raise CommandError(
                    f"process {stack['pid']} does not stop: kill it and its children"
                )
            time.sleep(0.2)
        self.stdout.write(f"stopped the stack at {stack['web']}")
