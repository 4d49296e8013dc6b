"""Cutting what the readers yield into chunks of equally many rows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that is none of the table's: as it stands in the file, and what is wrong with it."""

    text: str
    problem: str


@dataclass(slots=True)
class Chunk:
    """Some rows of a file, the broken ones among them apart, and how much of the file is read."""

    table: pa.Table
    broken: list[Broken]
    done: float

    @property
    def rows(self) -> int:
        return len(self.table) + len(self.broken)


@dataclass(slots=True)
class Piece:
    """What a reader has read at once.

    ``broken`` are rows outside of the table with their positions in the file, from 0, ascending; a
    reader that looks ahead may name some beyond the table's end. ``spoilt`` are rows of the table,
    by their place in it, that turned out to be unreadable.
    """

    table: pa.Table
    done: float
    broken: list[tuple[int, Broken]] = field(default_factory=list)
    spoilt: list[tuple[int, Broken]] = field(default_factory=list)


class Reader(Protocol):
    """One format: what columns there are, and the rows."""

    def header(self) -> list[str]: ...

    def pieces(self, columns: list[str]) -> Iterator[Piece]: ...


@dataclass(slots=True)
class Cutter:
    """Cuts pieces at every ``rows``-th position of the file, wherever the pieces end."""

    rows: int
    limit: int | None = None
    _tables: list[pa.Table] = field(default_factory=list)
    _waiting: int = 0  # rows in _tables
    _good: int = 0  # rows of tables so far, those that were cut off included
    _broken: list[tuple[int, Broken]] = field(default_factory=list)
    _spoilt: list[tuple[int, Broken]] = field(default_factory=list)  # by place among the good
    _begin: int = 0  # position at which the next chunk begins
    _known: int = 0  # every position below is known
    _passed: int = 0  # broken rows below _known that were cut off

    def chunks(self, pieces: Iterable[Piece]) -> Iterator[Chunk]:
        """All rows in their order, up to the limit; the last chunk may be shorter."""
        for piece in pieces:
            self._take(piece)
            while self._wanted() and self._known - self._begin >= self._wanted():
                yield self._cut(self._wanted(), piece.done)
            if not self._wanted():
                return
        if self._known > self._begin:
            yield self._cut(self._known - self._begin, 1.0)

    def _wanted(self) -> int:
        """How many rows the next chunk should have; 0 where the limit is reached."""
        if self.limit is None:
            return self.rows
        return max(0, min(self.rows, self.limit - self._begin))

    def _take(self, piece: Piece) -> None:
        self._spoilt += [(self._good + place, broken) for place, broken in piece.spoilt]
        self._good += len(piece.table)
        self._tables.append(piece.table)
        self._waiting += len(piece.table)
        self._broken += piece.broken
        known = self._good + self._passed
        for position, _ in self._broken:
            if position > known:
                break
            known += 1
        self._known = known

    def _cut(self, rows: int, done: float) -> Chunk:
        end = self._begin + rows
        inside = sum(position < end for position, _ in self._broken)
        broken = [row for _, row in self._broken[:inside]]
        self._broken = self._broken[inside:]
        self._passed += inside
        self._begin = end
        table, spoilt = self._readable(self._slice(rows - inside))
        return Chunk(
            table, broken + spoilt, done if self.limit is None else max(done, end / self.limit)
        )

    def _slice(self, rows: int) -> pa.Table:
        joined = pa.concat_tables(self._tables)
        self._tables, self._waiting = [joined.slice(rows)], self._waiting - rows
        return joined.slice(0, rows)

    def _readable(self, table: pa.Table) -> tuple[pa.Table, list[Broken]]:
        """``table``, the oldest rows that are left, without its spoilt ones, and those."""
        first = self._good - self._waiting - len(table)
        inside = sum(place < first + len(table) for place, _ in self._spoilt)
        if not inside:
            return table, []
        spoilt, self._spoilt = self._spoilt[:inside], self._spoilt[inside:]
        places = {place - first for place, _ in spoilt}
        kept = pa.array([place not in places for place in range(len(table))])
        return table.filter(kept), [row for _, row in spoilt]
