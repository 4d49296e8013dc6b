from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from access.scopes import SCOPES
from access.services import create_client
from common.errors import DtocError


class Command(BaseCommand):
    help = "Create an API client and print its id and secret (the secret is shown once)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--scopes", nargs="+", default=list(SCOPES), help="default: all scopes")
        parser.add_argument("--replace", action="store_true", help="replace a client of that name")

    def handle(
        self, *args: Any, name: str, scopes: list[str], replace: bool, **options: Any
    ) -> None:
        try:
            client = create_client(name=name, scopes=scopes, replace=replace)
        except DtocError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"CLIENT_ID={client.client_id}\nCLIENT_SECRET={client.client_secret}")
