"""Taking events in: each one ends in exactly one place, and the sender is told which."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from django.db import transaction

from customers.identities import IdentityKey, Newcomer
from customers.selectors import existing_pseudonyms, resolve_identities, suppressed_pseudonyms
from customers.services import register_customers
from events.catalogue import CATALOGUE, CustomEvent, EventData
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
from events.custom_types import CustomSchema, custom_schemas
from events.services.alone import append_known
from events.services.append import NOBODY, Appended, NewEvent, append_batch
from events.services.counters import count_intake
from events.services.custom_types import observe_types
from events.services.outliers import with_outliers_marked
from events.services.quarantine import Kept, Sealed, quarantine, sealed
from events.services.rejected import Rejection, tell_rejected
from events.services.replayed import FromQuarantine

Name = UUID | IdentityKey  # of a customer: the pseudonym or an identity
Outcome = Literal["accepted", "duplicate", "quarantined", "refused"]


@dataclass(slots=True)
class Item:
    """One thing that was sent: an envelope, or a verdict that it is none, and the body to keep."""

    envelope: Envelope | Doubtful
    body: Callable[[], bytes]
    customer: UUID | IdentityReference | None = None  # what could be read in spite of a verdict
    event_id: UUID | None = None
    form: str = "native"  # of the body: how it can be read again
    origin: FromQuarantine | None = None  # set where the item is replayed
    ahead: "_Work | None" = None  # cleaned already; good for one intake


@dataclass(frozen=True, slots=True)
class Result:
    """How one item ended. ``version`` 0: it has none; ``reason`` "": all is well."""

    outcome: Outcome
    reason: str = ""
    detail: str = ""
    event_id: UUID | None = None
    stream: UUID | None = None
    version: int = 0
    appended: NewEvent | None = None  # what was stored, where this call stored it
    recorded_at: datetime | None = None


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
    counted_as: str = ""  # set for a replay, whose counters stand apart from what was sent


@dataclass(slots=True)
class _Work:
    """An item on its way."""

    item: Item
    name: Name | None  # of the customer
    event: EventData | CustomEvent | None = None
    event_id: UUID | None = None
    stream: UUID | None = None
    result: Result | None = None
    sealed: Sealed | None = None  # the body, where it is known already that it will be kept


def ingest(
    *,
    items: Sequence[Item],
    policy: Policy,
    within: Callable[[IntakeReport], None] | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> IntakeReport:
    """Every item is stored, counted as a duplicate, quarantined or refused.

    New customers are registered in a transaction of their own; events, quarantine and counters
    then commit together. Sent again, the whole batch is duplicates. ``within`` is called at the end
    of that transaction: what it writes commits with the events, what it raises undoes them.
    ``meanwhile`` is that of :func:`append_batch`.
    """
    custom = _custom_types(items, policy)
    works = [_taken_ahead(item) or _cleaned(item, policy, custom) for item in items]
    if within is None and meanwhile is None and _is_stored_alone(works, policy):
        return _told(IntakeReport([_finished(work) for work in works]), policy)
    _resolve(works, policy)
    doubtful = [work for work in works if work.result is not None]
    if not doubtful and within is None:
        _append(works, policy, meanwhile)  # a single statement needs no transaction around it
        return _told(IntakeReport([_finished(work) for work in works]), policy)
    with transaction.atomic():
        _append(works, policy, meanwhile)  # first of all, because it takes the locks
        _quarantine(doubtful, policy)
        rest = IntakeReport([_finished(work) for work in doubtful])
        count_intake(policy.counted_as or policy.source, len(doubtful), rest.counts)
        report = IntakeReport([_finished(work) for work in works])
        if within is not None:
            within(report)
    return _told(report, policy)


def clean_ahead(items: Sequence[Item], policy: Policy) -> None:
    """What cleaning does without the database is done; the next intake of the items takes it up.

    For another thread than the one that takes them in.
    """
    for item in items:
        if isinstance(item.envelope, Envelope) and item.envelope.type in CATALOGUE:
            item.ahead = _cleaned(item, policy, {})
            if item.ahead.result is not None:
                item.ahead.sealed = sealed(item.body())


def _taken_ahead(item: Item) -> _Work | None:
    work, item.ahead = item.ahead, None  # an intake that is tried again begins anew
    return work


def _custom_types(items: Sequence[Item], policy: Policy) -> dict[str, CustomSchema]:
    """The schemas of what the catalogue does not know, as far as somebody registered them."""
    envelopes = (item.envelope for item in items if isinstance(item.envelope, Envelope))
    names = {envelope.type for envelope in envelopes} - CATALOGUE.keys()
    found = custom_schemas(names)
    unseen = names - found.keys()
    if not policy.keeps_unknown_types or not unseen:
        return found
    observe_types(names=unseen, by=policy.source, at=policy.at)
    return found | custom_schemas(unseen)


def _cleaned(item: Item, policy: Policy, custom: Mapping[str, CustomSchema]) -> _Work:
    work = _Work(item, _name_of(item))
    if isinstance(item.envelope, Doubtful):
        work.event_id = item.event_id
        work.result = _doubt(item.envelope, item.event_id)
        return work
    source = item.envelope.context.source or policy.source
    try:
        work.event = typed(item.envelope, policy.at, custom)
    except Doubtful as doubt:
        work.event_id = event_id_of(item.envelope, source)
        work.result = _doubt(doubt, work.event_id)
        return work
    work.event_id = event_id_of(item.envelope, source, work.event)
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


def _is_stored_alone(works: Sequence[_Work], policy: Policy) -> bool:
    """Whether it was a single event of a known customer, and has its result: the common case."""
    if len(works) != 1:
        return False
    (work,) = works
    if work.result is not None or work.name is None:
        return False
    known = append_known(
        name=work.name,
        event=_new_event(work, policy, NOBODY),
        at=policy.at,
        counted_for=policy.counted_as or policy.source,
    )
    if known is None:
        return False
    work.stream = known.event.stream
    work.result = _result_of(work, known.event, known.appended)
    return True


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


def _append(works: Sequence[_Work], policy: Policy, meanwhile: Callable[[], None] | None) -> None:
    ready = [work for work in works if work.result is None]
    events = with_outliers_marked([_new_event(work, policy, _stream_of(work)) for work in ready])
    appended = append_batch(
        events=events,
        at=policy.at,
        also_lock={work.stream for work in works if work.stream is not None},
        counted_for=policy.counted_as or policy.source,
        meanwhile=meanwhile,
    )
    for work, event, stored in zip(ready, events, appended, strict=True):
        work.result = _result_of(work, event, stored)


def _stream_of(work: _Work) -> UUID:
    assert work.stream is not None  # noqa: S101 - what has no result has been resolved
    return work.stream


def _new_event(work: _Work, policy: Policy, stream: UUID) -> NewEvent:
    envelope, event = work.item.envelope, work.event
    assert isinstance(envelope, Envelope)  # noqa: S101 - what has no result has been cleaned
    assert event is not None  # noqa: S101
    assert work.event_id is not None  # noqa: S101
    technical = is_technical(getattr(event, "sku", None) or "", policy.technical_skus)
    return NewEvent(
        stream=stream,
        event_id=work.event_id,
        type=event.type,
        schema_version=event.schema_version,
        occurred_at=envelope.occurred_at,
        data=event.data if isinstance(event, CustomEvent) else event,
        metadata=metadata_of(envelope.context, policy.source, technical=technical),
    )


def _result_of(work: _Work, event: NewEvent, stored: Appended) -> Result:
    facts: dict[str, Any] = {
        "event_id": work.event_id,
        "stream": work.stream,
        "version": stored.version,
    }
    if stored.status == "accepted":
        return Result("accepted", **facts, appended=event, recorded_at=stored.recorded_at)
    if stored.status == "duplicate":
        return Result("duplicate", **facts)
    if stored.status == "conflict":
        detail = "this event_id is stored with other content: the first one stands"
        return Result("refused", "event_id_conflict", detail, **facts)
    return Result("refused", "subject_suppressed", "this data subject was erased", work.event_id)


def _quarantine(works: Sequence[_Work], policy: Policy) -> None:
    """What is doubtful is kept, unless it comes from there: then its row is moved by the replay."""
    doubtful = [work for work in works if _finished(work).outcome == "quarantined"]
    fresh = [work for work in doubtful if work.item.origin is None]
    kept = [_kept(work, policy) for work in fresh]
    before = quarantine(source=policy.source, at=policy.at, events=kept)
    for work, said in zip(fresh, before, strict=True):
        if said:
            work.result = _not_kept(_finished(work), "quarantined_before", f"; {said}")
    for work in doubtful:
        if work.item.origin is not None:
            work.result = _not_kept(_finished(work), "still_quarantined")


def _not_kept(result: Result, reason: str, said: str = "") -> Result:
    detail = f"{result.reason}: {result.detail}{said}"
    return Result("duplicate", reason, detail, result.event_id, result.stream)


def _kept(work: _Work, policy: Policy) -> Kept:
    result = _finished(work)
    return Kept(
        reason=result.reason,
        detail=result.detail,
        event_id=result.event_id,
        stream=work.stream,
        identity=work.name if work.stream is None and isinstance(work.name, tuple) else None,
        body=work.sealed or sealed(work.item.body()),
        form=work.item.form,
        may_register=policy.may_register,
    )


def _told(report: IntakeReport, policy: Policy) -> IntakeReport:
    """The live view learns of what was not accepted; a replay is no news to it."""
    if not policy.counted_as and any(reason for _, reason in report.counts):
        rejections = [
            Rejection(index, result.reason, result.detail, result.event_id)
            for index, result in enumerate(report.results)
            if result.reason
        ]
        tell_rejected(policy.source, policy.at, rejections)
    return report


def _finished(work: _Work) -> Result:
    assert work.result is not None  # noqa: S101 - append or quarantine gave it one
    return work.result
