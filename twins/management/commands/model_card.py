from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.errors import DtocError
from twins.model_card import card_of
from twins.selectors import model_version_named


class Command(BaseCommand):
    help = "Print a model version's card: purpose, data, figures, limits, how to make it again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "model",
            nargs="?",
            default="active",
            help="id, name, first characters of the SHA-256, active or challenger (active)",
        )
        parser.add_argument("--output", type=Path, metavar="FILE", help="write it there")

    def handle(self, *args: Any, model: str, output: Path | None, **options: Any) -> None:
        try:
            card = card_of(model_version_named(model))
        except DtocError as error:
            raise CommandError(str(error)) from error
        if output is None:
            self.stdout.write(card, ending="")
            return
        try:
            output.write_text(card, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"the card cannot be written: {error}") from error
        self.stdout.write(f"{output}: {len(card.splitlines())} lines")
