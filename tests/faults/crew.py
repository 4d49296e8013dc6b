"""Writers and readers as processes of their own: ``python -m tests.faults.crew FOLDER PLAN``.

Everything that a writer got acknowledged and everything that a reader read ends in files, which
:mod:`tests.faults.logbook` compares with the table. Before the writers draw at random, two of them
act three scenes that go wrong in one certain way where a rule is broken. ``sabotage`` breaks one on
purpose: the harness has to notice.
"""

import json
import multiprocessing
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.context import ForkProcess
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Literal
from uuid import UUID

import django

Sabotage = Literal["", "no barrier", "late locks", "locks in any order"]
FORK = multiprocessing.get_context("fork")
CUE_SECONDS = 20.0  # for a cue that will come
NO_CUE_SECONDS = 0.4  # for one that must not


@dataclass(frozen=True)
class Plan:
    """What the crew does. Each event goes to one of ``streams`` that all writers share."""

    writers: int
    events: int
    streams: int
    readers: int = 2
    largest_batch: int = 200
    seed: int = 1
    sabotage: Sabotage = ""

    def json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Cues:
    """What the actors of the scenes tell each other."""

    slow_has_written: Flag
    quick_was_read: Flag
    first_has_begun: Flag
    second_is_stored: Flag
    one_is_locked: Flag
    other_is_locked: Flag
    first_actor_has_ended: Flag
    second_actor_has_ended: Flag
    writers_are_done: Flag


def uuids(draw: random.Random, count: int) -> list[UUID]:
    return [UUID(int=draw.getrandbits(128), version=4) for _ in range(count)]


def nothing() -> None:
    """No scene."""


class Writer:
    """Appends its share in transactions of all sizes; some dawdle, some roll back and try again."""

    def __init__(self, number: int, plan: Plan, cues: Cues, folder: Path) -> None:
        self.number, self.plan, self.cues = number, plan, cues
        self.draw = random.Random(plan.seed * 1_000 + number)
        self.streams = uuids(random.Random(plan.seed), plan.streams)
        self.stage = uuids(
            random.Random(f"stage {plan.seed}"), 5
        )  # streams that only the scenes use
        self.log = (folder / f"writer-{number}.ids").open("wb")

    def run(self) -> None:
        self.perform()
        left = self.plan.events // self.plan.writers
        while left:
            count = min(left, self.draw.randint(1, self.plan.largest_batch))
            self.transact([self.somewhere() for _ in range(count)])
            left -= count
        self.log.close()

    def somewhere(self) -> UUID:
        """Half of all events go to a few streams that everybody writes to."""
        crowded = self.streams[: max(1, self.plan.streams // 50)]
        return self.draw.choice(crowded if self.draw.random() < 0.5 else self.streams)

    def transact(self, streams: list[UUID], before=nothing, after=nothing) -> None:
        """The events are stored, in a second attempt where the first is rolled back."""
        from django.db import transaction

        from tests.events.builders import viewed

        events = [viewed(stream, f"W{self.number}") for stream in streams]
        dawdle = self.draw.choice([0.01, 0.03, 0.2]) if self.draw.random() < 0.05 else 0
        for gives_up in (self.draw.random() < 0.03, False):
            with transaction.atomic():
                self.lock(streams, before)
                self.append(events)
                time.sleep(dawdle)
                after()
                transaction.set_rollback(gives_up)
            if not gives_up:
                break
        self.log.write(b"".join(event.event_id.bytes for event in events))

    def lock(self, streams: list[UUID], then: Callable[[], None]) -> None:
        """The transaction holds the locks; ``then`` happens between locking and writing."""
        from common.locks import lock_streams

        if self.plan.sabotage == "late locks":
            self.execute("SELECT pg_current_xact_id()")
            then()
            lock_streams(streams)
        elif self.plan.sabotage == "locks in any order":
            lock_streams(streams[:1])
            then()
            for stream in streams:
                lock_streams([stream])
        else:
            lock_streams(streams)
            then()

    def append(self, events: list) -> None:
        from events.services import append_batch
        from tests.builders import NOON

        half = len(events) // 2 if self.draw.random() < 0.3 else 0
        append_batch(events=events[:half], at=NOON)
        append_batch(events=events[half:], at=NOON)
        if self.plan.sabotage == "late locks":  # there is a second guard: it is to sleep, too
            self.execute("UPDATE events_stream SET last_txid = 0 WHERE last_txid > 0")

    def execute(self, statement: str) -> None:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute(statement)

    def perform(self) -> None:
        """The scenes are over; nobody else writes meanwhile, nobody waits for one who failed."""
        ends = (self.cues.first_actor_has_ended, self.cues.second_actor_has_ended)
        try:
            self.scenes()
        finally:
            for end in ends[self.number : self.number + 1]:
                end.set()
        for end in ends:
            end.wait(CUE_SECONDS)

    def scenes(self) -> None:
        cues, (slow, quick, both, one, other) = self.cues, self.stage
        if self.number == 0:
            read = self.tell("no barrier", cues.slow_has_written, cues.quick_was_read)
            self.transact([slow], after=read)
            stored = self.tell("late locks", cues.first_has_begun, cues.second_is_stored)
            self.transact([both], before=stored)
            locked = self.tell("locks in any order", cues.one_is_locked, cues.other_is_locked)
            self.transact([one, other], before=locked)
        elif self.number == 1:
            cues.slow_has_written.wait(CUE_SECONDS)
            self.transact([quick])
            cues.first_has_begun.wait(CUE_SECONDS)
            self.transact([both])
            cues.second_is_stored.set()
            cues.one_is_locked.wait(CUE_SECONDS)
            locked = self.tell("locks in any order", cues.other_is_locked, cues.one_is_locked)
            self.transact([other, one], before=locked)

    def tell(self, broken: Sabotage, what: Flag, awaited: Flag) -> Callable[[], None]:
        """The actor gives a cue and waits for one, which comes only where a rule is broken."""
        seconds = CUE_SECONDS if self.plan.sabotage == broken else NO_CUE_SECONDS

        def act() -> None:
            what.set()
            awaited.wait(seconds)

        return act


class Reader:
    """Follows the feed all the time, in pages of all sizes, until the writers have ended."""

    def __init__(self, number: int, plan: Plan, cues: Cues, folder: Path) -> None:
        self.draw = random.Random(plan.seed * 2_000 + number)
        self.cues = cues
        self.quick = uuids(random.Random(f"stage {plan.seed}"), 5)[1]
        self.log = (folder / f"reader-{number}.ids").open("wb")

    def run(self) -> None:
        from events.feed import feed

        position = None
        while True:
            is_last = self.cues.writers_are_done.is_set()
            page = feed(position, self.draw.randint(1, 1_500))
            self.log.write(b"".join(event.event_id.bytes for event in page))
            if any(event.stream == self.quick for event in page):
                self.cues.quick_was_read.set()
            if page:
                position = page[-1].feed_position
            elif is_last:
                break
            else:
                time.sleep(0.005)
        self.log.close()


def sabotaged(plan: Plan) -> None:
    if plan.sabotage == "no barrier":
        from events import feed

        feed.READABLE = "true"


def started(actors: list) -> list[ForkProcess]:
    processes = [FORK.Process(target=actor.run) for actor in actors]
    for process in processes:
        process.start()
    return processes


def main(folder: Path, plan: Plan) -> int:
    """How many of the processes ended badly; forked before anything has connected."""
    django.setup()
    sabotaged(plan)
    cues = Cues(*(FORK.Event() for _ in range(9)))
    readers = started([Reader(number, plan, cues, folder) for number in range(plan.readers)])
    writers = started([Writer(number, plan, cues, folder) for number in range(plan.writers)])
    for writer in writers:
        writer.join()
    cues.writers_are_done.set()
    for reader in readers:
        reader.join()
    return sum(process.exitcode != 0 for process in (*writers, *readers))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Plan(**json.loads(sys.argv[2]))))
