"""The baselines of protocol B. Each returns scores (T, V); the first ten of them are judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ml.events import Integers
from ml.protocols.data import segments
from ml.protocols.likeness import likeness
from ml.protocols.next_basket import NextBasket, first_ten, values

RECENT_DAYS = 28
HISTORY_DECAY = 0.8
REFERENCE = "personal top, ties and fill by the last 28 days"

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tifu:
    """Source: Hu et al. 2020, "Modeling Personalized Item Frequency" (TIFU-kNN); its defaults."""

    groups: int = 7
    within: float = 0.9
    between: float = 0.7
    own: float = 0.7
    neighbours: int = 300


TUNING = tuple(
    Tifu(within=within, between=between, own=own)
    for within, between, own in product((0.9, 1.0), (0.6, 0.7), (0.5, 0.7, 0.9))
)


class Counters:
    """What the rules count: at each target, everything the customer bought before it."""

    def __init__(self, task: NextBasket) -> None:
        self.task = task

    @cached_property
    def popularity(self) -> Scores:
        """In how many orders before the split an item (V,) stood."""
        return _sums(self.task.matrix[self.task.learned])

    @cached_property
    def recent(self) -> Scores:
        """In how many orders of the 28 days before the target's day an item stood (T, V)."""
        days = self.task.baskets.day
        asked = days[self.task.targets]
        by_day = {
            int(day): _sums(self.task.matrix[(days < day) & (days >= day - RECENT_DAYS)])
            for day in np.unique(asked)
        }
        return np.stack([by_day[day] for day in asked.tolist()])

    @cached_property
    def own(self) -> Scores:
        """In how many earlier orders of the customer an item stood (T, V)."""
        return self._folded(1.0)

    def history(self, decay: float) -> Scores:
        """Return the same with each order counting ``decay`` of the one after it."""
        return self._folded(decay)

    def _folded(self, decay: float) -> Scores:
        task = self.task
        found = np.zeros((len(task.targets), len(task.vocabulary)), np.float32)
        for part in segments(task.baskets.customer[task.targets]):
            rows = task.targets[part]
            memory, at = (
                np.zeros(found.shape[1], np.float32),
                rows[0] - task.baskets.earlier[rows[0]],
            )
            for n, row in enumerate(rows.tolist(), start=part.start):
                for order in range(at, row):
                    memory *= np.float32(decay)
                    memory[_columns(task.matrix, order)] += 1
                at, found[n] = row, memory
        return found


def global_top(counters: Counters) -> Scores:
    return np.broadcast_to(
        counters.popularity, (len(counters.task.targets), len(counters.popularity))
    )


def recent_top(counters: Counters) -> Scores:
    return counters.recent


def personal_alone(counters: Counters) -> Scores:
    """Own items only: ties by code, no fill."""
    return np.where(counters.own > 0, counters.own, -np.inf).astype(np.float32)


def personal_by_popularity(counters: Counters) -> Scores:
    return counters.own + _below_one(counters.popularity[None, :])


def personal_by_recent(counters: Counters) -> Scores:
    return counters.own + _below_one(counters.recent)


def basket_neighbours(counters: Counters) -> Scores:
    learned = counters.task.matrix[counters.task.learned]
    history = sparse.csr_array(counters.history(HISTORY_DECAY))
    return np.asarray(history @ likeness(learned))


METHODS = {
    "global top": global_top,
    "top of the last 28 days": recent_top,
    "personal top, ties by code, no fill": personal_alone,
    "personal top, ties and fill by global": personal_by_popularity,
    REFERENCE: personal_by_recent,
    "item-kNN from history": basket_neighbours,
}


class TifuScores:
    """TIFU-kNN; neighbours are the customers as they were at the split."""

    def __init__(self, task: NextBasket) -> None:
        self.task = task
        first = task.targets - task.baskets.earlier[task.targets]
        self.asked = list(zip(first.tolist(), task.targets.tolist(), strict=True))
        rows = np.flatnonzero(task.learned)
        ends = [rows[part] for part in segments(task.baskets.customer[rows])]
        self.others = [(int(part[0]), int(part[-1]) + 1) for part in ends]
        self.who = task.baskets.customer[[first for first, _ in self.others]]

    def __call__(self, chosen: Tifu) -> Scores:
        own = self._vectors(self.asked, chosen)
        others = self._vectors(self.others, chosen)
        nearest = self._nearest(own, others, chosen.neighbours)
        shape = (own.shape[0], others.shape[0])
        size = nearest.shape[1]
        places = (np.repeat(np.arange(shape[0]), size), nearest.ravel())
        mean = sparse.csr_array((np.full(nearest.size, 1 / size, np.float32), places), shape=shape)
        mixed = chosen.own * own + (1 - chosen.own) * (mean @ others)
        return np.asarray(mixed.toarray(), dtype=np.float32)

    def _nearest(self, own: sparse.csr_array, others: sparse.csr_array, most: int) -> Integers:
        length = others.multiply(others).sum(axis=1)
        far = np.asarray(length)[None, :] - 2 * (own @ others.T).toarray()
        asker = self.task.baskets.customer[self.task.targets]
        far[asker[:, None] == self.who[None, :]] = np.inf
        most = min(most, far.shape[1] - 1) or 1
        return np.argpartition(far, most - 1, axis=1)[:, :most]

    def _vectors(self, spans: list[tuple[int, int]], chosen: Tifu) -> sparse.csr_array:
        weights = [group_weights(end - begin, chosen) for begin, end in spans]
        row = np.repeat(np.arange(len(spans)), [len(w) for w in weights])
        column = np.concatenate([np.arange(begin, end) for begin, end in spans])
        shape = (len(spans), len(self.task.baskets))
        table = sparse.csr_array(
            (np.concatenate(weights).astype(np.float32), (row, column)), shape=shape
        )
        return table @ self.task.matrix


def group_weights(orders: int, chosen: Tifu) -> NDArray[np.float64]:
    """Return what each of a customer's orders, oldest first, counts in its vector.

    The orders are cut into groups of equal size, the oldest one may be smaller. Older orders of a
    group and older groups decay; both are means.
    """
    size = -(-orders // chosen.groups)
    groups = -(-orders // size)
    back = np.arange(orders)[::-1]
    group, place = back // size, back % size
    length = np.where(group == groups - 1, orders - size * (groups - 1), size)
    weights = chosen.within**place / length * chosen.between**group / groups
    return np.asarray(weights, dtype=np.float64)


def tuned_tifu(validation: NextBasket) -> Tifu:
    """Return the setting with the best nDCG@10 on the validation window."""
    scores = TifuScores(validation)

    def reached(chosen: Tifu) -> float:
        return float(values(validation, first_ten(scores(chosen)))["ndcg_10"].mean())

    return max(TUNING, key=reached)


def _below_one(scores: Scores) -> Scores:
    """Return the scores in their order, all below 1: they decide among equals."""
    return np.asarray(scores / (scores.max(axis=1, keepdims=True) + 1))


def _sums(matrix: sparse.csr_array) -> Scores:
    return np.asarray(matrix.sum(axis=0), dtype=np.float32).ravel()


def _columns(matrix: sparse.csr_array, row: int) -> Integers:
    return np.asarray(matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]])
