"""What the collector does with the messages of one request, once they are converted."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import connection, transaction

from customers.identities import IdentityKey
from customers.selectors import Resolution, resolve_identities
from customers.services import Link, Linked, link_identities
from events.cleaning import Envelope
from events.segment.convert import Converted
from events.services.counters import count_intake
from events.services.intake import IntakeReport, Item, Outcome, Policy, ingest

Counts = Counter[tuple[Outcome, str]]

# How an identify or an alias is counted; nothing else of it is stored.
ENDED: dict[Linked, tuple[Outcome, str]] = {
    "registered": ("accepted", ""),
    "linked": ("accepted", ""),
    "known": ("duplicate", ""),
    "apart": ("refused", "identities_apart"),
    "suppressed": ("refused", "subject_suppressed"),
    "unknown": ("refused", "unknown_customer"),
    "invalid": ("refused", "invalid_identity"),
}
NOBODY: tuple[Outcome, str] = ("refused", "no_customer")

STORED = """
SELECT stream, event_id::text, occurred_at FROM events_event
JOIN unnest(%s::uuid[], %s::uuid[]) AS told(stream, event_id) USING (stream, event_id)
"""


@dataclass(frozen=True, slots=True)
class Collected:
    """How many messages, or events where one message holds several, ended how."""

    counts: Counts

    def total(self, outcome: Outcome) -> int:
        return sum(count for (name, _), count in self.counts.items() if name == outcome)


def collect(*, told: Sequence[Converted], policy: Policy) -> Collected:
    """Identities are linked, then every event ends in one place; sent again, all are duplicates.

    Links come first and commit on their own, so that events under either name of a person find one
    customer. Where the request fails behind them, sending it again finds them made.
    """
    counts = _linked(told, policy)
    items = [item for one in told for item in one.items]
    if items:
        counts.update(_ingested(items, policy).counts)
    return Collected(counts)


def _names(told: Sequence[Converted]) -> list[IdentityKey]:
    names = [key for one in told if one.link for key in one.link.keys]
    return names + [one.renamed for one in told if one.renamed]


def _settled(one: Converted, resolution: Resolution) -> Converted:
    """The previous id of an alias is a user's where a user is known by it, else a device's."""
    if one.link is None or one.renamed not in resolution.known:
        return one
    return replace(one, link=replace(one.link, other=one.renamed, renames=True))


def _linked(messages: Sequence[Converted], policy: Policy) -> Counts:
    """All links are made that can be; counts those messages that do nothing else."""
    resolution = resolve_identities(_names(messages))
    told = [_settled(one, resolution) for one in messages]
    ended = [_foreseen(one.link, resolution) for one in told]
    open_ones = [n for n, one in enumerate(told) if one.link and ended[n] is None]
    counts: Counts = Counter()
    with transaction.atomic():
        if open_ones:
            links = [link for n in open_ones if (link := told[n].link)]
            since = min(policy.at, *(told[n].occurred_at for n in open_ones))
            made = link_identities(links=links, at=since, may_register=policy.may_register)
            for n, how in zip(open_ones, made, strict=True):
                ended[n] = how
        for one, end in zip(told, ended, strict=True):
            if one.only_links:
                counts[ENDED[end] if end else NOBODY] += 1
        count_intake(policy.source, counts.total(), counts)
    return counts


def _foreseen(link: Link | None, resolution: Resolution) -> Linked | None:
    """How a link ends for which nothing has to be written; None for the others."""
    if link is None:
        return None
    person = resolution.known.get(link.person.key)
    if person is None:
        return None
    theirs = resolution.known.get(link.other) if link.other else person
    if theirs is None:
        return None
    return "known" if theirs == person else "apart"


class _OtherTimes(Exception):
    """Events are stored with other content, perhaps with another time only; undoes an intake."""

    def __init__(self, stored: dict[int, tuple[UUID, UUID]]) -> None:
        super().__init__()
        self.stored = stored  # stream and event id, by the place of the item


def _ingested(items: Sequence[Item], policy: Policy) -> IntakeReport:
    """Events that are stored already count as duplicates, whatever time they tell now.

    The corrected time of a message differs from one delivery to the next by what the network took,
    so a retry looks like other content. It is taken again with the time that is stored; a first
    delivery pays nothing for that.
    """
    try:
        return ingest(items=items, policy=policy, within=_require_no_conflict)
    except _OtherTimes as others:
        times = _stored_times(others.stored.values())
        moments = {place: times.get(pair) for place, pair in others.stored.items()}
    return ingest(items=[_at(i, moments.get(n)) for n, i in enumerate(items)], policy=policy)


def _require_no_conflict(report: IntakeReport) -> None:
    stored = {
        place: (result.stream, result.event_id)
        for place, result in enumerate(report.results)
        if result.reason == "event_id_conflict" and result.stream and result.event_id
    }
    if stored:
        raise _OtherTimes(stored)


def _at(item: Item, moment: datetime | None) -> Item:
    if moment is None or not isinstance(item.envelope, Envelope):
        return item
    envelope = msgspec.structs.replace(item.envelope, occurred_at=moment)
    return replace(item, envelope=envelope)


def _stored_times(pairs: Collection[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], datetime]:
    streams, ids = zip(*pairs, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(STORED, [list(streams), list(ids)])
        return {(stream, UUID(event)): moment for stream, event, moment in cursor}
