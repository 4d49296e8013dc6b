"""What twins remember: the recurrent state, the clock, and exact counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.events import Integers, Objects

STORED = np.dtype("<f4")  # little endian wherever the state is written or read


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinStates:
    """The states of B twins, one row each.

    ``clock_ms`` is the time of the last event, 0 before the first. ``last_order`` is the key of the
    order of the last purchase, 0 before the first. ``spend_cents`` sums purchase lines, returns are
    counted but not subtracted. ``gaps_*`` are over the starts of successive orders. What
    ``purchase_days`` to ``recent_3`` are is said at ``rhythm.statistics.Purchases``. ``items`` is
    what the next item is foretold from, bytes of ``mixture.memory.Memory``; empty where a model
    has no mixture or whoever reads the states has no use for it.

    Shapes: ``h`` (B, H) and ``c`` (B, S) float32, ``items`` (B,) objects, everything else
    (B,) int64; S is the core's.
    """

    h: NDArray[np.float32]
    c: NDArray[np.float32]
    clock_ms: Integers
    last_order: Integers
    orders: Integers
    lines: Integers
    returns: Integers
    units: Integers
    spend_cents: Integers
    first_order_ms: Integers
    last_order_ms: Integers
    gaps_n: Integers
    gaps_sum_ms: Integers
    purchase_days: Integers
    first_day: Integers
    last_day: Integers
    gap_days: Integers
    gap_before_days: Integers
    last_day_cents: Integers
    recent_0: Integers
    recent_1: Integers
    recent_2: Integers
    recent_3: Integers
    items: Objects

    def __len__(self) -> int:
        return len(self.clock_ms)

    @staticmethod
    def fresh(h: NDArray[np.float32], c: NDArray[np.float32]) -> TwinStates:
        """Return twins that have seen nothing yet."""
        zeros = {name: np.zeros(len(h), np.int64) for name in MEMORY}
        return TwinStates(h=h, c=c, items=as_objects([b""] * len(h)), **zeros)

    def row_bytes(self, i: int) -> tuple[bytes, bytes]:
        """Return ``h`` and ``c`` of one twin as little-endian float32."""
        return self.h[i].astype(STORED).tobytes(), self.c[i].astype(STORED).tobytes()

    def memory(self, i: int) -> dict[str, int]:
        """Return everything of one twin but ``h`` and ``c``, fit for JSON."""
        return {name: int(getattr(self, name)[i]) for name in MEMORY}

    @staticmethod
    def from_bytes(
        h: Sequence[bytes | memoryview],
        c: Sequence[bytes | memoryview],
        memories: Sequence[Mapping[str, int]],
        items: Sequence[bytes] | None = None,
    ) -> TwinStates:
        """Return the twins that ``row_bytes`` and ``memory`` wrote, equal to the bit.

        ``items`` may be left out where nothing is asked about the next item.
        """
        columns = {
            name: np.fromiter((memory[name] for memory in memories), np.int64, len(memories))
            for name in MEMORY
        }
        own = as_objects(items if items is not None else [b""] * len(h))
        return TwinStates(h=_floats(h), c=_floats(c), items=own, **columns)

    def rows(self, part: slice) -> TwinStates:
        """Return the twins of a slice, which share what these hold."""
        return TwinStates(**{name: getattr(self, name)[part] for name in COLUMNS})

    def take(self, index: Sequence[int] | Integers) -> TwinStates:
        """Return copies of the twins at these rows, in this order."""
        rows = np.asarray(index, dtype=np.int64)
        return TwinStates(**{name: getattr(self, name)[rows] for name in COLUMNS})

    def replaced(self, **columns: Any) -> TwinStates:
        """Return the same twins with other columns."""
        kept = {name: getattr(self, name) for name in COLUMNS}
        return TwinStates(**{**kept, **columns})


def stack(parts: Sequence[TwinStates]) -> TwinStates:
    """Return the twins of all parts, one after the other."""
    return TwinStates(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in COLUMNS})


def as_objects(values: Sequence[object]) -> Objects:
    """Return the values as a column (B,)."""
    column = np.empty(len(values), dtype=object)
    column[:] = list(values)
    return column


def _floats(rows: Sequence[bytes | memoryview]) -> NDArray[np.float32]:
    flat = np.frombuffer(b"".join(rows), dtype=STORED).astype(np.float32)
    return flat.reshape(len(rows), -1) if rows else np.zeros((0, 0), np.float32)


COLUMNS = tuple(f.name for f in fields(TwinStates))
MEMORY = tuple(name for name in COLUMNS if name not in ("h", "c", "items"))
