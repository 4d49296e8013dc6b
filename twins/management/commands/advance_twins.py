import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from common.clock import now
from events.selectors import lagging_total
from twins.errors import NoActiveModel
from twins.progress import progress_bar
from twins.selectors import active_model
from twins.services import AdvanceReport, advance_all
from twins.services.advance import STREAMS_PER_BATCH


class Command(BaseCommand):
    help = "Advance every lagging twin here and now; workers may do the same beside it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--limit", type=int, default=STREAMS_PER_BATCH, help="streams a transaction"
        )

    def handle(self, *args: Any, limit: int, **options: Any) -> None:
        try:
            model = active_model()
        except NoActiveModel as error:
            raise CommandError(str(error)) from error
        begun, done = time.monotonic(), AdvanceReport()
        clock = iter(now, None)
        with progress_bar("Advancing", unit="events", total=lagging_total()) as bar:
            for done in advance_all(clock=clock, limit=limit):
                bar.reach(done.events)
        seconds = time.monotonic() - begun
        self.stdout.write(
            f"{done.streams:,} twins advanced over {done.events:,} events under {model.name} in "
            f"{seconds:.1f} s ({done.events / seconds:,.0f} events/s)"
        )
