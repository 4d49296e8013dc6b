from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.clock import now
from common.errors import DtocError
from twins.progress import progress_bar
from twins.selectors import events_total, model_version_named
from twins.services import AdvanceReport, rebuild_twins


class Command(BaseCommand):
    help = "Build the twins of a model version beside the live ones."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="id, name, or the first characters of the SHA-256")

    def handle(self, *args: Any, model: str, **options: Any) -> None:
        done = AdvanceReport()
        try:
            version = model_version_named(model)
            with progress_bar("Rebuilding", unit="events", total=events_total()) as bar:
                for done in rebuild_twins(model_id=version.id, at=now()):
                    bar.reach(done.events)
        except DtocError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{version.name}: {done.streams:,} streams, {done.events:,} events")
