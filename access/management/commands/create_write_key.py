from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from access.services import create_write_key
from common.clock import now
from common.errors import DtocError


class Command(BaseCommand):
    help = "Create a write key for the Segment-compatible collector and print it (shown once)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the source that its events will carry")
        parser.add_argument("--another", action="store_true", help="beside an active key of it")
        parser.add_argument("--currency", default="", help="of orders that name none, e.g. EUR")
        parser.add_argument(
            "--user-id-kind", default="user_id", help="the kind of identity that a userId is"
        )
        parser.add_argument("--no-register", action="store_true", help="known customers only")
        parser.add_argument(
            "--known-types-only", action="store_true", help="other events go to quarantine"
        )
        parser.add_argument("--events-per-second", type=int, help="default: of the settings")
        parser.add_argument("--burst", type=int, help="events at once; default: of the settings")

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        try:
            created = create_write_key(
                name=name,
                at=now(),
                another=options["another"],
                currency=options["currency"],
                user_id_kind=options["user_id_kind"],
                may_register=not options["no_register"],
                keeps_unknown_types=not options["known_types_only"],
                events_per_second=options["events_per_second"],
                burst=options["burst"],
            )
        except DtocError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"WRITE_KEY={created.plain}")
