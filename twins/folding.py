"""The fold: from heads and the events that follow to new heads, for many twins in one pass.

Nothing here writes. What comes out depends on the head, the stream's events and the model alone, so
a delivery that comes twice, or a worker that dies and is replaced, ends in the same twin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from customers.selectors import countries_of
from events.selectors import StoredEvent, events_after
from ml.states import TwinStates, stack
from twins.encoding import event_table, fold_order, is_folded
from twins.errors import FoldNotFinite
from twins.models import Twin

if TYPE_CHECKING:
    from ml.mixture.market import Snapshot
    from ml.twin import TwinModel

TOP_ITEMS = 10

Histories = dict[UUID, list[StoredEvent]]
Mode = Twin.FoldMode


@dataclass(frozen=True, slots=True)
class Head:
    """A twin as it is stored, live or as a snapshot, ready to be folded on."""

    stream_version: int
    snapshot_version: int
    h: bytes
    c: bytes
    items: bytes
    memory: dict[str, int]
    waits_since: datetime | None = None
    waiting_events: int = 0

    @property
    def clock_ms(self) -> int:
        return self.memory["clock_ms"]


@dataclass(frozen=True, slots=True)
class Work:
    """What one stream brings to a fold: where it begins, and the events that follow, in order."""

    pseudonym: UUID
    version: int  # of the stream, afterwards
    head: Head | None  # None: from the first event
    events: list[StoredEvent]  # those that change the twin, in fold order
    mode: Twin.FoldMode
    left_out: int = 0  # late events that wait for the nightly rebuild

    @property
    def unchanged(self) -> bool:
        """Nothing but the stream version moves."""
        onward = self.head is not None and self.mode is Mode.ADVANCED
        return onward and not self.events


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A twin after the fold. ``forecast`` is None where no event changed it: the old one holds."""

    pseudonym: UUID
    stream_version: int
    h: bytes
    c: bytes
    items: bytes
    memory: dict[str, int]
    forecast: dict[str, Any] | None
    mode: Twin.FoldMode
    left_out: int = 0


def work_of(
    pseudonym: UUID,
    events: Sequence[StoredEvent],
    head: Head | None,
    mode: Twin.FoldMode = Mode.ADVANCED,
) -> Work:
    """All of these events, in whatever order, folded onto the head or from the start."""
    clock_ms = head.clock_ms if head else 0
    ordered = fold_order(events, clock_ms=clock_ms)
    return Work(pseudonym, events[-1].version, head, ordered, mode)


def unseen_of(pseudonyms: Iterable[UUID], heads: Mapping[UUID, Head]) -> Histories:
    """The events that each twin has not seen, by version; streams without any are left out."""
    seen = {p: heads[p].stream_version if p in heads else 0 for p in pseudonyms}
    return by_stream(events_after(seen))


def late_events(events: Iterable[StoredEvent], head: Head) -> list[StoredEvent]:
    """Those of the events that would have changed the twin before the last one that did."""
    return [e for e in events if e.occurred_at_ms < head.clock_ms and is_folded(e)]


def fold(model: TwinModel, works: Sequence[Work], market: Snapshot | None = None) -> list[Folded]:
    """Every twin after its events, in the order given.

    ``market`` is the one that forecasts read, where there is a newer one than the model's own.

    Raises:
        FoldNotFinite: a state is not a number any more.
    """
    if not works:
        return []
    states = model.advance(_states(model, works), event_table([work.events for work in works]))
    _require_finite(states, works)
    changed = [row for row, work in enumerate(works) if not work.unchanged]
    made = model.forecast(states.take(changed), TOP_ITEMS, market)
    forecasts = dict(zip(changed, made, strict=True))
    return [
        _folded(work, states, row, forecasts[row].as_dict() if row in forecasts else None)
        for row, work in enumerate(works)
    ]


def fold_from_start(model: TwinModel, histories: Histories) -> TwinStates:
    """The states after whole histories; row b is the b-th of them."""
    works = [work_of(pseudonym, events, None) for pseudonym, events in histories.items()]
    return model.advance(_states(model, works), event_table([work.events for work in works]))


def whole_histories(pseudonyms: Iterable[UUID]) -> Histories:
    """All events of these streams, by version."""
    return by_stream(events_after(dict.fromkeys(pseudonyms, 0)))


def by_stream(events: Iterable[StoredEvent]) -> Histories:
    """Events that are sorted by stream, as lists."""
    return {stream: list(own) for stream, own in groupby(events, key=attrgetter("stream"))}


def stored_states(heads: Sequence[Head]) -> TwinStates:
    """The states that are stored in these heads, one row each."""
    return TwinStates.from_bytes(
        [head.h for head in heads],
        [head.c for head in heads],
        [head.memory for head in heads],
        [head.items for head in heads],
    )


def _states(model: TwinModel, works: Sequence[Work]) -> TwinStates:
    """Stored states where there is a head, else those that the profile gives; rows as the works."""
    fresh = [row for row, work in enumerate(works) if work.head is None]
    stored = [(row, work.head) for row, work in enumerate(works) if work.head is not None]
    pieces = []
    if fresh:
        countries = countries_of(works[row].pseudonym for row in fresh)
        named = [countries.get(works[row].pseudonym, "") for row in fresh]
        pieces.append(model.initial_state(named))
    if stored:
        pieces.append(stored_states([head for _, head in stored]))
    rows = fresh + [row for row, _ in stored]
    back = sorted(range(len(rows)), key=rows.__getitem__)
    return stack(pieces).take(back)


def _require_finite(states: TwinStates, works: Sequence[Work]) -> None:
    """A state that is not a number would stay so with every later event, and compare with none."""
    finite = np.isfinite(states.h).all(axis=1) & np.isfinite(states.c).all(axis=1)
    if not finite.all():
        raise FoldNotFinite(pseudonym=works[int(np.argmin(finite))].pseudonym)


def _folded(work: Work, states: TwinStates, row: int, forecast: dict[str, Any] | None) -> Folded:
    h, c = states.row_bytes(row)
    return Folded(
        pseudonym=work.pseudonym,
        stream_version=work.version,
        h=h,
        c=c,
        items=states.items[row],
        memory=states.memory(row),
        forecast=forecast,
        mode=work.mode,
        left_out=work.left_out,
    )
