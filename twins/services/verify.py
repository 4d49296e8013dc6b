"""Verifying: does every twin say what its events say?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID

import numpy as np

from events.selectors import stream_versions
from ml.states import TwinStates
from twins.folding import Head, Histories, fold_from_start, whole_histories
from twins.heads import read_heads
from twins.selectors import active_model, loaded_model

if TYPE_CHECKING:
    from ml.twin import TwinModel

TOLERANCE = 1e-5
STREAMS_PER_BATCH = 256


@dataclass(frozen=True, slots=True)
class Difference:
    """A twin that is not what its events make it."""

    pseudonym: UUID
    what: str


@dataclass(slots=True)
class Verification:
    """What has been compared so far."""

    twins: int = 0
    differences: list[Difference] = field(default_factory=list)
    lagging: int = 0  # twins that have not seen all events of their stream, or are missing
    unseen_events: int = 0
    waiting: int = 0  # twins whose late events wait for the nightly rebuild; not compared
    waiting_events: int = 0
    largest_state_difference: float = 0.0


def verify_twins(pseudonyms: Iterable[UUID]) -> Iterator[Verification]:
    """Each live twin is compared with a fold of its stream from the first event.

    Stream version, clock, memory and own items must be equal, h and c within 1e-5. A twin that lags
    is compared at the version that it has seen; one that waits for the nightly rebuild is known to
    differ and counted instead. Yields the one growing result after every batch.

    Raises:
        NoActiveModel: there is no active model.
    """
    version = active_model()
    result = Verification()
    rest = iter(pseudonyms)
    while batch := list(islice(rest, STREAMS_PER_BATCH)):
        heads = read_heads(version.id, batch)
        _count_lag(result, stream_versions(batch), heads)
        _count_waiting(result, heads)
        whole = {p: head for p, head in heads.items() if head.waits_since is None}
        _compare(result, whole, loaded_model(version))
        yield result


def _count_lag(result: Verification, streams: dict[UUID, int], heads: dict[UUID, Head]) -> None:
    for pseudonym, version in streams.items():
        seen = heads[pseudonym].stream_version if pseudonym in heads else 0
        result.lagging += version > seen
        result.unseen_events += max(version - seen, 0)
    for pseudonym in heads.keys() - streams.keys():
        result.differences.append(Difference(pseudonym, "the twin has no stream"))


def _count_waiting(result: Verification, heads: dict[UUID, Head]) -> None:
    waiting = [head.waiting_events for head in heads.values() if head.waits_since]
    result.waiting += len(waiting)
    result.waiting_events += sum(waiting)


def _compare(result: Verification, heads: dict[UUID, Head], model: TwinModel) -> None:
    histories = _seen(heads)
    result.twins += len(heads)
    if not histories:
        return
    rebuilt = fold_from_start(model, histories)
    stored = TwinStates.from_bytes(
        [heads[p].h for p in histories],
        [heads[p].c for p in histories],
        [heads[p].memory for p in histories],
    )
    apart = np.maximum(
        np.abs(stored.h - rebuilt.h).max(axis=1), np.abs(stored.c - rebuilt.c).max(axis=1)
    )
    result.largest_state_difference = max(result.largest_state_difference, float(apart.max()))
    for row, (pseudonym, events) in enumerate(histories.items()):
        head = heads[pseudonym]
        same_items = head.items == rebuilt.items[row]
        for what in _differences(
            head, events[-1].version, rebuilt.memory(row), float(apart[row]), same_items=same_items
        ):
            result.differences.append(Difference(pseudonym, what))


def _seen(heads: dict[UUID, Head]) -> Histories:
    """The events that each twin says it has seen."""
    histories = whole_histories(heads)
    seen = {
        pseudonym: [e for e in events if e.version <= heads[pseudonym].stream_version]
        for pseudonym, events in histories.items()
    }
    return {pseudonym: events for pseudonym, events in seen.items() if events}


def _differences(
    head: Head, version: int, memory: dict[str, int], apart: float, *, same_items: bool
) -> Iterator[str]:
    if head.stream_version != version:
        yield f"stream version {head.stream_version}, rebuilt {version}"
    for name, value in memory.items():
        if head.memory.get(name) != value:
            yield f"{name} {head.memory.get(name)}, rebuilt {value}"
    if not same_items:
        yield "own items differ"
    if not apart <= TOLERANCE:
        yield f"state differs by {apart:.2e}, allowed {TOLERANCE:.0e}"
