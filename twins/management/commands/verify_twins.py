from collections.abc import Iterator
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from django.core.management.base import BaseCommand, CommandError, CommandParser

from events.selectors import streams
from twins.errors import NoActiveModel
from twins.models import Twin
from twins.progress import progress_bar
from twins.selectors import active_model
from twins.services import Verification, verify_twins

PAGE = 1_000
SHOWN = 20


class Command(BaseCommand):
    help = (
        "Compare twins with a fold of their streams from the first event; ends with status 1 "
        "where one differs."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("pseudonyms", nargs="*", type=UUID, metavar="PSEUDONYM")
        parser.add_argument("--all", action="store_true", help="every twin (the default)")
        parser.add_argument("--sample", type=int, help="so many customers, drawn at random")

    def handle(
        self, *args: Any, pseudonyms: list[UUID], sample: int | None, **options: Any
    ) -> None:
        result = Verification()
        try:
            expected = Twin.objects.filter(model_version=active_model()).count()
            chosen = pseudonyms or (sampled(sample) if sample else every())
            total = len(pseudonyms) or min(sample or expected, expected)
            with progress_bar("Verifying", unit="twins", total=total) as bar:
                for result in verify_twins(chosen):
                    bar.reach(result.twins)
        except NoActiveModel as error:
            raise CommandError(str(error)) from error
        self._tell(result)

    def _tell(self, result: Verification) -> None:
        for difference in result.differences[:SHOWN]:
            self.stdout.write(f"{difference.pseudonym}: {difference.what}")
        if len(result.differences) > SHOWN:
            self.stdout.write(f"... and {len(result.differences) - SHOWN:,} more")
        if result.lagging:
            self.stdout.write(
                f"{result.lagging:,} twins lag: {result.unseen_events:,} events not folded yet"
            )
        if result.waiting:
            self.stdout.write(
                f"{result.waiting:,} twins wait for the nightly rebuild: {result.waiting_events:,} "
                "events came later than the budget allows; these twins were not compared"
            )
        count = len(result.differences)
        total = (
            f"{count:,} differences in {result.twins:,} twins "
            f"(largest difference of a state {result.largest_state_difference:.1e})"
        )
        if count:
            raise CommandError(f"{total}: rebuild the named twins, and find out why")
        self.stdout.write(total)


def every() -> Iterator[UUID]:
    """All streams, in the order of their ids."""
    return _from(None)


def sampled(size: int) -> Iterator[UUID]:
    """``size`` streams in a row from a random place on: ids are random, so this is a sample."""
    start = uuid4()
    later = _from(start)
    first = list(islice(later, size))
    seen = set(first)
    yield from first
    yield from islice((s for s in every() if s not in seen), size - len(first))


def _from(after: UUID | None) -> Iterator[UUID]:
    while page := streams(after, PAGE):
        yield from (head.stream for head in page)
        after = page[-1].stream
