import json
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.clock import now
from common.errors import DtocError
from customers.selectors import lookup_identity
from customers.services import erase_now


class Command(BaseCommand):
    help = "Erase a person on request, in the foreground, and print the signed receipt."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--pseudonym", type=UUID)
        parser.add_argument("--kind", help="kind of an identity, for example crm_id")
        parser.add_argument("--value", help="its value")
        parser.add_argument("--requested-by", default="command line")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            pseudonym = options["pseudonym"] or _looked_up(options["kind"], options["value"])
            request = erase_now(pseudonym=pseudonym, requested_by=options["requested_by"], at=now())
        except DtocError as error:
            raise CommandError(str(error)) from error
        if request.receipt is None:
            found = json.dumps(request.findings, indent=2)
            raise CommandError(
                f"request {request.id} is {request.status}; the scan still finds\n{found}\n"
                "Remove what is named there. The erasure is tried again by itself from "
                f"{request.retry_at}; `erase_customer --pseudonym {pseudonym}` does so at once."
            )
        self.stdout.write(json.dumps(request.receipt, indent=2))


def _looked_up(kind: str | None, value: str | None) -> UUID:
    if kind is None or value is None:
        raise CommandError("say whom to erase: --pseudonym P, or --kind K and --value V")
    return lookup_identity(kind, value)
