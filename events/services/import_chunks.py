"""Storing one chunk of an import: events, counters, checkpoint and report in one transaction."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import stamina
from django.db import InterfaceError, InternalError, OperationalError, connection, transaction
from django.db.models import F

from common.errors import DtocError
from common.models import Operation
from events.cleaning import Doubtful, Envelope
from events.errors import AppendOutOfOrder, ImportOvertaken
from events.models_imports import Import
from events.services.import_messages import link
from events.services.import_rows import Batch, Counts
from events.services.import_turns import Turn
from events.services.intake import IntakeReport, Item, Policy, ingest

MOST_POISONED = 100  # of a chunk, and no more than half of it; else it is no fault of the rows
LONGEST_WAIT_SECONDS = 10.0
# A session that the idle guard ended, a server that is still a replica.
PASSING_CODES = ("25P03", "25006")


class _Undo(Exception):
    """Ends a trial: nothing of it stays."""


def is_passing(error: Exception) -> bool:
    """The same may succeed in a moment: connections, deadlocks, serialization, lost races."""
    if isinstance(error, InternalError):
        return getattr(error.__cause__, "pgcode", "") in PASSING_CODES
    return isinstance(error, OperationalError | InterfaceError | AppendOutOfOrder)


def _may_be_tried_again(error: Exception) -> bool:
    """Inside somebody else's transaction, that one is lost already."""
    return is_passing(error) and not connection.in_atomic_block


def store_batch(
    *,
    batch: Batch,
    counted: Counts,
    total: int,
    policy: Policy,
    turn: Turn,
    patience: timedelta,
    meanwhile: Callable[[], None] | None = None,
) -> Counts:
    """The rows ended in one place each and the checkpoint is behind them; returns all counts.

    ``counted`` holds the rows before. What is passing is tried again, with growing pauses, for
    ``patience``; a commit whose answer was lost is recognised by the checkpoint. ``meanwhile`` is
    that of :func:`append_batch`, and may be called again by another try.

    Raises:
        ImportEnded, ImportOvertaken: the turn is over; nothing was stored.
    """
    begun = time.monotonic()
    for attempt in stamina.retry_context(
        on=_may_be_tried_again,
        attempts=None,
        timeout=patience,
        wait_initial=0.1,
        wait_max=LONGEST_WAIT_SECONDS,
        wait_jitter=1.0,
    ):
        with attempt:
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            if turn.lock is not None:
                turn.lock.hold()
            return _store_once(batch, counted, total, policy, turn, begun, meanwhile)
    raise AssertionError("unreachable: the last attempt raises or returns")


def _store_once(
    batch: Batch,
    counted: Counts,
    total: int,
    policy: Policy,
    turn: Turn,
    begun: float,
    meanwhile: Callable[[], None] | None,
) -> Counts:
    standing = Import.objects.get(id=turn.import_id)
    if standing.rows == batch.end:
        return counts_of(standing)
    linked = _linked_once(batch, standing, policy, turn)
    reached: list[Counts] = []

    def commit(report: IntakeReport) -> None:
        turn.fence()
        counts = counted + batch.counts(report, linked)
        move_checkpoint(turn, batch, counts, total, time.monotonic() - begun)
        reached[:] = [counts]

    ingest_isolating(items=batch.items, policy=policy, within=commit, meanwhile=meanwhile)
    return reached[0]


def move_checkpoint(turn: Turn, batch: Batch, counts: Counts, total: int, seconds: float) -> None:
    """The rows up to the end of the batch are done.

    Raises:
        ImportOvertaken: the checkpoint is not where this batch begins.
    """
    moved = Import.objects.filter(id=turn.import_id, rows=batch.begin).update(
        rows=batch.end,
        counts=counts_as_json(counts),
        seconds=F("seconds") + seconds,
        pending=None,
        barren_turns=0,
    )
    if not moved:
        raise ImportOvertaken(import_id=turn.import_id)
    Operation.objects.filter(id=turn.operation_id).update(done=batch.end, total=total)


def _linked_once(batch: Batch, standing: Import, policy: Policy, turn: Turn) -> Counts:
    """Links commit before the events that need them, with a note of how they ended.

    Without it a killed import would find its own links made and count them as duplicates.
    """
    if not any(one.link is not None or one.only_links for one in batch.told):
        return Counts()
    if standing.pending is not None and standing.pending["begin"] == batch.begin:
        return counts_from_json(standing.pending["counts"])
    with transaction.atomic():
        counts = link(batch.told, policy)
        turn.fence()
        note = {"begin": batch.begin, "counts": counts_as_json(counts)}
        Import.objects.filter(id=turn.import_id).update(pending=note)
    return counts


def ingest_isolating(
    *,
    items: Sequence[Item],
    policy: Policy,
    within: Callable[[IntakeReport], None],
    meanwhile: Callable[[], None] | None = None,
) -> IntakeReport:
    """As :func:`ingest`; rows that make it fail go to quarantine as ``poisoned``, all others in.

    Raises:
        Exception: what failed first, where it is passing, ours, or no fault of single rows.
    """
    try:
        return ingest(items=items, policy=policy, within=within, meanwhile=meanwhile)
    except Exception as error:
        if is_passing(error) or isinstance(error, DtocError):
            raise
        poisoned = _poisoned(items, policy)
        if not poisoned:
            raise
    mended = [poisoned.get(n, item) for n, item in enumerate(items)]
    return ingest(items=mended, policy=policy, within=within)


def _poisoned(items: Sequence[Item], policy: Policy) -> dict[int, Item]:
    """By halves, the items that cannot be stored, as what quarantine keeps of them.

    Empty where they are too many, or where one cannot be quarantined either.
    """
    most = max(1, min(MOST_POISONED, len(items) // 2))
    found: dict[int, Item] = {}
    waiting = [(0, len(items))]
    while waiting:
        begin, end = waiting.pop()
        problem = _problem(items[begin:end], policy)
        if problem is None:
            continue
        if end - begin > 1:
            middle = (begin + end) // 2
            waiting += [(middle, end), (begin, middle)]
            continue
        kept = _as_poisoned(items[begin], problem)
        if len(found) == most or _problem([kept], policy) is not None:
            return {}
        found[begin] = kept
    return found


def _problem(items: Sequence[Item], policy: Policy) -> Exception | None:
    """Why these items cannot be stored; they are not, either way."""

    def undo(report: IntakeReport) -> None:
        raise _Undo

    try:
        ingest(items=items, policy=policy, within=undo)
    except _Undo:
        return None
    except Exception as error:
        if is_passing(error) or isinstance(error, DtocError):
            raise
        return error
    return None


def _as_poisoned(item: Item, problem: Exception) -> Item:
    envelope = item.envelope
    customer = envelope.customer if isinstance(envelope, Envelope) else item.customer
    event_id = envelope.event_id if isinstance(envelope, Envelope) else item.event_id
    # The message of the error may repeat what was sent; its name does not.
    doubt = Doubtful("poisoned", f"storing it fails: {type(problem).__name__}")
    return replace(item, envelope=doubt, customer=customer, event_id=event_id)


def counts_as_json(counts: Counts) -> dict[str, dict[str, int]]:
    """By outcome, and in it by reason."""
    told: dict[str, dict[str, int]] = {}
    for (outcome, reason), count in sorted(counts.items()):
        told.setdefault(outcome, {})[reason] = count
    return told


def counts_from_json(told: dict[str, dict[str, int]]) -> Counts:
    """What :func:`counts_as_json` told."""
    return Counts(
        {(outcome, why): n for outcome, reasons in told.items() for why, n in reasons.items()}
    )


def counts_of(record: Import) -> Counts:
    """How the rows up to the checkpoint ended."""
    return counts_from_json(record.counts)
