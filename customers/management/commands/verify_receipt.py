import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from customers.receipts import own_public_key, verify_receipt


class Command(BaseCommand):
    help = "Check that a receipt is ours and was not changed. How to check without us: receipts.py."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            receipt = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise CommandError(f"{file} is not a receipt in JSON: {error}") from error
        if not verify_receipt(receipt, public_key=own_public_key()):
            raise CommandError(f"{file} was changed, or signed by another installation")
        self.stdout.write("The receipt is ours and unchanged.")
