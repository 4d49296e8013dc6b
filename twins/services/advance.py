"""Advancing: folding what the live twins have not seen yet."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from uuid import UUID

from django.db import transaction

from events.services import Claim, claim_lagging, claim_stream, mark_advanced
from twins.folding import Histories, fold, late_streams, unseen_of, whole_histories
from twins.heads import read_heads, write_heads
from twins.pointer import share_pointer
from twins.selectors import active_model_id, lagging_shards, loaded_model

STREAMS_PER_BATCH = 512
EVENTS_PER_BATCH = 100_000


@dataclass(frozen=True, slots=True)
class AdvanceReport:
    """How much one advance did; nothing at all where no stream was free or no model is active."""

    streams: int = 0
    events: int = 0

    def __add__(self, other: "AdvanceReport") -> "AdvanceReport":
        return AdvanceReport(self.streams + other.streams, self.events + other.events)


@transaction.atomic
def advance(*, shard: int, at: datetime, limit: int = STREAMS_PER_BATCH) -> AdvanceReport:
    """At most ``limit`` lagging twins of a shard have seen all events of their streams.

    All of them or, after a crash, none. Delivered twice it finds nothing the second time; two at
    once share the streams, because each passes over what the other holds. A batch holds at most
    100,000 events, unless a single stream is longer.
    """
    share_pointer()
    model_id = active_model_id()
    if model_id is None:
        return AdvanceReport()
    claims = _bounded(claim_lagging(shard=shard, limit=limit))
    if not claims:
        return AdvanceReport()
    return _fold_claims(model_id, claims, at)


@transaction.atomic
def advance_stream(*, pseudonym: UUID, at: datetime) -> AdvanceReport:
    """One twin has seen all events of its stream, by this call or by a worker it waited for."""
    share_pointer()
    model_id = active_model_id()
    claim = claim_stream(pseudonym) if model_id else None
    if model_id is None or claim is None:
        return AdvanceReport()
    return _fold_claims(model_id, [claim], at)


def advance_all(
    *, clock: Iterable[datetime], limit: int = STREAMS_PER_BATCH
) -> Iterator[AdvanceReport]:
    """All shards that lag now are advanced; yields what has been done in all so far.

    ``clock`` gives the time of each advance.
    """
    done, times = AdvanceReport(), iter(clock)
    for shard in sorted(lagging_shards()):
        while (report := advance(shard=shard, limit=limit, at=next(times))).streams:
            done = done + report
            yield done


def _fold_claims(model_id: UUID, claims: list[Claim], at: datetime) -> AdvanceReport:
    pseudonyms = [claim.stream for claim in claims]
    heads = read_heads(model_id, pseudonyms)
    unseen = unseen_of(pseudonyms, heads)
    late = late_streams(unseen, heads)
    whole, postponed = _whole_of(late, claims)
    for pseudonym in postponed:
        del unseen[pseudonym]
    folded = fold(loaded_model(model_id), heads, unseen, whole)
    write_heads(folded, heads, model_id=model_id, at=at)
    versions = {twin.pseudonym: twin.stream_version for twin in folded}
    # A head may stand where its stream stands although the stream says otherwise: then there is
    # nothing unseen to fold, and only the stream has to be put right.
    even = [p for p in pseudonyms if p in heads and p not in unseen and p not in postponed]
    mark_advanced(versions={p: heads[p].stream_version for p in even} | versions)
    events = sum(len(unseen[pseudonym]) for pseudonym in versions)
    return AdvanceReport(streams=len(versions) + len(even), events=events)


def _whole_of(late: list[UUID], claims: Iterable[Claim]) -> tuple[Histories, set[UUID]]:
    """The histories of the late streams that fit into one batch; the others wait for the next."""
    versions = {claim.stream: claim.version for claim in claims}
    sizes = accumulate(versions[pseudonym] for pseudonym in late)
    fitting = [i for i, size in enumerate(sizes) if i == 0 or size <= EVENTS_PER_BATCH]
    now, later = late[: len(fitting)], set(late[len(fitting) :])
    return (whole_histories(now) if now else {}), later


def _bounded(claims: list[Claim]) -> list[Claim]:
    """The first of the claims that hold no more events than a batch may, but at least one."""
    sizes = accumulate(claim.version - claim.advanced_version for claim in claims)
    fitting = [i for i, size in enumerate(sizes) if i == 0 or size <= EVENTS_PER_BATCH]
    return claims[: len(fitting)]
