"""The twin as it was: at a stream version, as known at a past moment, and event by event.

Version v is the fold of the first v events of the stream in the order in which they happened,
under the model that is active now. It is read from the newest snapshot that fits (``twins.bases``)
and the events after it, or from the first event where none fits. Events and snapshots never change,
so one question always has one answer. Nothing here is locked or written: the live twin is not
disturbed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import connection

from events.selectors import StoredEvent, events_between
from twins.bases import newest_bases
from twins.encoding import is_folded
from twins.errors import TwinVersionNotKept
from twins.folding import Folded, Head, Mode, Work, fold, late_events, work_of
from twins.heads import moment_of
from twins.markets import market_known_at
from twins.models import Twin, TwinPayload, TwinSnapshot
from twins.selectors import loaded_model

if TYPE_CHECKING:
    from ml.mixture.market import Snapshot
    from ml.twin import TwinModel

OLDEST = 1
# How past twins came to be; the live ones' modes are those of ``Twin.FoldMode``.
FROM_SNAPSHOT, REPLAYED = "snapshot", "replayed"

# Known at a moment is what comes before the first event that was not recorded by then: a version
# never appears before a smaller one, whatever the clocks of two servers said.
RECORDED = """
SELECT min(recorded_at),
    coalesce(min(version) FILTER (WHERE recorded_at > %s) - 1, max(version), 0)
FROM events_event WHERE stream = %s
"""
RECORDED_AT = (
    "SELECT version, recorded_at FROM events_event WHERE stream = %s AND version = ANY(%s)"
)


@dataclass(frozen=True, slots=True)
class Known:
    """What had been recorded of a stream at a moment."""

    version: int  # of the last event recorded by then; 0: none
    first_recorded_at: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """One version of a twin, the one before it, and the event between the two."""

    event: StoredEvent
    before: Twin
    after: Twin
    late: bool  # it happened before the last event that the twin had seen

    @property
    def folded(self) -> bool:
        """Whether the event can have moved the twin at all."""
        return is_folded(self.event)


def known_at(pseudonym: UUID, moment: datetime) -> Known:
    """How far the stream had been recorded at a moment."""
    with connection.cursor() as cursor:
        cursor.execute(RECORDED, [moment, pseudonym])
        first, version = cursor.fetchone()
    return Known(version, first)


def recorded_at(pseudonym: UUID, *versions: int) -> dict[int, datetime]:
    """When these versions of the stream were recorded."""
    with connection.cursor() as cursor:
        cursor.execute(RECORDED_AT, [pseudonym, list(versions)])
        return dict(cursor.fetchall())


def twin_as_of(live: Twin, moment: datetime) -> Twin:
    """The twin that answers for a moment: the live one, or the one that was known then.

    The live one answers for every moment at or after its last event by which all its events had
    been recorded. It also answers for such a moment before anything was recorded at all: a history
    that was imported is asked about in its own time. Any other moment is answered as known then.

    Raises:
        TwinVersionNotKept: nothing was recorded by then, and the twin's last event came later.
    """
    known = known_at(live.pseudonym, moment)
    unrecorded = known.first_recorded_at is None or moment < known.first_recorded_at
    after_its_clock = live.clock_at is None or moment >= live.clock_at
    if after_its_clock and (unrecorded or known.version >= live.stream_version):
        return live
    if known.version < OLDEST:
        raise _not_kept(live, f"known at {moment.isoformat()}")
    return twin_at(live, min(known.version, live.stream_version))


def past_twin(
    live: Twin, *, version: int | None, as_of: datetime | None
) -> tuple[Twin, datetime | None]:
    """The twin that was asked for, and the moment of its predictions; None: now.

    A version is asked about ``as_of``, or else the moment at which it was recorded, or its clock
    where that was ahead: so that the same question has the same answer tomorrow.

    Raises:
        TwinVersionNotKept: there is no such version, or nothing was known by then.
    """
    if version is None:
        return (live, None) if as_of is None else (twin_as_of(live, as_of), as_of)
    past = twin_at(live, version)
    if as_of is None:
        as_of = recorded_at(past.pseudonym, version).get(version, past.updated_at)
        as_of = max(as_of, past.clock_at or as_of)
    return past, as_of


def twin_at(live: Twin, version: int) -> Twin:
    """The twin at a stream version; a value, never saved.

    The live twin itself where it stands there and does not wait for late events.

    Raises:
        TwinVersionNotKept: the live twin has not come so far, or the version is below 1.
    """
    if not OLDEST <= version <= live.stream_version:
        raise _not_kept(live, f"at version {version}")
    if version == live.stream_version and live.waits_since is None:
        return live
    return _as_recorded(live, version)


def steps(live: Twin, *, first: int, last: int) -> Iterator[Step]:
    """Versions ``first`` to ``last``, each with the twin before and after its event.

    One step of the model for each event; an event that came late is folded again from before it.
    """
    model = loaded_model(live.model_version_id)
    before = twin_at(live, first - 1) if first > OLDEST else _unborn(live, model)
    recorded = recorded_at(live.pseudonym, *range(first, last + 1))
    for event in events_between(live.pseudonym, after=first - 1, until=last):
        late = bool(late_events([event], _head(before)))
        if late:
            after = _as_recorded(live, event.version)
        else:
            market = market_known_at(live.model_version_id, recorded[event.version])
            after = _next(live, model, before, event, market)
        yield Step(event, before, after, late)
        before = after


def _as_recorded(live: Twin, version: int) -> Twin:
    snapshot = TwinSnapshot.objects.filter(
        pseudonym=live.pseudonym, model_version_id=live.model_version_id, stream_version=version
    ).first()
    return _replayed(live, version) if snapshot is None else _from_snapshot(live, snapshot)


def _replayed(live: Twin, version: int) -> Twin:
    pseudonym = live.pseudonym
    base = newest_bases(live.model_version_id, {pseudonym: version}).get(pseudonym)
    begins = base.stream_version if base else 0
    tail = events_between(pseudonym, after=begins, until=version)
    if not tail:  # the stream was erased while we read
        raise _not_kept(live, f"at version {version}")
    work = work_of(pseudonym, tail, base, Mode.REWOUND if base else Mode.REFOLDED)
    recorded = recorded_at(pseudonym, version)
    market = market_known_at(live.model_version_id, recorded[version]) if recorded else None
    (folded,) = fold(loaded_model(live.model_version_id), [work], market)
    return _past(live, folded)


def _next(
    live: Twin, model: TwinModel, before: Twin, event: StoredEvent, market: Snapshot | None
) -> Twin:
    (folded,) = fold(model, [work_of(live.pseudonym, [event], _head(before))], market)
    return _past(live, folded, unmoved=before)


def _unborn(live: Twin, model: TwinModel) -> Twin:
    """The twin before its first event, made of the profile alone."""
    (folded,) = fold(model, [Work(live.pseudonym, 0, None, [], Mode.REFOLDED)])
    return _past(live, folded)


def _head(twin: Twin) -> Head:
    return Head(
        twin.stream_version, 0, bytes(twin.h), bytes(twin.c), bytes(twin.items), twin.memory
    )


def _past(live: Twin, folded: Folded, unmoved: Twin | None = None) -> Twin:
    forecast = folded.forecast if unmoved is None else folded.forecast or unmoved.forecast
    return Twin(
        pseudonym=live.pseudonym,
        model_version=live.model_version,
        stream_version=folded.stream_version,
        clock_at=moment_of(folded.memory["clock_ms"]),
        h=folded.h,
        c=folded.c,
        items=folded.items,
        memory=folded.memory,
        forecast=forecast,
        fold_mode=REPLAYED,
        snapshot_version=0,
        updated_at=live.updated_at,
    )


def _from_snapshot(live: Twin, snapshot: TwinSnapshot) -> Twin:
    columns = {f.name: getattr(snapshot, f.name) for f in TwinPayload._meta.get_fields()}
    return Twin(
        **columns,
        model_version=live.model_version,
        fold_mode=FROM_SNAPSHOT,
        snapshot_version=snapshot.stream_version,
        updated_at=snapshot.taken_at,
    )


def _not_kept(live: Twin, asked: str) -> TwinVersionNotKept:
    first = known_at(live.pseudonym, live.updated_at).first_recorded_at
    return TwinVersionNotKept(
        pseudonym=live.pseudonym,
        asked=asked,
        oldest_version=OLDEST,
        latest_version=live.stream_version,
        first_recorded_at=first.isoformat() if first else None,
    )
