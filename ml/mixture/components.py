"""The distributions that are mixed: whole over the vocabulary, or at one item only.

Each is a sparse support, normalised, beside a floor of popularity. One that has nothing to say (no
line yet, an item nobody bought before) is the popularity of the last 28 days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ml.events import Floats, Integers
from ml.mixture.days import SKIPPED
from ml.mixture.lines import UNKNOWN
from ml.mixture.market import Snapshot
from ml.mixture.memory import ORDER_DECAY, WINDOW, Memory, Reading
from ml.mixture.tables import Matrix, Table, selector

POPULAR = ("all_time", "last_28_days", "last_7_days")
SPARSE = (
    "own", "own_decayed", "transitions", "recent_transitions", "skips", "neighbours",
    "own_transitions",
)  # fmt: skip
NAMES = (*POPULAR, *SPARSE)
FLOOR = 0.001
FALLBACK = 1  # the popularity of the last 28 days
NEIGHBOUR_DECAY = 0.9  # from line to line of the open order
NEIGHBOUR_WEIGHTS: Floats = NEIGHBOUR_DECAY ** np.arange(WINDOW, dtype=np.float64)
SKIP_PLACES = [steps - 1 for steps in SKIPPED]

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Views:
    """What the customer's own components need of B memories.

    Shapes: ``last`` (B, WINDOW), the rest (B, V); ``basket`` is 1 at the items of the open order.
    """

    last: Integers
    own: Matrix
    own_decayed: Matrix
    own_transitions: Matrix
    basket: Matrix

    @staticmethod
    def of(memories: Sequence[Memory], items: int) -> Views:
        """Return the views of memories as they are now."""
        maker = ViewMaker()
        for memory in memories:
            maker.add(memory)
        return maker.views(items)

    def rows(self, index: slice | Integers) -> Views:
        """Return the views of some of the memories."""
        return Views(
            self.last[index], self.own[index], self.own_decayed[index],
            self.own_transitions[index], self.basket[index],
        )  # fmt: skip


class ViewMaker:
    """Collects memories one by one, each as it is at that moment."""

    def __init__(self) -> None:
        self.last: list[list[int]] = []
        self.own, self.next, self.basket = _Rows(), _Rows(), _Rows()
        self.weight: list[float] = []
        self.age: list[int] = []  # orders since the weight was right

    def add(self, memory: Memory) -> None:
        """Take down one memory."""
        self.last.append(window(memory))
        own = memory.own.values()
        self.own.add(list(memory.own), [item.count for item in own])
        self.weight += [item.weight for item in own]
        self.age += [memory.orders - item.order for item in own]
        before = memory.own.get(memory.previous)
        following = before.next if before else {}
        self.next.add(list(following), list(following.values()))
        self.basket.add(list(memory.basket), [1] * len(memory.basket))

    def views(self, items: int) -> Views:
        """Return the views of all that was added."""
        weights = np.array(self.weight) * ORDER_DECAY ** np.array(self.age, dtype=np.float64)
        return Views(
            last=np.array(self.last, np.int64).reshape(-1, WINDOW),
            own=self.own.matrix(items),
            own_decayed=self.own.matrix(items, weights),
            own_transitions=self.next.matrix(items),
            basket=self.basket.matrix(items),
        )


def window(memory: Memory) -> list[int]:
    """Return the items on the last lines of the open order, padded to ``WINDOW``."""
    return memory.last + [UNKNOWN] * (WINDOW - len(memory.last))


@dataclass(frozen=True, slots=True)
class Components:
    """K distributions for each of B memories; those of a network, if any, come last.

    Shapes: ``popularity`` (3, V), each of ``parts`` (B, V) with rows that sum to 1 or to 0,
    ``filled`` (B, 7) says which; each of ``network`` is (B, V).
    """

    popularity: Floats
    parts: tuple[Matrix, ...]
    filled: Floats
    network: tuple[Singles, ...] = ()

    @staticmethod
    def of(views: Views, market: Snapshot, network: tuple[Singles, ...] = ()) -> Components:
        """Return the components of memories on the day of the snapshot."""
        last = views.last
        previous, skipped = last[:, :1], last[:, SKIP_PLACES]
        raw = (
            views.own,
            views.own_decayed,
            _summed(previous, market.transitions),
            _summed(previous, market.recent_transitions),
            _summed(skipped, market.skips),
            _likeness(last, market.neighbours),
            views.own_transitions,
        )
        totals = np.stack([part.sum(axis=1) for part in raw], axis=1)
        filled = totals > 0
        scale = np.where(filled, 1 / np.where(filled, totals, 1.0), 0.0)
        parts = tuple(_scaled(part, scale[:, k]) for k, part in enumerate(raw))
        return Components(market.popularity, parts, filled.astype(np.float64), network)

    def mass(self, chosen: Matrix) -> Floats:
        """Return what each component (B, K) gives to the items that ``chosen`` (B, V) marks."""
        popular = chosen @ self.popularity.T
        sparse_mass = np.stack([(p * chosen).sum(axis=1) for p in self.parts], axis=1)
        sparse_mass += (1 - self.filled) * popular[:, [FALLBACK]]
        every = np.concatenate([popular, sparse_mass], axis=1)
        floored: Floats = (1 - FLOOR) * every + FLOOR * popular[:, [0]]
        rows = np.repeat(np.arange(chosen.shape[0]), np.diff(chosen.indptr))
        network = [
            np.bincount(rows, share[rows, chosen.indices] * chosen.data, chosen.shape[0])
            for share in self.network
        ]
        return np.concatenate([floored, *(column[:, None] for column in network)], axis=1)

    def at(self, item: Integers) -> Floats:
        """Return the probability (B, K) of one known item each."""
        items = self.popularity.shape[1]
        return self.mass(selector(item[:, None], np.ones(1), items))

    def mixed(self, weights: Floats) -> Singles:
        """Return the mixture (B, V) with these weights (B, K), which sum to 1."""
        parts = weights[:, len(POPULAR) : len(NAMES)]
        base = (1 - FLOOR) * weights[:, : len(POPULAR)]
        base[:, 0] += FLOOR * weights[:, : len(NAMES)].sum(axis=1)
        base[:, FALLBACK] += (1 - FLOOR) * (parts * (1 - self.filled)).sum(axis=1)
        result = (base @ self.popularity).astype(np.float32)
        result += self._weighted((1 - FLOOR) * parts)
        for k, share in enumerate(self.network, start=len(NAMES)):
            result += weights[:, [k]].astype(np.float32) * share
        return result

    def _weighted(self, weights: Floats) -> Singles:
        coo = [_scaled(part, weights[:, k]).tocoo() for k, part in enumerate(self.parts)]
        values, rows, columns = (
            np.concatenate([getattr(part, name) for part in coo]) for name in ("data", "row", "col")
        )
        shape = self.parts[0].shape
        dense: Singles = sparse.coo_array(
            (values.astype(np.float32), (rows, columns)), shape=shape
        ).toarray()
        return dense


def item_probabilities(
    item: Integers, last: Integers, readings: Sequence[Reading], market: Snapshot
) -> Floats:
    """Return what ``Components.at`` returns, (N, K), without any whole distribution.

    Items must be known. Equal lines get equal numbers, to the bit, in whatever company they are.
    """
    read = np.array([_ratios(r) for r in readings], np.float64).reshape(-1, 6)
    previous, skipped = last[:, 0], last[:, SKIP_PLACES]
    pairs = [
        (read[:, 0], read[:, 1]),
        (read[:, 2], read[:, 3]),
        (market.transitions.at(previous, item), market.transitions.total(previous)),
        (market.recent_transitions.at(previous, item), market.recent_transitions.total(previous)),
        _skips_at(skipped, item, market.skips),
        _neighbours_at(last, item, market.neighbours),
        (read[:, 4], read[:, 5]),
    ]
    popular = market.popularity[:, item].T
    columns = [*popular.T, *(_share(part, whole, popular[:, FALLBACK]) for part, whole in pairs)]
    return (1 - FLOOR) * np.stack(columns, axis=1) + FLOOR * popular[:, [0]]


def _ratios(reading: Reading) -> tuple[float, ...]:
    return (
        reading.own, reading.own_total, reading.weight, reading.weight_total,
        reading.next, reading.next_total,
    )  # fmt: skip


def _share(part: Floats, whole: Floats, otherwise: Floats) -> Floats:
    filled = whole > 0
    return np.where(filled, part / np.where(filled, whole, 1.0), otherwise)


def _skips_at(skipped: Integers, item: Integers, table: Table) -> tuple[Floats, Floats]:
    part = whole = np.zeros(len(item))
    for column in skipped.T:
        part, whole = part + table.at(column, item), whole + table.total(column)
    return part, whole


def _neighbours_at(last: Integers, item: Integers, table: Table) -> tuple[Floats, Floats]:
    part = np.zeros(len(item))
    for weight, column in zip(NEIGHBOUR_WEIGHTS, last.T, strict=True):
        part = part + weight * table.at(column, item)
    return part**2, _row_sums(_likeness(last, table))


def _row_sums(matrix: Matrix) -> Floats:
    """Return the sums of rows, each in the order of its own numbers."""
    sums = np.zeros(matrix.shape[0])
    some = np.diff(matrix.indptr) > 0
    if some.any():
        sums[some] = np.add.reduceat(matrix.data, matrix.indptr[:-1][some])
    return sums


def _summed(rows: Integers, table: Table) -> Matrix:
    return selector(rows, np.ones(rows.shape[1]), table.items) @ table.matrix


def _likeness(last: Integers, table: Table) -> Matrix:
    """Return the squared likeness (B, V) of every item to the last lines of the open order."""
    summed = selector(last, NEIGHBOUR_WEIGHTS, table.items) @ table.matrix
    summed.data **= 2
    return summed


def _scaled(matrix: Matrix, factors: Floats) -> Matrix:
    """Return the matrix with each row times its factor."""
    data = matrix.data * np.repeat(factors, np.diff(matrix.indptr))
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


class _Rows:
    """Sparse rows under construction."""

    def __init__(self) -> None:
        self.columns: list[int] = []
        self.values: list[int] = []
        self.starts = [0]

    def add(self, columns: list[int], values: list[int]) -> None:
        self.columns += columns
        self.values += values
        self.starts.append(len(self.columns))

    def matrix(self, items: int, values: Floats | None = None) -> Matrix:
        numbers = np.array(self.values, np.float64) if values is None else values
        shape = (len(self.starts) - 1, items)
        return sparse.csr_array(
            (numbers, np.array(self.columns, np.int64), self.starts), shape=shape
        )
