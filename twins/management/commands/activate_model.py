from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.clock import now
from common.errors import DtocError
from events.selectors import lagging_total
from twins.progress import progress_bar
from twins.selectors import events_total, model_version_named
from twins.services import activate_model, rebuild_twins


class Command(BaseCommand):
    help = "Rebuild a model version's twins beside the live ones, then make it the active one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="id, name, or the first characters of the SHA-256")
        parser.add_argument("--reason", default="", help="why, where it is not known to be better")
        parser.add_argument(
            "--without-rebuild", action="store_true", help="let the advancer make the twins"
        )

    def handle(
        self, *args: Any, model: str, reason: str, without_rebuild: bool, **options: Any
    ) -> None:
        try:
            version = model_version_named(model)
            if not without_rebuild:
                self._rebuild(version.id)
            activate_model(model_id=version.id, at=now(), reason=reason)
        except DtocError as error:
            raise CommandError(str(error)) from error
        behind = lagging_total()
        self.stdout.write(f"{version.name} is active; {behind:,} events are left to advance")

    def _rebuild(self, model_id: Any) -> None:
        with progress_bar("Rebuilding", unit="events", total=events_total()) as bar:
            for done in rebuild_twins(model_id=model_id, at=now()):
                bar.reach(done.events)
