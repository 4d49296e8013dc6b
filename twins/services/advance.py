"""Advancing: folding what the live twins have not seen yet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from uuid import UUID

from django.conf import settings
from django.db import transaction

from common.cycles import without_search_for_cycles
from events.services import Claim, claim_lagging, claim_stream, mark_advanced
from twins.fidelity import foreseen, lines_to_score, note_fidelity
from twins.folding import Folded, Head, Histories, fold, unseen_of
from twins.heads import read_heads, write_heads
from twins.markets import newest_market
from twins.pointer import share_pointer
from twins.rewinding import planned
from twins.selectors import active_model_id, lagging_shards, loaded_model, parked_streams
from twins.services.park import Outcome, Tried, divided, is_of_streams, park

logger = logging.getLogger(__name__)

STREAMS_PER_BATCH = 512
EVENTS_PER_BATCH = 100_000


@dataclass(frozen=True, slots=True)
class AdvanceReport:
    """How much one advance did; nothing at all where no stream was free or no model is active."""

    streams: int = 0
    events: int = 0
    parked: int = 0

    def __add__(self, other: AdvanceReport) -> AdvanceReport:
        return AdvanceReport(
            self.streams + other.streams, self.events + other.events, self.parked + other.parked
        )

    def __bool__(self) -> bool:
        """Whether there was something to do, so that there may be more."""
        return bool(self.streams or self.parked)


Attempt = Callable[[UUID, list[UUID], datetime], Tried]


def advance(*, shard: int, at: datetime, limit: int = STREAMS_PER_BATCH) -> AdvanceReport:
    """At most ``limit`` lagging twins of a shard have seen all events of their streams.

    All of them or, after a crash, none. Delivered twice it finds nothing the second time; two at
    once share the streams, because each passes over what the other holds. A batch holds at most
    100,000 events, unless a single stream is longer. Streams that are parked are passed over. Where
    the fold of a batch fails, it is begun anew in parts, and the streams that are to blame are
    parked; so batches that do not fail pay nothing for it.
    """
    try:
        return _advance_shard(shard, at, limit, fold_together)
    except Exception as error:
        if not is_of_streams(error):
            raise
        logger.warning("batch divided", extra={"shard": shard, "error": repr(error)})
    return _advance_shard(shard, at, limit, fold_apart)


def advance_stream(*, pseudonym: UUID, at: datetime) -> AdvanceReport:
    """One twin has seen all events of its stream, by this call or by a worker it waited for.

    Unless the stream is parked, or has to be now.
    """
    try:
        return _advance_one(pseudonym, at, fold_together)
    except Exception as error:
        if not is_of_streams(error):
            raise
    return _advance_one(pseudonym, at, fold_apart)


def advance_all(
    *, clock: Iterable[datetime], limit: int = STREAMS_PER_BATCH
) -> Iterator[AdvanceReport]:
    """All shards that lag now are advanced; yields what has been done in all so far.

    ``clock`` gives the time of each advance.
    """
    done, times = AdvanceReport(), iter(clock)
    for shard in sorted(lagging_shards()):
        while report := advance(shard=shard, limit=limit, at=next(times)):
            done = done + report
            yield done


@transaction.atomic
def _advance_shard(shard: int, at: datetime, limit: int, attempt: Attempt) -> AdvanceReport:
    share_pointer()
    model_id = active_model_id()
    if model_id is None:
        return AdvanceReport()
    parked = parked_streams(model_id)
    claims = _bounded(claim_lagging(shard=shard, limit=limit, but=parked))
    return fold_claims(model_id, claims, at, attempt) if claims else AdvanceReport()


@transaction.atomic
def _advance_one(pseudonym: UUID, at: datetime, attempt: Attempt) -> AdvanceReport:
    share_pointer()
    model_id = active_model_id()
    if model_id is None or pseudonym in parked_streams(model_id):
        return AdvanceReport()
    claim = claim_stream(pseudonym)
    return fold_claims(model_id, [claim], at, attempt) if claim else AdvanceReport()


def fold_claims(
    model_id: UUID, claims: list[Claim], at: datetime, attempt: Attempt
) -> AdvanceReport:
    """The claimed streams are folded and marked; those whose fold fails on its own are parked."""
    with without_search_for_cycles():
        tried = attempt(model_id, [claim.stream for claim in claims], at)
    mark_advanced(versions=tried.done.versions)
    for pseudonym, error in tried.failed.items():
        park(pseudonym=pseudonym, model_id=model_id, error=error, at=at)
    return AdvanceReport(len(tried.done.versions), tried.done.events, len(tried.failed))


def fold_together(model_id: UUID, pseudonyms: list[UUID], at: datetime) -> Tried:
    """The streams are folded in one pass, all or none."""
    return Tried(_fold_batch(model_id, pseudonyms, at), {})


def fold_apart(model_id: UUID, pseudonyms: list[UUID], at: datetime) -> Tried:
    """The streams are folded in as few passes as it takes to leave out those that fail."""
    loaded_model(model_id)  # a model that cannot be loaded is no fault of the streams
    return divided(pseudonyms, lambda part: _fold_batch(model_id, part, at))


def _fold_batch(model_id: UUID, pseudonyms: list[UUID], at: datetime) -> Outcome:
    heads = read_heads(model_id, pseudonyms)
    unseen = unseen_of(pseudonyms, heads)
    folded = _fold_unseen(model_id, heads, unseen, at)
    versions = {twin.pseudonym: twin.stream_version for twin in folded}
    # A head may stand where its stream stands although the stream says otherwise: then there is
    # nothing unseen to fold, and only the stream has to be put right.
    even = {p: heads[p].stream_version for p in pseudonyms if p in heads and p not in unseen}
    events = sum(len(unseen[pseudonym]) for pseudonym in versions)
    return Outcome(even | versions, events)


def _fold_unseen(
    model_id: UUID, heads: Mapping[UUID, Head], unseen: Histories, at: datetime
) -> list[Folded]:
    """Folded onto the heads and stored; streams that do not fit into one batch are left out."""
    budget = timedelta(days=settings.DTOC_LATE_EVENT_BUDGET_DAYS)
    plan = planned(model_id, heads, unseen, budget=budget, most_events=EVENTS_PER_BATCH)
    model, market = loaded_model(model_id), newest_market(model_id)
    seen = foreseen(model, plan.works, market, most=lines_to_score())
    folded = fold(model, plan.works, market)
    write_heads(folded, heads, model_id=model_id, at=at)
    note_fidelity(seen, model_id=model_id, at=at)
    return folded


def _bounded(claims: list[Claim]) -> list[Claim]:
    """The first of the claims that hold no more events than a batch may, but at least one."""
    sizes = accumulate(claim.version - claim.advanced_version for claim in claims)
    fitting = [i for i, size in enumerate(sizes) if i == 0 or size <= EVENTS_PER_BATCH]
    return claims[: len(fitting)]
