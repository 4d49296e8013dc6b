"""One twin, brought up to date within the call that stored its event.

Somebody waits for the answer, so all that the fold needs is read by one statement, and one more
stores what came out. Nothing is held in between: where something has moved meanwhile, nothing is
stored, and the stream is claimed as a worker does it. What was folded is answered as it was
written, without being read again.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from common.cycles import without_search_for_cycles
from events.selectors import StoredEvent, unseen_events
from twins.fidelity import foreseen, lines_to_score, note_fidelity
from twins.folding import Folded, Head, fold, late_events, work_of
from twins.heads import decode_memory, moment_of, settle_head, snapshot_due, waiting_of
from twins.markets import market_of_row
from twins.models import Twin
from twins.selectors import LiveTwin, live_twin, loaded_model, model_reference
from twins.services.advance import advance_stream
from twins.services.park import is_of_streams

# Made by the migration `look_and_settle`.
LOOK = """
SELECT model, market, token, seen, snapshot, h, c, items, memory, waits_since, waiting, versions,
    ids, types, schemas, moments, datas, technicals, outliers
FROM twins_look(%s)
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """A twin that lags, and all that its fold needs, as of one moment; nobody holds it."""

    pseudonym: UUID
    model_id: UUID
    market_row: int | None
    head: Head | None
    token: str | None  # of the row of the twin; None: there is none
    unseen: list[StoredEvent]

    @property
    def goes_on(self) -> bool:
        """Nothing came late, so that the events are folded onto the head."""
        return self.head is None or not late_events(self.unseen, self.head)


def fresh_twin(*, pseudonym: UUID, at: datetime) -> LiveTwin | None:
    """The customer's twin after all events of its stream; None while no model is active.

    Folded by this call or by a worker that it waited for. A stream that cannot be folded is parked,
    and then the twin is the last that there is.
    """
    seen = _seen(pseudonym)
    if seen is None:
        return live_twin(pseudonym)
    fresh = _folded(seen, at) if seen.goes_on else None
    if fresh is None:
        advance_stream(pseudonym=pseudonym, at=at)
    return fresh or live_twin(pseudonym)


def _folded(seen: Seen, at: datetime) -> LiveTwin | None:
    """The twin as it was stored; None where it could not be folded, or something had moved."""
    try:
        with without_search_for_cycles():
            return _settled(seen, at)
    except Exception as error:
        if not is_of_streams(error):
            raise
    return None


def _settled(seen: Seen, at: datetime) -> LiveTwin | None:
    works = [work_of(seen.pseudonym, seen.unseen, seen.head)]
    model, market = loaded_model(seen.model_id), market_of_row(seen.market_row)
    scored = lines_to_score(seen.unseen[-1].event_id)
    foresight = foreseen(model, works, market, most=scored)
    (folded,) = fold(model, works, market)
    if folded.forecast is None:  # nothing but the stream version moved
        return None
    writes_more = foresight is not None or snapshot_due(folded, seen.head)
    with transaction.atomic() if writes_more else nullcontext():
        version = settle_head(folded, seen.head, seen.token, model_id=seen.model_id, at=at)
        if version is None:
            return None
        note_fidelity(foresight, model_id=seen.model_id, at=at)
    return LiveTwin(_as_written(folded, seen, at), version)


def _seen(pseudonym: UUID) -> Seen | None:
    with connection.cursor() as cursor:
        cursor.execute(LOOK, [pseudonym])
        model_id, market_row, token, seen, *rest = cursor.fetchone()
    head, columns = None if seen is None else _head(seen, *rest[:7]), rest[7:]
    if model_id is None or columns[0] is None:
        return None
    return Seen(pseudonym, model_id, market_row, head, token, unseen_events(pseudonym, columns))


def _head(
    seen: int, snapshot: int, h: Any, c: Any, items: Any, memory: str, since: Any, waiting: int
) -> Head:
    return Head(
        seen, snapshot, bytes(h), bytes(c), bytes(items), decode_memory(memory), since, waiting
    )


def _as_written(folded: Folded, seen: Seen, at: datetime) -> Twin:
    """A value, never saved: it is stored already."""
    since, waiting = waiting_of(folded, seen.head, at)
    return Twin(
        pseudonym=folded.pseudonym,
        model_version=model_reference(seen.model_id),
        stream_version=folded.stream_version,
        clock_at=moment_of(folded.memory["clock_ms"]),
        h=folded.h,
        c=folded.c,
        items=folded.items,
        memory=folded.memory,
        forecast=folded.forecast,
        fold_mode=folded.mode,
        waits_since=since,
        waiting_events=waiting,
        updated_at=at,
    )
