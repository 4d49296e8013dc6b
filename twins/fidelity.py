"""How well the live twins foresee what really happens, from one day to the next.

Just before the advancer folds new events, the twins are asked what they expect; what came then is
scored. Nothing is held back for it, so the figure is that of production, and of every day. At most
``DTOC_FIDELITY_LINES`` lines of a batch are scored, whole streams at a time: their ids are random,
so they are a sample of the customers. Where somebody waits for a single event, a share of such
events is, ``DTOC_FIDELITY_SHARE``, chosen by a hash of their ids: a sample that no outcome can
sway. Histories that are folded for the first time are not scored.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID
from zlib import crc32

import numpy as np
from django.conf import settings
from django.db import connection
from django.db.models import QuerySet, Sum
from psycopg2.extras import execute_values

from events.catalogue import ItemPurchased
from ml.states import TwinStates
from twins.encoding import event_table
from twins.folding import Mode, Work, stored_states
from twins.models import FidelityDay

if TYPE_CHECKING:
    from ml.foresight import Foresight
    from ml.mixture.market import Snapshot
    from ml.twin import TwinModel

SEGMENTS = {"first": (0, 1), "2-4": (2, 4), "5-9": (5, 9), "10+": (10, 1 << 30)}
SLOTS = 16
RECENT_DAYS, BEFORE_DAYS = 7, 28
LEAST_LINES = 200  # on either side, before anything is said about a drift
LEAST_DROP = 0.05  # nats
DEVIATIONS = 3.0

UPSERT = """
INSERT INTO twins_fidelityday AS f (model_version_id, day, segment, opens, slot, lines, known,
    hits_1, hits_10, reciprocal_ranks, nll, popularity_nll)
VALUES %s
ON CONFLICT (model_version_id, day, segment, opens, slot) DO UPDATE SET
    lines = f.lines + EXCLUDED.lines, known = f.known + EXCLUDED.known,
    hits_1 = f.hits_1 + EXCLUDED.hits_1, hits_10 = f.hits_10 + EXCLUDED.hits_10,
    reciprocal_ranks = f.reciprocal_ranks + EXCLUDED.reciprocal_ranks,
    nll = f.nll + EXCLUDED.nll, popularity_nll = f.popularity_nll + EXCLUDED.popularity_nll
"""
COLUMNS = ("lines", "known", "hits_1", "hits_10", "reciprocal_ranks", "nll", "popularity_nll")


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Sums over scored lines; ``nll`` and its rival are over the ``known`` items only."""

    lines: int
    known: int
    hits_1: int
    hits_10: int
    reciprocal_ranks: float
    nll: float
    popularity_nll: float

    @property
    def top_1(self) -> float:
        return self.hits_1 / self.lines

    @property
    def top_10(self) -> float:
        return self.hits_10 / self.lines

    @property
    def mrr(self) -> float:
        return self.reciprocal_ranks / self.lines

    @property
    def mean_nll(self) -> float:
        """Nats per line of a known item."""
        return self.nll / max(self.known, 1)

    @property
    def mean_popularity_nll(self) -> float:
        """The same of the best sellers of the last 28 days."""
        return self.popularity_nll / max(self.known, 1)

    @property
    def skill(self) -> float:
        """Nats per line that the twins know more than the list of best sellers."""
        return self.mean_popularity_nll - self.mean_nll


@dataclass(frozen=True, slots=True)
class Drift:
    """The last days against those before: did the twins lose skill by more than chance allows?"""

    recent: Fidelity
    before: Fidelity
    allowed: float  # nats of skill that may be lost

    @property
    def drop(self) -> float:
        """Nats of skill that were lost; negative where some was gained."""
        return self.before.skill - self.recent.skill

    @property
    def alarming(self) -> bool:
        return self.drop > self.allowed


def lines_to_score(waited_for: str | None = None) -> int:
    """How many lines of a batch are scored at most; ``waited_for`` is the id of a single event."""
    most: int = settings.DTOC_FIDELITY_LINES
    if waited_for is None or crc32(waited_for.encode()) < settings.DTOC_FIDELITY_SHARE * 2**32:
        return most
    return 0


def foreseen(
    model: TwinModel, works: Sequence[Work], market: Snapshot | None, *, most: int
) -> Foresight | None:
    """What the twins expected of some of the lines that these works bring; None: nothing to score.

    To be asked before the fold.
    """
    if model.next_item is None:
        return None
    chosen = _sample(works, most)
    if not chosen:
        return None
    from ml.foresight import foresee  # torch: only where a model is loaded anyway

    states: TwinStates = stored_states([work.head for work in chosen if work.head])
    events = event_table([work.events for work in chosen])
    return foresee(model, states, events, market or model.next_item.market)


def note_fidelity(seen: Foresight | None, *, model_id: UUID, at: datetime) -> None:
    """The scores are added to those of the day.

    Each process has a row of its own to add to, so that workers do not wait for one another.
    """
    if seen is None or not len(seen):
        return
    slot = os.getpid() % SLOTS
    rows = [
        (model_id, at.date(), segment, opens, slot, *(getattr(sums, name) for name in COLUMNS))
        for (segment, opens), sums in sorted(_sums(seen).items())
    ]
    with connection.cursor() as cursor, connection.wrap_database_errors:
        execute_values(cursor.cursor, UPSERT, rows)


def fidelity_by_day(model_id: UUID, *, since: date, until: date) -> dict[date, Fidelity]:
    """The scores of each day from ``since`` up to and with ``until``; days without any left out."""
    days = _rows(model_id, since, until).values("day")
    return {row["day"]: _fidelity(row) for row in _summed(days).order_by("day")}


def fidelity_by_segment(
    model_id: UUID, *, since: date, until: date
) -> list[tuple[str, bool, Fidelity]]:
    """The scores by orders so far, and by whether the line opened an order."""
    parts = _rows(model_id, since, until).values("segment", "opens")
    found = {(row["segment"], row["opens"]): _fidelity(row) for row in _summed(parts)}
    keys = [(segment, opens) for segment in SEGMENTS for opens in (True, False)]
    return [(*key, found[key]) for key in keys if key in found]


def drift_of(model_id: UUID, *, at: datetime) -> Drift | None:
    """The last seven days against the 28 before them; None while there is too little to compare.

    Skill is counted in nats over the best sellers of the time, so that a changing assortment moves
    both. It may fall by three standard errors of a week's mean, as the days before scatter, and by
    0.05 nats in any case.
    """
    today = at.date()
    split = today - timedelta(days=RECENT_DAYS - 1)
    days = fidelity_by_day(model_id, since=split - timedelta(days=BEFORE_DAYS), until=today)
    recent = total_of(fidelity for day, fidelity in days.items() if day >= split)
    earlier = [fidelity for day, fidelity in days.items() if day < split]
    before = total_of(earlier)
    if min(recent.known, before.known) < LEAST_LINES or len(earlier) < RECENT_DAYS:
        return None
    scatter = float(np.std([day.skill for day in earlier if day.known], ddof=1))
    allowed = max(LEAST_DROP, DEVIATIONS * scatter / math.sqrt(RECENT_DAYS))
    return Drift(recent, before, allowed)


def total_of(parts: Iterable[Fidelity]) -> Fidelity:
    """The scores of all parts together."""
    every = list(parts)
    return Fidelity(**{name: sum(getattr(part, name) for part in every) for name in COLUMNS})


def _sample(works: Iterable[Work], most: int) -> list[Work]:
    """Whole streams that only bring new events to a twin, up to so many lines, at least one."""
    chosen: list[Work] = []
    lines = 0
    for work in works:
        if lines >= most:
            break
        bought = sum(event.type == ItemPurchased.type for event in work.events)
        if work.head is not None and work.mode is Mode.ADVANCED and bought:
            chosen.append(work)
            lines += bought
    return chosen


def _sums(seen: Foresight) -> dict[tuple[str, bool], Fidelity]:
    found = {}
    for segment, (low, high) in SEGMENTS.items():
        for opens in (True, False):
            mine = (seen.orders >= low) & (seen.orders <= high) & (seen.opens == opens)
            if mine.any():
                found[segment, opens] = _scored(seen, mine)
    return found


def _scored(seen: Foresight, mine: np.ndarray[Any, np.dtype[np.bool_]]) -> Fidelity:
    rank, nll = seen.rank[mine], seen.nll[mine]
    return Fidelity(
        lines=len(rank),
        known=int(np.isfinite(nll).sum()),
        hits_1=int((rank == 1).sum()),
        hits_10=int((rank <= 10).sum()),
        reciprocal_ranks=float((1 / rank[rank <= 20]).sum()),
        nll=float(np.nansum(nll)),
        popularity_nll=float(np.nansum(seen.popularity_nll[mine])),
    )


def _rows(model_id: UUID, since: date, until: date) -> QuerySet[FidelityDay]:
    return FidelityDay.objects.filter(model_version_id=model_id, day__gte=since, day__lte=until)


def _summed(rows: Any) -> Any:
    return rows.annotate(**{f"sum_{name}": Sum(name) for name in COLUMNS})


def _fidelity(row: dict[str, Any]) -> Fidelity:
    return Fidelity(**{name: row[f"sum_{name}"] for name in COLUMNS})
