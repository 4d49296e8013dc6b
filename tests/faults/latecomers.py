"""One part of the exercise with killed workers, as a process of its own: ``latecomers PART ...``.

``models SEED ...``, ``append EVENTS STREAMS LAG``, ``count``, ``spoil``.
"""

import os
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import django

SPAN_DAYS = 60  # below the budget for late events: none has to wait for the night
AGAIN = 0.2  # of the batches come a second time
LATE = 0.1  # of the events come after everything else
BATCH = 200
BEGUN = datetime(2026, 1, 5, tzinfo=UTC)


def models(*seeds: int) -> None:
    """Small models with a mixture stand there, the first one active; their files are in place."""
    from tests.twins.builders import active_model, stored_model

    first, *others = seeds
    active_model(seed=first)
    for seed in others:
        stored_model(seed=seed)


def append(events: int, streams: int, most_lag: int) -> None:
    """So many events of so many customers come in disorder, some batches twice, some very late.

    While the twins lag by more than ``most_lag`` events nothing comes, so that late ones meet twins
    that are ahead of them.
    """
    from common.clock import now
    from customers.models import Customer
    from events.selectors import lagging_total
    from events.services import append_batch

    draw = random.Random(17)
    people = [UUID(int=draw.getrandbits(128), version=4) for _ in range(streams)]
    Customer.objects.bulk_create(
        Customer(pseudonym=pseudonym, country="GB", registered_at=BEGUN) for pseudonym in people
    )
    made = [_event(draw, people[number % streams], number) for number in range(events)]
    draw.shuffle(made)
    made.sort(key=lambda event: draw.random() < LATE)
    for start in range(0, events, BATCH):
        while lagging_total() > most_lag:
            time.sleep(0.05)
        batch = made[start : start + BATCH]
        append_batch(events=batch, at=now())
        if draw.random() < AGAIN:
            append_batch(events=draw.sample(batch, len(batch)), at=now())
    sys.stdout.write(f"{events:,} events of {streams:,} customers appended")


def _event(draw: random.Random, stream: UUID, number: int):
    from events.services import NewEvent
    from tests.twins.builders import SKUS, purchase, returned, viewed

    kind = draw.choices((purchase, returned, viewed), (8, 1, 1))[0]
    order = f"O{draw.randrange(200)}"
    data = viewed() if kind is viewed else kind(order, number, draw.choice(SKUS))
    return NewEvent(
        stream=stream,
        event_id=UUID(int=draw.getrandbits(128), version=4),
        type=data.type,
        schema_version=data.schema_version,
        occurred_at=BEGUN + timedelta(minutes=draw.randrange(SPAN_DAYS * 24 * 60)),
        data=data,
        metadata={"technical": True} if draw.random() < 0.02 else {},
    )


def count() -> None:
    """How many events are stored, and how the twins came to what they are."""
    from django.db.models import Count

    from events.models import Event
    from twins.models import ParkedStream, Twin

    modes = Twin.objects.values_list("fold_mode").annotate(n=Count("id")).order_by("fold_mode")
    told = " ".join(f"{mode}={n}" for mode, n in modes)
    sys.stdout.write(
        f"{Event.objects.count()} events, {ParkedStream.objects.count()} parked: {told}"
    )


def spoil() -> None:
    """A twin says that it has seen an event which it has not folded."""
    from twins.models import Twin

    twin = Twin.objects.order_by("pseudonym").first()
    assert twin is not None
    Twin.objects.filter(id=twin.id).update(memory={**twin.memory, "lines": 1})


PARTS = {part.__name__: part for part in (models, append, count, spoil)}

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtoc_project.settings")
    django.setup()
    PARTS[sys.argv[1]](*map(int, sys.argv[2:]))
