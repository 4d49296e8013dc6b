"""Rebuilding: folding streams from their first event, to compare or to prepare another model."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection, transaction

from ml.states import TwinStates
from twins.folding import fold, fold_from_start, unseen_of, whole_histories
from twins.heads import read_heads, write_heads
from twins.markets import newest_market
from twins.models import ModelVersion, ParkedStream
from twins.rewinding import Rewind, planned, rewound
from twins.selectors import active_model, loaded_model, model_version_by_id
from twins.services.advance import AdvanceReport
from twins.services.market import count_market
from twins.services.park import Outcome, Tried, divided, is_of_streams, park

if TYPE_CHECKING:
    from ml.twin import TwinModel

STREAMS_PER_BATCH = 256
State = ModelVersion.State

# The lock lets appenders go on but makes an erasure wait: it deletes the stream's row first and
# would otherwise be done with the twins before ours is written.
NEXT_STREAMS = """
SELECT stream FROM events_stream
WHERE stream > coalesce(%s::uuid, '00000000-0000-0000-0000-000000000000')
ORDER BY stream LIMIT %s FOR KEY SHARE
"""


def rebuild_states(pseudonyms: Iterable[UUID]) -> tuple[TwinStates, dict[UUID, int]]:
    """The states of these customers under the active model, folded from their first events.

    Nothing is written. Row b belongs to the b-th key; the values are stream versions, and
    customers without events are left out.

    Raises:
        NoActiveModel: there is no active model.
    """
    model = loaded_model(active_model())
    histories = whole_histories(pseudonyms)
    versions = {pseudonym: events[-1].version for pseudonym, events in histories.items()}
    return fold_from_start(model, histories), versions


def rebuild_twins(*, model_id: UUID, at: datetime) -> Iterator[AdvanceReport]:
    """The twins of a model stand beside the live ones; yields what has been done in all so far.

    A batch of streams a transaction; started again, it goes on where twins are missing or behind.
    No late event waits here, however old, and twins that waited do not any more. Streams whose fold
    fails are parked under that model. When it has seen every stream, a freshly trained version
    becomes ``rebuilt``.

    Raises:
        UnknownModelVersion: there is none of that id.
    """
    version = model_version_by_id(model_id)
    count_market(model_id=version.id, at=at)
    done, last = AdvanceReport(), None
    while True:
        last, report = _rebuild_batch(version.id, last, at)
        if last is None:
            break
        done = done + report
        yield done
    trained = ModelVersion.objects.filter(id=model_id, state=State.TRAINED)
    trained.update(state=State.REBUILT)


def _rebuild_batch(
    model_id: UUID, after: UUID | None, at: datetime
) -> tuple[UUID | None, AdvanceReport]:
    try:
        return _next_batch(model_id, after, at, apart=False)
    except Exception as error:
        if not is_of_streams(error):
            raise
    return _next_batch(model_id, after, at, apart=True)


@transaction.atomic
def _next_batch(
    model_id: UUID, after: UUID | None, at: datetime, *, apart: bool
) -> tuple[UUID | None, AdvanceReport]:
    with connection.cursor() as cursor:
        cursor.execute(NEXT_STREAMS, [after, STREAMS_PER_BATCH])
        pseudonyms = [stream for (stream,) in cursor.fetchall()]
    if not pseudonyms:
        return None, AdvanceReport()
    model = loaded_model(model_id)

    def fold_part(part: list[UUID]) -> Outcome:
        return _fold_batch(model, model_id, part, at)

    tried = divided(pseudonyms, fold_part) if apart else Tried(fold_part(pseudonyms))
    for pseudonym, error in tried.failed.items():
        park(pseudonym=pseudonym, model_id=model_id, error=error, at=at)
    ParkedStream.objects.filter(
        model_version_id=model_id, pseudonym__in=list(tried.done.versions)
    ).delete()
    streams = len(pseudonyms) - len(tried.failed)
    return pseudonyms[-1], AdvanceReport(streams, tried.done.events, len(tried.failed))


def _fold_batch(
    model: "TwinModel", model_id: UUID, pseudonyms: list[UUID], at: datetime
) -> Outcome:
    heads = read_heads(model_id, pseudonyms)
    unseen = unseen_of(pseudonyms, heads)
    plan = planned(model_id, heads, unseen, budget=None)
    waiting = {p: head for p, head in heads.items() if head.waits_since and p not in unseen}
    mended = rewound(model_id, {p: Rewind(head.stream_version) for p, head in waiting.items()})
    folded = fold(model, plan.works + mended.works, newest_market(model_id))
    write_heads(folded, heads, model_id=model_id, at=at, rebuilt=True)
    events = sum(len(own) for own in unseen.values())
    return Outcome({twin.pseudonym: twin.stream_version for twin in folded}, events)
