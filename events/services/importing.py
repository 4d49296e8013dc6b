"""Importing files: chunks that commit one by one, so that a killed import just runs again."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

import msgspec

from common.ids import derived_id
from events.cleaning import Doubtful
from events.errors import ReportDoesNotAddUp
from events.files import Chunk, RowFile, open_rows
from events.mapping import Mapping, RowReader
from events.services.intake import IntakeReport, Item, Policy, ingest

CHUNK_ROWS = 10_000


@dataclass(slots=True)
class ImportReport:
    """Where the rows of a file ended."""

    rows: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def total(self, outcome: str) -> int:
        """How many rows ended so, whatever the reason."""
        return sum(count for (name, _), count in self.counts.items() if name == outcome)

    def reasons(self, outcome: str) -> dict[str, int]:
        """The same by reason, the most frequent first."""
        return {why: count for (name, why), count in self.counts.most_common() if name == outcome}

    def add(self, rows: int, report: IntakeReport) -> None:
        self.rows += rows
        self.counts.update(report.counts)

    def check(self) -> None:
        """Every row is counted in exactly one place.

        Raises:
            ReportDoesNotAddUp: it is not.
        """
        counted = sum(self.counts.values())
        if counted != self.rows:
            raise ReportDoesNotAddUp(read=self.rows, counted=counted)


OnChunk = Callable[[ImportReport, float], None]
"""Told after each commit: the report so far, and which share of the file is done."""


def import_file(
    *,
    path: Path,
    mapping: Mapping,
    at: datetime,
    limit: int | None = None,
    chunk_rows: int = CHUNK_ROWS,
    on_chunk: OnChunk = lambda report, done: None,
) -> ImportReport:
    """Every row of the file is an event in the store, a duplicate, quarantined or refused.

    Each chunk commits with its counters. After a crash the same import finds what it stored as
    duplicates and goes on; customers it does not know are registered.

    Raises:
        FileMissing, FileUnsupported, FileDamaged, ColumnsMissing, ReportDoesNotAddUp
    """
    file = open_rows(path, mapping.columns())
    reader = RowReader(mapping)
    policy = Policy(
        source=mapping.source,
        at=at,
        may_register=True,
        technical_skus=tuple(mapping.technical_skus),
    )
    report = ImportReport()
    for items, done in _limited(_batches(file, reader, mapping, chunk_rows), limit):
        report.add(len(items), ingest(items=items, policy=policy))
        on_chunk(report, done)
    report.check()
    return report


Batches = Iterator[tuple[list[Item], float]]


def _batches(file: RowFile, reader: RowReader, mapping: Mapping, chunk_rows: int) -> Batches:
    broken = _BrokenRows(mapping.source)
    for chunk in file.chunks(chunk_rows):
        yield [*reader.items(chunk.table), *broken.items(chunk)], chunk.done


def _limited(batches: Batches, limit: int | None) -> Batches:
    left = limit
    for items, done in batches:
        taken = items if left is None else list(islice(items, left))
        if left is None or limit is None:
            yield taken, done
            continue
        left -= len(taken)
        yield taken, max(done, 1 - left / limit)
        if left <= 0:
            return


@dataclass(slots=True)
class _BrokenRows:
    """Rows that cannot be split into columns: quarantined as text, known again by that text."""

    source: str
    seen: Counter[str] = field(default_factory=Counter)

    def items(self, chunk: Chunk) -> Sequence[Item]:
        return [self._item(text) for text in chunk.broken]

    def _item(self, text: str) -> Item:
        self.seen[text] += 1
        doubt = Doubtful("schema_error", "the row has another number of fields than the header")
        event_id = derived_id(self.source, "broken row", text, str(self.seen[text]))
        return Item(doubt, lambda: msgspec.json.encode({"row": text}), event_id=event_id)
