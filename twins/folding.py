"""The fold: from heads and unseen events to new heads, for many twins in one pass.

Nothing here writes. What comes out depends on the head, the stream's events and the model alone, so
a delivery that comes twice, or a worker that dies and is replaced, ends in the same twin.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from customers.selectors import countries_of
from events.selectors import StoredEvent, events_after
from ml.states import TwinStates, stack
from twins.encoding import event_table, fold_order, is_folded

if TYPE_CHECKING:
    from ml.twin import TwinModel

TOP_ITEMS = 10

Histories = dict[UUID, list[StoredEvent]]


@dataclass(frozen=True, slots=True)
class Head:
    """A twin as it is stored, ready to be folded on."""

    stream_version: int
    snapshot_version: int
    h: bytes
    c: bytes
    memory: dict[str, int]

    @property
    def clock_ms(self) -> int:
        return self.memory["clock_ms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A twin after the fold. ``forecast`` is None where no event changed it: the old one holds."""

    pseudonym: UUID
    stream_version: int
    h: bytes
    c: bytes
    memory: dict[str, int]
    forecast: dict[str, Any] | None
    refolded: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """What one stream brings to the batch."""

    pseudonym: UUID
    version: int
    events: list[StoredEvent]  # those that change the twin, in fold order
    head: Head | None  # None: from the first event
    refolded: bool

    @property
    def unchanged(self) -> bool:
        return self.head is not None and not self.events


def unseen_of(pseudonyms: Iterable[UUID], heads: Mapping[UUID, Head]) -> Histories:
    """The events that each twin has not seen, by version; streams without any are left out."""
    seen = {p: heads[p].stream_version if p in heads else 0 for p in pseudonyms}
    return _by_stream(events_after(seen))


def late_streams(unseen: Histories, heads: Mapping[UUID, Head]) -> list[UUID]:
    """Streams in which an unseen event happened before the last one that the twin has seen."""
    return [
        pseudonym
        for pseudonym, events in unseen.items()
        if pseudonym in heads
        and any(e.occurred_at_ms < heads[pseudonym].clock_ms for e in events if is_folded(e))
    ]


def fold(
    model: TwinModel,
    heads: Mapping[UUID, Head],
    unseen: Histories,
    whole: Histories,
) -> list[Folded]:
    """Every stream of ``unseen`` folded onto its head, every stream of ``whole`` from its start."""
    parts = [_part(p, events, heads.get(p)) for p, events in unseen.items() if p not in whole]
    parts += [_part(p, events, None, refolded=p in heads) for p, events in whole.items()]
    if not parts:
        return []
    states = model.advance(_states(model, parts), event_table([part.events for part in parts]))
    changed = [row for row, part in enumerate(parts) if not part.unchanged]
    forecasts = dict(zip(changed, model.forecast(states.take(changed), TOP_ITEMS), strict=True))
    return [
        _folded(part, states, row, forecasts[row].as_dict() if row in forecasts else None)
        for row, part in enumerate(parts)
    ]


def fold_from_start(model: TwinModel, histories: Histories) -> TwinStates:
    """The states after whole histories; row b is the b-th of them."""
    parts = [_part(pseudonym, events, None) for pseudonym, events in histories.items()]
    return model.advance(_states(model, parts), event_table([part.events for part in parts]))


def whole_histories(pseudonyms: Iterable[UUID]) -> Histories:
    """All events of these streams, by version."""
    return _by_stream(events_after(dict.fromkeys(pseudonyms, 0)))


def _part(
    pseudonym: UUID, events: Sequence[StoredEvent], head: Head | None, refolded: bool = False
) -> _Part:
    clock_ms = head.clock_ms if head else 0
    return _Part(
        pseudonym=pseudonym,
        version=events[-1].version,
        events=fold_order(events, clock_ms=clock_ms),
        head=head,
        refolded=refolded,
    )


def _states(model: TwinModel, parts: Sequence[_Part]) -> TwinStates:
    """Stored states where there is a head, else those that the profile gives; rows as the parts."""
    fresh = [row for row, part in enumerate(parts) if part.head is None]
    stored = [(row, part.head) for row, part in enumerate(parts) if part.head is not None]
    pieces = []
    if fresh:
        countries = countries_of(parts[row].pseudonym for row in fresh)
        named = [countries.get(parts[row].pseudonym, "") for row in fresh]
        pieces.append(model.initial_state(named))
    if stored:
        found = [head for _, head in stored]
        pieces.append(
            TwinStates.from_bytes(
                [head.h for head in found], [head.c for head in found], [h.memory for h in found]
            )
        )
    rows = fresh + [row for row, _ in stored]
    back = sorted(range(len(rows)), key=rows.__getitem__)
    return stack(pieces).take(back)


def _folded(part: _Part, states: TwinStates, row: int, forecast: dict[str, Any] | None) -> Folded:
    h, c = states.row_bytes(row)
    return Folded(
        pseudonym=part.pseudonym,
        stream_version=part.version,
        h=h,
        c=c,
        memory=states.memory(row),
        forecast=forecast,
        refolded=part.refolded,
    )


def _by_stream(events: Iterable[StoredEvent]) -> Histories:
    return {stream: list(own) for stream, own in groupby(events, key=attrgetter("stream"))}
