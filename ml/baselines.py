"""Simple rules that a model has to beat, fitted on what lies before the validation window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.encoding import Columns, first_rows, previous_where
from ml.events import EventKind, EventTable, Floats, Integers
from ml.metrics import ItemScores

OWN_SHARE, MARKOV_SHARE = 0.25, 0.40
POPULARITY_FLOOR = 0.1
MISS = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Histories:
    """A table with its columns, and which rows came early enough to learn from.

    ``asked`` are the rows (N,) after which a target item follows directly; ``wanted`` those items.
    """

    events: EventTable
    columns: Columns
    early: NDArray[np.bool_]
    asked: Integers
    known: int

    @property
    def purchased(self) -> NDArray[np.bool_]:
        """Which rows are purchases."""
        return np.asarray(self.events.kind == EventKind.PURCHASED)

    @property
    def wanted(self) -> Integers:
        """The items that followed."""
        return self.columns.item[self.asked + 1]

    def popularity(self) -> Floats:
        """Return the distribution of the early purchases, no item at 0."""
        item = self.columns.item[self.early & self.purchased]
        counts = np.bincount(item[item < self.known], minlength=self.known) + POPULARITY_FLOOR
        return np.asarray(counts / counts.sum())


def score_popularity(past: Histories) -> ItemScores:
    """Return how global popularity did."""
    share = past.popularity()
    ordered = np.sort(share)
    scores = _unknown(len(past.wanted))
    known = past.wanted < past.known
    own = share[past.wanted[known]]
    scores.rank[known] = len(share) - np.searchsorted(ordered, own, side="left")
    scores.nll[known] = -np.log(own)
    return scores


def score_own(past: Histories) -> ItemScores:
    """Return how the customer's own earlier lines, mixed with popularity, did."""
    share = past.popularity()
    rest = (1 - OWN_SHARE) * share
    scores = _unknown(len(past.asked))
    counts, total, row = np.zeros(past.known), 0, 0
    starts, buys, item = first_rows(past.events), past.purchased, past.columns.item
    for n, (asked, wanted) in enumerate(zip(past.asked, past.wanted, strict=True)):
        for seen in range(row, asked + 1):
            if starts[seen]:
                counts, total = np.zeros(past.known), 0
            if buys[seen] and item[seen] < past.known:
                counts[item[seen]] += 1
                total += 1
        row = asked + 1
        if wanted < past.known:
            mixed = rest + OWN_SHARE * counts / total if total else share
            _score(scores, n, mixed, wanted)
    return scores


def score_markov(past: Histories) -> ItemScores:
    """Return how transitions from the last item, mixed with popularity, did."""
    share = past.popularity()
    rest = (1 - MARKOV_SHARE) * share
    after = _transitions(past)
    latest = np.where(
        past.purchased, np.arange(len(past.events)), previous_where(past.events, past.purchased)
    )
    scores = _unknown(len(past.asked))
    last_item = past.columns.item[latest[past.asked]]
    for n in np.argsort(last_item, kind="stable"):
        wanted = past.wanted[n]
        if wanted >= past.known:
            continue
        mixed = share
        if (followers := after.get(int(last_item[n]))) is not None:
            mixed = rest.copy()
            mixed[followers[0]] += MARKOV_SHARE * followers[1]
        _score(scores, int(n), mixed, wanted)
    return scores


def _transitions(past: Histories) -> dict[int, tuple[Integers, Floats]]:
    """Return the items that followed each item early on, with their shares."""
    lines = np.flatnonzero(past.early & past.purchased & (past.columns.item < past.known))
    customer, item = past.events.customer[lines], past.columns.item[lines]
    together = customer[1:] == customer[:-1]
    pairs = item[:-1][together] * past.known + item[1:][together]
    codes, counts = np.unique(pairs, return_counts=True)
    before, after = codes // past.known, codes % past.known
    present, first = np.unique(before, return_index=True)
    ends = np.append(first[1:], len(codes))
    return {
        int(p): (after[a:b], counts[a:b] / counts[a:b].sum())
        for p, a, b in zip(present, first, ends, strict=True)
    }


def _unknown(targets: int) -> ItemScores:
    return ItemScores(np.full(targets, MISS), np.full(targets, np.nan))


def _score(scores: ItemScores, n: int, share: Floats, wanted: int) -> None:
    scores.rank[n] = np.count_nonzero(share >= share[wanted])
    scores.nll[n] = -np.log(share[wanted])
