from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.clock import now
from common.errors import DtocError
from twins.selectors import active_model, model_version_named
from twins.services import count_market


class Command(BaseCommand):
    help = "Count what all customers bought up to midnight; forecasts read it from then on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "model", nargs="?", help="id, name, or the first characters of the SHA-256 (the active)"
        )

    def handle(self, *args: Any, model: str | None, **options: Any) -> None:
        try:
            version = model_version_named(model) if model else active_model()
            row = count_market(model_id=version.id, at=now())
        except DtocError as error:
            raise CommandError(str(error)) from error
        if row is None:
            self.stdout.write(f"{version.name}: nothing newer than what it reads already")
        else:
            self.stdout.write(
                f"{version.name}: {row.lines:,} lines on {row.number:,} days before {row.day}"
            )
