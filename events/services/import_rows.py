"""A file's rows as batches of items, from the checkpoint on."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from common.ids import derived_id
from events.cleaning import Doubtful
from events.files import Broken, Chunk, RowFile
from events.mapping import AnyMapping, Mapping
from events.segment.convert import Converted
from events.services.import_messages import MessageReader
from events.services.intake import IntakeReport, Item

if TYPE_CHECKING:
    pass

Counts = Counter[tuple[str, str]]
# Of a row that holds several events: the worst of their ends.
WORST_FIRST: tuple[str, ...] = ("refused", "quarantined", "accepted", "duplicate")


@dataclass(slots=True)
class Batch:
    """The items of the rows ``[begin, end)`` of a file.

    ``owners`` says of each item which row of the batch it belongs to; None: each to its own.
    ``told`` is what the messages of a collector say, where the rows are messages.
    """

    begin: int
    end: int
    done: float
    items: list[Item]
    owners: list[int] | None = None
    told: list[Converted] = field(default_factory=list)

    def counts(self, report: IntakeReport, linked: Counts) -> Counts:
        """How the rows ended: each in one place, ``linked`` being those that hold no event."""
        if self.owners is None:
            return Counter(report.counts)
        ends: dict[int, tuple[str, str]] = {}
        for row, result in zip(self.owners, report.results, strict=True):
            end = (result.outcome, result.reason)
            known = ends.get(row)
            if known is None or _badness(end) < _badness(known):
                ends[row] = end
        return Counter(ends.values()) + linked


def _badness(end: tuple[str, str]) -> int:
    return WORST_FIRST.index(end[0])


class BatchReader:
    """Reads a file by a mapping, and goes on behind the rows that are stored."""

    def __init__(self, file: RowFile, mapping: AnyMapping) -> None:
        from events.row_reader import RowReader  # pandas: only where a file is read

        self.file = file
        self.rows = RowReader(mapping) if isinstance(mapping, Mapping) else None
        self.messages = None if isinstance(mapping, Mapping) else MessageReader(mapping)
        self.broken = BrokenRows(mapping.source)

    def batches(
        self,
        *,
        chunk_rows: int,
        limit: int | None,
        after: int,
        on_skipped: Callable[[], None],
    ) -> Iterator[Batch]:
        """The rows behind the first ``after``, which are read over so that ranks go on."""
        begin = 0
        for chunk in self.file.chunks(chunk_rows, limit):
            end = begin + chunk.rows
            if end <= after:
                self._skip(chunk)
                on_skipped()
            else:
                yield self._batch(chunk, begin, end)
            begin = end

    def _skip(self, chunk: Chunk) -> None:
        if self.rows is not None:
            self.rows.skip(chunk.table)
        self.broken.skip(chunk.broken)

    def _batch(self, chunk: Chunk, begin: int, end: int) -> Batch:
        broken = self.broken.items(chunk.broken)
        if self.rows is not None:
            return Batch(begin, end, chunk.done, [*self.rows.items(chunk.table), *broken])
        assert self.messages is not None  # noqa: S101 - a mapping is of one of the two kinds
        told = self.messages.told(chunk.table)
        items = [item for one in told for item in one.items]
        owners = [row for row, one in enumerate(told) for _ in one.items]
        owners += range(len(told), len(told) + len(broken))
        return Batch(begin, end, chunk.done, [*items, *broken], owners, told)


@dataclass(slots=True)
class BrokenRows:
    """Rows that cannot be split into columns: quarantined as text, known again by that text."""

    source: str
    seen: Counter[str] = field(default_factory=Counter)

    def skip(self, broken: Sequence[Broken]) -> None:
        self.seen.update(row.text for row in broken)

    def items(self, broken: Sequence[Broken]) -> list[Item]:
        return [self._item(row) for row in broken]

    def _item(self, row: Broken) -> Item:
        self.seen[row.text] += 1
        event_id = derived_id(self.source, "broken row", row.text, str(self.seen[row.text]))
        doubt = Doubtful("schema_error", row.problem)
        return Item(
            doubt, lambda: msgspec.json.encode({"row": row.text}), event_id=event_id, form="row"
        )
