"""``manage.py verify_export DIR``"""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.errors import DtocError
from events.services.exporting import verify_export


class Command(BaseCommand):
    help = "Check every file of an export against its manifest."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            manifest = verify_export(folder=folder)
        except DtocError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{manifest.rows:,} events in {len(manifest.parts)} files: as the manifest says"
        )
