"""The distributions that are mixed.

Each is a support, normalised, beside a floor of popularity. One that has nothing to say (no
line yet, an item nobody bought before) is the popularity of the last 28 days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.events import Floats, Integers, ranges
from ml.mixture.days import SKIPPED
from ml.mixture.lines import UNKNOWN
from ml.mixture.market import Snapshot
from ml.mixture.memory import ORDER_DECAY, WINDOW, Memory
from ml.mixture.tables import Table

POPULAR = ("all_time", "last_28_days", "last_7_days")
SPARSE = (
    "own", "own_decayed", "transitions", "recent_transitions", "skips", "neighbours",
    "own_transitions",
)  # fmt: skip
NAMES = (*POPULAR, *SPARSE)
FLOOR = 0.001
FALLBACK = 1  # the popularity of the last 28 days
NEIGHBOUR_DECAY = 0.9  # from line to line of the open order
SKIP_PLACES = [steps - 1 for steps in SKIPPED]

Singles = NDArray[np.float32]
NEIGHBOUR_WEIGHTS: Singles = (NEIGHBOUR_DECAY ** np.arange(WINDOW)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Cells:
    """Numbers at some items of B memories, those of the first memory first.

    Shapes: ``starts`` (B + 1,), ``columns`` and ``values`` (M,); a column occurs once in a row.
    """

    starts: Integers
    columns: Integers
    values: Floats

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def rows(self) -> Integers:
        """Whose each number is (M,)."""
        return np.repeat(np.arange(len(self)), self.starts[1:] - self.starts[:-1])

    def take(self, index: Integers) -> Cells:
        """Return the numbers of some of the memories, in this order."""
        first = self.starts[index]
        lengths = self.starts[index + 1] - first
        place = ranges(first, lengths)
        starts = np.concatenate(([0], np.cumsum(lengths)))
        return Cells(starts, self.columns[place], self.values[place])

    def holds(self, columns: Integers) -> NDArray[np.bool_]:
        """Return whether each memory has a number at its one of these columns (B,)."""
        found = np.zeros(len(self), np.bool_)
        found[self.rows[self.columns == columns[self.rows]]] = True
        return found


@dataclass(frozen=True, slots=True)
class Views:
    """What the customer's own components need of B memories.

    ``last`` (B, WINDOW); ``basket`` are the items of the open order.
    """

    last: Integers
    own: Cells
    own_decayed: Cells
    own_transitions: Cells
    basket: Cells

    @staticmethod
    def of(memories: Sequence[Memory]) -> Views:
        """Return the views of memories as they are now."""
        maker = ViewMaker()
        for memory in memories:
            maker.add(memory)
        return maker.views()

    def rows(self, index: Integers) -> Views:
        """Return the views of some of the memories."""
        return Views(
            self.last[index], self.own.take(index), self.own_decayed.take(index),
            self.own_transitions.take(index), self.basket.take(index),
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

    def views(self) -> Views:
        """Return the views of all that was added."""
        weights = np.array(self.weight) * ORDER_DECAY ** np.array(self.age, dtype=np.float64)
        own = self.own.cells()
        return Views(
            last=np.array(self.last, np.int64).reshape(-1, WINDOW),
            own=own,
            own_decayed=Cells(own.starts, own.columns, weights),
            own_transitions=self.next.cells(),
            basket=self.basket.cells(),
        )


def window(memory: Memory) -> list[int]:
    """Return the items on the last lines of the open order, padded to ``WINDOW``."""
    return memory.last + [UNKNOWN] * (WINDOW - len(memory.last))


@dataclass(frozen=True, slots=True)
class Components:
    """K distributions for each of B memories; those of a network, if any, come last.

    Whole rows, also where most of their numbers are 0: for a few memories at a time that is many
    times faster than sparse matrices, whose every operation costs more than a row.

    Shapes: ``popularity`` (3, V), ``parts`` (B, 7, V) with rows that sum to 1 or to 0, ``filled``
    (B, 7) says which; each of ``network`` is (B, V).
    """

    popularity: Singles
    parts: Singles
    filled: NDArray[np.bool_]
    network: tuple[Singles, ...] = ()

    @staticmethod
    def of(views: Views, market: Snapshot, network: tuple[Singles, ...] = ()) -> Components:
        """Return the components of memories on the day of the snapshot."""
        parts = np.zeros((len(views.last), len(SPARSE), market.items), np.float32)
        own = (views.own, views.own_decayed, views.own_transitions)
        for name, cells in zip(("own", "own_decayed", "own_transitions"), own, strict=True):
            parts[cells.rows, SPARSE.index(name), cells.columns] = cells.values
        previous = views.last[:, :1]
        _add(parts, "transitions", previous, market.transitions)
        _add(parts, "recent_transitions", previous, market.recent_transitions)
        _add(parts, "skips", views.last[:, SKIP_PLACES], market.skips)
        _add(parts, "neighbours", views.last, market.neighbours, NEIGHBOUR_WEIGHTS)
        alike = parts[:, SPARSE.index("neighbours")]
        alike *= alike
        totals = parts.sum(axis=2, dtype=np.float64)
        filled = totals > 0
        parts *= np.where(filled, 1 / np.where(filled, totals, 1.0), 0.0)[:, :, None].astype("f4")
        return Components(market.popularity.astype(np.float32), parts, filled, network)

    def mass(self, chosen: Cells) -> Floats:
        """Return what each component gives to the items chosen for each memory: (B, K)."""
        rows, columns = chosen.rows, chosen.columns
        popular = self.popularity[:, columns].T
        counted = self.parts[rows, :, columns] + ~self.filled[rows] * popular[:, [FALLBACK]]
        every = np.concatenate([popular, counted], axis=1)
        floored = (1 - FLOOR) * every + FLOOR * popular[:, [0]]
        network = [share[rows, columns][:, None] for share in self.network]
        numbers: Floats = np.concatenate([floored, *network], axis=1).astype(np.float64)
        result = np.zeros((len(chosen), numbers.shape[1]))
        some = np.flatnonzero(chosen.starts[1:] > chosen.starts[:-1])
        if len(some):
            result[some] = np.add.reduceat(numbers, chosen.starts[some], axis=0)
        return result

    def at(self, item: Integers) -> Floats:
        """Return the probability (B, K) of one known item each."""
        return self.mass(Cells(np.arange(len(item) + 1), item, np.ones(len(item))))

    def mixed(self, weights: Floats) -> Singles:
        """Return the mixture (B, V) with these weights (B, K), which sum to 1."""
        parts = weights[:, len(POPULAR) : len(NAMES)]
        base = (1 - FLOOR) * weights[:, : len(POPULAR)]
        base[:, 0] += FLOOR * weights[:, : len(NAMES)].sum(axis=1)
        base[:, FALLBACK] += (1 - FLOOR) * (parts * ~self.filled).sum(axis=1)
        result: Singles = base.astype(np.float32) @ self.popularity
        own = ((1 - FLOOR) * parts).astype(np.float32)
        result += np.matmul(own[:, None, :], self.parts)[:, 0]
        for k, share in enumerate(self.network, start=len(NAMES)):
            result += weights[:, [k]].astype(np.float32) * share
        return result


def _add(
    parts: Singles, name: str, items: Integers, table: Table, weights: Singles | None = None
) -> None:
    """Add the rows of a table that stand at these items (B, P), P to each memory's component.

    ``weights`` (P,) are those of the places; they are all 1 where there are none.
    """
    _, sparse, size = parts.shape
    places = items.shape[1]
    which, columns, values = table.gathered(items.ravel())
    if weights is not None:
        values = weights[which % places] * values
    rows = which // places * sparse + SPARSE.index(name)
    # One index into flat numbers: numpy adds at several indexes fifty times as slowly.
    np.add.at(parts.reshape(-1), rows * size + columns, values)


class _Rows:
    """Cells under construction."""

    def __init__(self) -> None:
        self.columns: list[int] = []
        self.values: list[int] = []
        self.starts = [0]

    def add(self, columns: list[int], values: list[int]) -> None:
        self.columns += columns
        self.values += values
        self.starts.append(len(self.columns))

    def cells(self) -> Cells:
        columns, starts = (np.array(part, np.int64) for part in (self.columns, self.starts))
        return Cells(starts, columns, np.array(self.values, np.float64))
