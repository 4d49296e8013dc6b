from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from common.clock import now
from events.services import raise_feed_epoch, raise_where_restored


class Command(BaseCommand):
    help = "Begin a new epoch of the feed after the database was restored or moved."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--always",
            action="store_true",
            help="also where no restore is seen (a copy of the files was put back in place)",
        )

    def handle(self, *args: Any, always: bool, **options: Any) -> None:
        epoch = raise_feed_epoch(at=now()) if always else raise_where_restored(at=now())
        if epoch is None:
            self.stdout.write("this is the database in which the current epoch began: left alone")
        else:
            self.stdout.write(f"epoch {epoch} has begun; readers of lost events are told so")
