import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.errors import DtocError
from customers.services import repeat_scan


class Command(BaseCommand):
    help = (
        "Repeat the scan for an erased person and print what was searched, and for what. A "
        "completed request knows the pseudonym by its SHA-256 and the identities by their digests "
        "only; name the pseudonym or an identity to search for it in plain too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("request_id", metavar="REQUEST", type=UUID)
        parser.add_argument("--pseudonym", type=UUID)
        parser.add_argument(
            "--identity", nargs=2, action="append", default=[], metavar=("KIND", "VALUE")
        )

    def handle(
        self,
        *args: Any,
        request_id: UUID,
        pseudonym: UUID | None,
        identity: list[list[str]],
        **options: Any,
    ) -> None:
        identities = [(kind, value) for kind, value in identity]
        try:
            report = repeat_scan(request_id=request_id, pseudonym=pseudonym, identities=identities)
        except DtocError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(report.as_json(), indent=2))
        if not report.is_clean:
            raise CommandError(f"{len(report.findings)} places still name the person: see findings")
