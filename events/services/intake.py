"""Taking events in: each one ends in exactly one place, and the sender is told which."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from django.db import transaction

from common.locks import lock_streams
from customers.identities import IdentityKey, Newcomer
from customers.selectors import existing_pseudonyms, resolve_identities, suppressed_pseudonyms
from customers.services import register_customers
from events.catalogue import EventData
from events.cleaning import (
    Doubtful,
    Envelope,
    IdentityReference,
    event_id_of,
    is_technical,
    metadata_of,
    occurred_at_of,
    typed,
)
from events.services.append import Appended, NewEvent, append_batch
from events.services.counters import count_intake
from events.services.quarantine import Kept, quarantine

Name = UUID | IdentityKey  # of a customer: the pseudonym or an identity
Outcome = Literal["accepted", "duplicate", "quarantined", "refused"]


@dataclass(slots=True)
class Item:
    """One thing that was sent: an envelope, or a verdict that it is none, and the body to keep."""

    envelope: Envelope | Doubtful
    body: Callable[[], bytes]
    customer: UUID | IdentityReference | None = None  # what could be read in spite of a verdict
    event_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """How one item ended. ``version`` 0: it has none; ``reason`` "": all is well."""

    outcome: Outcome
    reason: str = ""
    detail: str = ""
    event_id: UUID | None = None
    stream: UUID | None = None
    version: int = 0


@dataclass(slots=True)
class IntakeReport:
    """The results of a batch in its order; received is always the sum of the four outcomes."""

    results: list[Result]
    counts: Counter[tuple[Outcome, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.counts.update((result.outcome, result.reason) for result in self.results)

    def total(self, outcome: Outcome) -> int:
        """How many items ended so, whatever the reason."""
        return sum(count for (name, _), count in self.counts.items() if name == outcome)


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for a whole batch."""

    source: str
    at: datetime
    may_register: bool = False  # customers who are not known yet
    needs_event_id: bool = True  # where there is no natural key; else a fresh one is made
    technical_skus: tuple[str, ...] = ()  # beside the configured ones
    keeps_unknown_types: bool = False  # a type nobody registered becomes a custom one of that name


@dataclass(slots=True)
class _Work:
    """An item on its way."""

    item: Item
    name: Name | None  # of the customer
    event: EventData | None = None
    event_id: UUID | None = None
    stream: UUID | None = None
    result: Result | None = None


def ingest(*, items: Sequence[Item], policy: Policy) -> IntakeReport:
    """Every item is stored, counted as a duplicate, quarantined or refused.

    New customers are registered in a transaction of their own; events, quarantine and counters
    then commit together. Sent again, the whole batch is duplicates.
    """
    works = [_cleaned(item, policy) for item in items]
    _resolve(works, policy)
    with transaction.atomic():
        lock_streams({work.stream for work in works if work.stream is not None})
        _append(works, policy)
        _quarantine(works, policy)
        report = IntakeReport([_finished(work) for work in works])
        count_intake(policy.source, len(items), report.counts)
    return report


def _cleaned(item: Item, policy: Policy) -> _Work:
    work = _Work(item, _name_of(item))
    if isinstance(item.envelope, Doubtful):
        work.event_id = item.event_id
        work.result = _doubt(item.envelope, item.event_id)
        return work
    work.event_id = event_id_of(item.envelope, item.envelope.context.source or policy.source)
    try:
        work.event = typed(item.envelope, policy.at)
    except Doubtful as doubt:
        work.result = _doubt(doubt, work.event_id)
        return work
    if item.envelope.customer is None:
        work.result = _doubt(Doubtful("no_customer", "no customer is named"), work.event_id)
    elif work.event_id is None and policy.needs_event_id:
        detail = "in a batch every event needs an event_id, so that sending again is harmless"
        work.result = Result("refused", "event_id_missing", detail)
    elif work.event_id is None:
        work.event_id = uuid4()
    return work


def _name_of(item: Item) -> Name | None:
    envelope = item.envelope
    customer = item.customer if isinstance(envelope, Doubtful) else envelope.customer
    if isinstance(customer, IdentityReference):
        return customer.kind, customer.value
    return customer


def _doubt(doubt: Doubtful, event_id: UUID | None = None) -> Result:
    return Result("quarantined", doubt.reason, doubt.detail, event_id)


def _resolve(works: Sequence[_Work], policy: Policy) -> None:
    """Each work knows its stream, or has a result that says why there is none."""
    keys = {work.name for work in works if isinstance(work.name, tuple)}
    pseudonyms = {work.name for work in works if isinstance(work.name, UUID)}
    resolution = resolve_identities(keys)
    streams: dict[Name, UUID] = {}
    streams.update(resolution.known.items())
    streams |= {name: name for name in existing_pseudonyms(pseudonyms)}
    suppressed: set[Name] = {*resolution.suppressed, *suppressed_pseudonyms(pseudonyms)}
    if policy.may_register:
        unknown = set(resolution.unknown) - resolution.invalid
        streams.update(_registered(works, unknown, policy).items())
        suppressed |= _suppressed_since(unknown - streams.keys())
    for work in works:
        _place(work, streams, suppressed)


def _suppressed_since(keys: set[IdentityKey]) -> set[IdentityKey]:
    """Those of the identities whose person was erased after they had been resolved."""
    return resolve_identities(keys).suppressed if keys else set()


def _place(work: _Work, streams: Mapping[Name, UUID], suppressed: set[Name]) -> None:
    if work.name is None:
        return
    if work.name in suppressed:  # whatever else is wrong with it: nothing about them is kept
        detail = "this data subject was erased on request: stop sending"
        work.result = Result("refused", "subject_suppressed", detail, work.event_id)
    elif work.name in streams:
        work.stream = streams[work.name]
    elif work.result is None:
        detail = "no customer is known by this name, and the sender may not register any"
        work.result = _doubt(Doubtful("unknown_customer", detail), work.event_id)


def _registered(
    works: Sequence[_Work], unknown: set[IdentityKey], policy: Policy
) -> dict[IdentityKey, UUID]:
    """New customers, registered as of the first event that this batch tells of any of them."""
    newcomers: dict[IdentityKey, Newcomer] = {}
    since = policy.at
    for work in works:
        key, envelope = work.name, work.item.envelope
        if not isinstance(key, tuple) or key not in unknown or work.result is not None:
            continue
        if isinstance(envelope, Envelope):
            since = min(since, occurred_at_of(envelope))
        country = getattr(work.event, "country", "")
        newcomers.setdefault(key, Newcomer(kind=key[0], value=key[1], country=country))
    if not newcomers:
        return {}
    return register_customers(newcomers=list(newcomers.values()), at=since)


def _append(works: Sequence[_Work], policy: Policy) -> None:
    ready = [work for work in works if work.result is None]
    appended = append_batch(events=[_new_event(work, policy) for work in ready], at=policy.at)
    for work, stored in zip(ready, appended, strict=True):
        work.result = _result_of(work, stored)


def _new_event(work: _Work, policy: Policy) -> NewEvent:
    envelope, event = work.item.envelope, work.event
    assert isinstance(envelope, Envelope)  # noqa: S101 - what has no result has been cleaned
    assert event is not None  # noqa: S101
    assert work.stream is not None  # noqa: S101
    assert work.event_id is not None  # noqa: S101
    technical = is_technical(getattr(event, "sku", None) or "", policy.technical_skus)
    return NewEvent(
        stream=work.stream,
        event_id=work.event_id,
        type=event.type,
        schema_version=event.schema_version,
        occurred_at=envelope.occurred_at,
        data=event,
        metadata=metadata_of(envelope.context, policy.source, technical=technical),
    )


def _result_of(work: _Work, stored: Appended) -> Result:
    facts: dict[str, Any] = {
        "event_id": work.event_id,
        "stream": work.stream,
        "version": stored.version,
    }
    if stored.status == "accepted":
        return Result("accepted", **facts)
    if stored.status == "duplicate":
        return Result("duplicate", **facts)
    if stored.status == "conflict":
        detail = "this event_id is stored with other content: the first one stands"
        return Result("refused", "event_id_conflict", detail, **facts)
    return Result("refused", "subject_suppressed", "this data subject was erased", work.event_id)


def _quarantine(works: Sequence[_Work], policy: Policy) -> None:
    doubtful = [work for work in works if work.result and work.result.outcome == "quarantined"]
    kept = quarantine(source=policy.source, at=policy.at, events=[_kept(work) for work in doubtful])
    for work, is_new in zip(doubtful, kept, strict=True):
        result = _finished(work)
        if not is_new:
            detail = f"{result.reason}: {result.detail}; it has been in quarantine already"
            work.result = Result("duplicate", "quarantined_before", detail, result.event_id)


def _kept(work: _Work) -> Kept:
    result = _finished(work)
    return Kept(
        reason=result.reason,
        detail=result.detail,
        event_id=result.event_id,
        stream=work.stream,
        identity=work.name if work.stream is None and isinstance(work.name, tuple) else None,
        body=work.item.body(),
    )


def _finished(work: _Work) -> Result:
    assert work.result is not None  # noqa: S101 - append or quarantine gave it one
    return work.result
