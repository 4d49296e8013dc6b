"""Replaying: what lies in quarantine goes through the same door once more.

A row moves in the transaction of the append. Two replays of one row at once store the event once
and move the row once: the second finds the row changed, is undone, and reads again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from common.ids import derived_id
from customers.errors import VaultError
from customers.vault import open_body
from events.cleaning import Doubtful, Envelope, event_id_of
from events.errors import QuarantineResolved, UnknownQuarantined
from events.forms import ROW, read_again
from events.models import QuarantinedEvent
from events.services.intake import IntakeReport, Item, Policy, Result, ingest
from events.services.quarantine import Stored, settle
from events.services.replayed import Ending, FromQuarantine, ReplayOvertaken, finish_replays

CHUNK = 500
COUNTED_AS = "replay:"  # before the source: counters of replays stand apart from what was sent
MOST_READINGS = 20
Outcome = Literal["stored", "duplicate", "waiting", "refused", "gone"]


@dataclass(frozen=True, slots=True)
class Replayed:
    """How the replay of one row ended.

    ``duplicate``: the event had been stored before. ``refused``: the person was erased, so nothing
    is kept. ``gone``: there is no such row, or it is resolved.
    """

    row_id: int
    outcome: Outcome
    reason: str = ""
    detail: str = ""
    event_id: UUID | None = None
    stream: UUID | None = None
    version: int = 0


@dataclass(slots=True)
class ReplayReport:
    """The results in the order of the ids."""

    results: list[Replayed] = field(default_factory=list)

    def counts(self) -> Counter[str]:
        """How many ended how."""
        return Counter(result.outcome for result in self.results)

    def problems(self) -> Counter[str]:
        """Why those that still wait do."""
        return Counter(r.reason for r in self.results if r.outcome == "waiting")


def replay(*, ids: Sequence[int], by: str, at: datetime) -> ReplayReport:
    """Each row that waits is stored, or waits on with the new problem; each is tried on its own.

    The policy is that of the first time: the same source, and the sender's right to register
    customers. An event without an id gets one that is made from the row, so that it is stored once.
    """
    results: dict[int, Replayed] = {}
    asked = list(dict.fromkeys(ids))
    for start in range(0, len(asked), CHUNK):
        results |= _replay_chunk(asked[start : start + CHUNK], by, at)
    gone = (Replayed(row_id, "gone") for row_id in asked if row_id not in results)
    results |= {result.row_id: result for result in gone}
    return ReplayReport([results[row_id] for row_id in asked])


def waiting_row(row_id: int) -> QuarantinedEvent:
    """The row, which waits.

    Raises:
        UnknownQuarantined: there is none of that id.
        QuarantineResolved: it waits no longer.
    """
    row = QuarantinedEvent.objects.filter(id=row_id).first()
    if row is None:
        raise UnknownQuarantined(row_id=row_id)
    if not row.is_waiting:
        raise QuarantineResolved(row_id=row_id, status=row.status)
    return row


def kept_item(row: QuarantinedEvent) -> Item:
    """The event in a row's body as an item, doubtful where it can not be read."""
    try:
        return read_again(row.form, open_body(bytes(row.body)))
    except VaultError:
        doubt = Doubtful("seal_broken", "the body cannot be opened with the key at hand")
        return Item(doubt, lambda: b"", form=row.form)


def _replay_chunk(ids: Sequence[int], by: str, at: datetime) -> dict[int, Replayed]:
    results: dict[int, Replayed] = {}
    left = set(ids)
    for _ in range(MOST_READINGS):
        rows = _waiting(left)
        left = set()
        for policy, group in _by_policy(rows, at):
            try:
                results |= _ingested(group, policy, by)
            except ReplayOvertaken:  # undone as a whole; another one has done some of it
                left |= {row.id for row in group}
        if not left:
            break
    busy = "others replay the same events again and again: try once more"
    results |= {row_id: Replayed(row_id, "waiting", "busy", busy) for row_id in left}
    return results


def _waiting(ids: Iterable[int]) -> list[QuarantinedEvent]:
    waiting = QuarantinedEvent.objects.filter(status=QuarantinedEvent.Status.WAITING)
    return list(waiting.filter(id__in=list(ids)).order_by("id"))


def _by_policy(
    rows: Iterable[QuarantinedEvent], at: datetime
) -> Iterator[tuple[Policy, list[QuarantinedEvent]]]:
    groups: dict[tuple[str, bool, str], list[QuarantinedEvent]] = {}
    for row in rows:
        groups.setdefault((row.source, row.may_register, row.form), []).append(row)
    for (source, may_register, form), group in groups.items():
        policy = Policy(
            source=source,
            at=at,
            may_register=may_register,
            technical_skus=_technical_skus(source) if form == ROW else (),
            counted_as=f"{COUNTED_AS}{source}"[:100],
        )
        yield policy, group


def _technical_skus(source: str) -> tuple[str, ...]:
    """Those of the mapping that read the file; none where it is no longer there."""
    from events.mapping import load_mapping, mapping_names  # reads files: only for rows of files

    mappings = (load_mapping(name) for name in mapping_names())
    return next((tuple(m.technical_skus) for m in mappings if m.source == source), ())


def _ingested(rows: Sequence[QuarantinedEvent], policy: Policy, by: str) -> dict[int, Replayed]:
    """What came of each row, whose moves commit with the events.

    Raises:
        ReplayOvertaken: one of the rows has changed; nothing was stored.
    """
    items = [_item(row, by) for row in rows]

    def finish(report: IntakeReport) -> None:
        pairs = zip(items, report.results, strict=True)
        finish_replays(endings=[_ending(item, result) for item, result in pairs], at=policy.at)
        settle(source=policy.source, at=policy.at, stored=_stored(report))

    results = ingest(items=items, policy=policy, within=finish).results
    return {row.id: _replayed(row, r) for row, r in zip(rows, results, strict=True)}


def _ending(item: Item, result: Result) -> Ending:
    assert item.origin is not None  # noqa: S101 - it comes from quarantine
    if result.version and not result.reason:
        stored = (result.stream, result.event_id, result.version)
        return Ending(item.origin, "replayed", "", *stored)
    problem = f"{result.reason}: {result.detail}".removeprefix("still_quarantined: ")
    is_erased = result.reason == "subject_suppressed"
    status = "discarded" if is_erased else "waiting"
    return Ending(item.origin, status, problem, result.stream)


def _stored(report: IntakeReport) -> dict[UUID, Stored]:
    """Other rows may wait under the ids of what is stored now."""
    return {
        result.event_id: Stored(result.stream, result.version)
        for result in report.results
        if result.event_id and result.stream and result.version and not result.reason
    }


def _item(row: QuarantinedEvent, by: str) -> Item:
    item = kept_item(row)
    if isinstance(item.envelope, Envelope):
        item.envelope = _with_id(item.envelope, row)
    digest = bytes(row.mended_digest) or bytes(row.body_digest)
    return replace(item, origin=FromQuarantine(row.id, digest, by))


def _with_id(envelope: Envelope, row: QuarantinedEvent) -> Envelope:
    if event_id_of(envelope, envelope.context.source or row.source) is not None:
        return envelope
    event_id = row.event_id or derived_id("quarantined event", str(row.id))
    return msgspec.structs.replace(envelope, event_id=event_id)


def _replayed(row: QuarantinedEvent, result: Result) -> Replayed:
    facts = (result.event_id, result.stream, result.version)
    if result.outcome == "accepted":
        return Replayed(row.id, "stored", "", "", *facts)
    if result.outcome == "duplicate" and not result.reason:
        return Replayed(row.id, "duplicate", "", "", *facts)
    if result.reason == "subject_suppressed":
        return Replayed(row.id, "refused", result.reason, result.detail)
    if result.reason == "still_quarantined":
        reason, _, detail = result.detail.partition(": ")
        return Replayed(row.id, "waiting", reason, detail)
    return Replayed(row.id, "waiting", result.reason, result.detail)
