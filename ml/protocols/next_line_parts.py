"""What the baselines of protocol A are mixed from: one distribution over items per line.

Everything is fitted on the lines before the split; ``Recent`` and what a customer did before are
read as they come. A part that knows nothing at a line says what popularity says.

Shapes: B lines asked for, V items.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy import sparse

from ml.events import Integers
from ml.protocols.data import segments
from ml.protocols.likeness import likeness
from ml.protocols.next_line import NextLine, Singles

POPULARITY_FLOOR = 0.1  # counts added to every item
RECENT_DAYS = 28
BASKET_LINES, BASKET_DECAY = 10, 0.9


class Part(Protocol):
    """A distribution over items for each line that is asked for."""

    def __call__(self, rows: Integers) -> Singles: ...


class Popularity:
    """How often an item was bought before the split."""

    def __init__(self, task: NextLine) -> None:
        self.share = _share(_counts(task.item[task.learned], task.vocabulary))

    def __call__(self, rows: Integers) -> Singles:
        return np.broadcast_to(self.share, (len(rows), len(self.share)))


class Recent:
    """How often an item was bought in the 28 days before the line's day, by anybody."""

    def __init__(self, task: NextLine) -> None:
        self.task, self.day = task, task.lines.day
        known = np.flatnonzero(task.item < task.vocabulary)
        self.by_day = known[np.argsort(self.day[known], kind="stable")]
        self.days = self.day[self.by_day]
        self.seen: dict[int, Singles] = {}

    def __call__(self, rows: Integers) -> Singles:
        return np.stack([self._on(day) for day in self.day[rows].tolist()])

    def _on(self, day: int) -> Singles:
        if day not in self.seen:
            a, b = np.searchsorted(self.days, (day - RECENT_DAYS, day))
            items = self.task.item[self.by_day[a:b]]
            self.seen[day] = _share(_counts(items, self.task.vocabulary))
        return self.seen[day]


class Own:
    """The customer's own earlier lines."""

    def __init__(self, task: NextLine, popularity: Popularity) -> None:
        self.task, self.popularity = task, popularity

    def __call__(self, rows: Integers) -> Singles:
        counts = np.zeros((len(rows), self.task.vocabulary), np.float32)
        starts = self.task.customer_starts[rows]
        for block in segments(starts):
            first, asked = starts[block.start], rows[block]
            past = np.arange(first, asked[-1])
            item = self.task.item[past]
            known = item < self.task.vocabulary
            reached = np.searchsorted(asked, past[known], side="right") + block.start
            np.add.at(counts, (reached, item[known]), 1)
            np.cumsum(counts[block], axis=0, out=counts[block])
        return _normalised(counts, self.popularity.share)


class Transitions:
    """What followed the last item before the split, in anybody's lines, across orders."""

    def __init__(self, task: NextLine, popularity: Popularity) -> None:
        self.task, self.popularity = task, popularity
        row = np.flatnonzero(task.learned)
        row = row[task.customer_starts[row] < row]
        before, after = task.item[row - 1], task.item[row]
        size = task.vocabulary + 1
        counts = sparse.csr_array((np.ones(len(row)), (before, after)), shape=(size, size))
        counts = counts[:, : task.vocabulary].tolil()
        counts[task.vocabulary] = 0  # an unknown item has no followers of its own
        self.counts = counts.tocsr().astype(np.float32)

    def __call__(self, rows: Integers) -> Singles:
        followers = self.counts[self.task.item[rows - 1]].toarray()
        return _normalised(followers, self.popularity.share)


class OwnTransitions:
    """What followed the last item in the customer's own past."""

    def __init__(self, task: NextLine, popularity: Popularity) -> None:
        self.task, self.popularity = task, popularity

    def __call__(self, rows: Integers) -> Singles:
        counts = np.zeros((len(rows), self.task.vocabulary), np.float32)
        starts = self.task.customer_starts[rows]
        for block in segments(starts):
            self._count(counts[block], rows[block], int(starts[block.start]))
        return _normalised(counts, self.popularity.share)

    def _count(self, counts: Singles, rows: Integers, first: int) -> None:
        items = self.task.item[first : rows[-1]].tolist()
        followers: dict[int, list[int]] = {}
        seen = 1
        for n, row in enumerate((rows - first).tolist()):
            for at in range(seen, row):
                if items[at] < self.task.vocabulary:
                    followers.setdefault(items[at - 1], []).append(items[at])
            seen = max(row, seen)
            if found := followers.get(items[row - 1]):
                np.add.at(counts[n], found, 1)


class BasketNeighbours:
    """Items that stood in the same orders as the last ten lines of the open order.

    Cosine of items over orders, times n / (n + 10) where n orders had both; summed over the lines
    with a weight of 0.9 per line back, squared. The open order is that of the line before: no
    method is told that a new one begins.
    """

    def __init__(self, task: NextLine, popularity: Popularity) -> None:
        self.task, self.popularity = task, popularity
        self.likeness = likeness(_baskets(task))

    def __call__(self, rows: Integers) -> Singles:
        scores = _open_order(self.task, rows, BASKET_LINES, BASKET_DECAY) @ self.likeness
        return _normalised(np.square(scores), self.popularity.share)


class OpenOrder:
    """Where an item stands in the order of the line before (not a distribution)."""

    def __init__(self, task: NextLine) -> None:
        self.task = task

    def __call__(self, rows: Integers) -> sparse.csr_array:
        longest = int((rows - self.task.order_starts[rows - 1]).max())
        return _open_order(self.task, rows, longest, 1.0)


def _open_order(task: NextLine, rows: Integers, lines: int, decay: float) -> sparse.csr_array:
    """Return weights (B, V) of the last lines of the order of the line before each row."""
    asked = np.arange(len(rows))
    places, items, weights = [], [], []
    for back in range(lines):
        line = rows - 1 - back
        item = task.item[np.maximum(line, 0)]
        inside = (line >= task.order_starts[rows - 1]) & (item < task.vocabulary)
        places.append(asked[inside])
        items.append(item[inside])
        weights.append(np.full(int(inside.sum()), decay**back, np.float32))
    where = (np.concatenate(places), np.concatenate(items))
    return sparse.csr_array((np.concatenate(weights), where), shape=(len(rows), task.vocabulary))


def _baskets(task: NextLine) -> sparse.csr_array:
    """Return the distinct items of each order before the split as ones."""
    rows = np.flatnonzero(task.learned)
    pairs = np.unique(np.stack([task.lines.order[rows], task.item[rows]]), axis=1)
    _, order = np.unique(pairs[0], return_inverse=True)
    size = (int(order.max()) + 1, task.vocabulary)
    return sparse.csr_array((np.ones(len(order), np.float32), (order, pairs[1])), shape=size)


def _counts(items: Integers, vocabulary: int) -> Singles:
    return np.bincount(items, minlength=vocabulary).astype(np.float32)


def _share(counts: Singles) -> Singles:
    floored = counts + np.float32(POPULARITY_FLOOR)
    return np.asarray(floored / floored.sum())


def _normalised(weights: Singles, otherwise: Singles) -> Singles:
    """Return rows that sum to 1, ``otherwise`` where nothing has weight; changes ``weights``."""
    sums = weights.sum(axis=1, keepdims=True)
    weights /= np.where(sums > 0, sums, 1)
    weights[sums[:, 0] == 0] = otherwise
    return weights
