"""One twin, brought up to date within the call that stored its event.

Somebody waits for the answer, so everything is read by one statement, and what was folded is
answered as it was written, without being read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from events.selectors import StoredEvent, unseen_events
from events.services import mark_advanced
from twins.fidelity import lines_to_score
from twins.folding import Folded, Head
from twins.heads import decode_memory, moment_of, waiting_of
from twins.markets import market_of_row
from twins.models import Twin
from twins.pointer import LOCK_CLASS, POINTER
from twins.selectors import LiveTwin, live_twin, model_reference
from twins.services.advance import advance_stream, fold_unseen
from twins.services.park import is_of_streams

# Made by the migration `claim_function`.
CLAIM = """
SELECT model, claimed, market, seen, snapshot, h, c, items, memory, waits_since, waiting,
    versions, ids, types, schemas, moments, datas, technicals, outliers
FROM twins_claim(%s, %s, %s)
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A twin that lags, held by this transaction, and all that its fold needs."""

    model_id: UUID
    version: int  # of the stream
    market_row: int | None
    head: Head | None
    unseen: list[StoredEvent]


def fresh_twin(*, pseudonym: UUID, at: datetime) -> LiveTwin | None:
    """The customer's twin after all events of its stream; None while no model is active.

    Folded by this call or by a worker that it waited for. A stream that cannot be folded is parked,
    and then the twin is the last that there is.
    """
    try:
        fresh = _folded(pseudonym, at)
    except Exception as error:
        if not is_of_streams(error):
            raise
        advance_stream(pseudonym=pseudonym, at=at)
        fresh = None
    return fresh or live_twin(pseudonym)


@transaction.atomic
def _folded(pseudonym: UUID, at: datetime) -> LiveTwin | None:
    claimed = _claimed(pseudonym)
    if claimed is None:
        return None
    heads = {pseudonym: claimed.head} if claimed.head else {}
    unseen = {pseudonym: claimed.unseen} if claimed.unseen else {}
    market = market_of_row(claimed.market_row)
    scored = lines_to_score(claimed.unseen[-1].event_id if claimed.unseen else None)
    folded = fold_unseen(claimed.model_id, heads, unseen, market, at, scored=scored)
    mark_advanced(versions={pseudonym: claimed.version})
    if not folded or folded[0].forecast is None:  # nothing but the stream version moved
        return None
    return LiveTwin(_as_written(folded[0], claimed, at), claimed.version)


def _claimed(pseudonym: UUID) -> Claimed | None:
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, [pseudonym, LOCK_CLASS, POINTER])
        model_id, version, market_row, seen, *rest = cursor.fetchone()
    if version is None:
        return None
    head = None if seen is None else _head(seen, *rest[:7])
    columns = rest[7:]
    return Claimed(
        model_id, version, market_row, head, unseen_events(pseudonym, columns) if columns[0] else []
    )


def _head(
    seen: int, snapshot: int, h: Any, c: Any, items: Any, memory: str, since: Any, waiting: int
) -> Head:
    return Head(
        seen, snapshot, bytes(h), bytes(c), bytes(items), decode_memory(memory), since, waiting
    )


def _as_written(folded: Folded, claimed: Claimed, at: datetime) -> Twin:
    """A value, never saved: it is stored already."""
    since, waiting = waiting_of(folded, claimed.head, at)
    return Twin(
        pseudonym=folded.pseudonym,
        model_version=model_reference(claimed.model_id),
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
