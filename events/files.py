"""Reading files of rows in chunks: CSV, gzipped CSV and Parquet."""

import csv as plain_csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from events.errors import ColumnsMissing, FileDamaged, FileMissing, FileUnsupported

SUFFIXES = (".csv", ".csv.gz", ".parquet")
BLOCK_BYTES = 2 * 1024 * 1024
BROKEN = (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeDecodeError)


@dataclass(slots=True)
class Chunk:
    """Some rows of a file, the broken rows met on the way, and how much of the file is read."""

    table: pa.Table
    broken: list[str]  # rows with too many or too few fields, as they stand in the file
    done: float

    @property
    def rows(self) -> int:
        return len(self.table) + len(self.broken)


@dataclass(slots=True)
class RowFile:
    """A file whose columns are known to be there."""

    path: Path
    columns: list[str]
    _broken: list[str] = field(default_factory=list)
    _rows: int = 0

    def chunks(self, rows: int) -> Iterator[Chunk]:
        """All rows in their order, ``rows`` at a time; where the cuts are depends on nothing else.

        Raises:
            FileDamaged: the file ends early or is no such file; rows before have been yielded.
        """
        waiting: list[pa.Table] = []
        count = 0
        for table, done in self._tables():
            waiting.append(table)
            count += len(table)
            while count >= rows:
                joined = pa.concat_tables(waiting)
                yield self._chunk(joined.slice(0, rows), done)
                waiting, count = [joined.slice(rows)], count - rows
        if count or self._broken:
            yield self._chunk(pa.concat_tables(waiting), 1.0)

    def _chunk(self, table: pa.Table, done: float) -> Chunk:
        broken, self._broken = self._broken, []
        chunk = Chunk(table, broken, done)
        self._rows += chunk.rows
        return chunk

    def _tables(self) -> Iterator[tuple[pa.Table, float]]:
        read = self._parquet if self.path.name.endswith(".parquet") else self._csv
        try:
            yield from read()
        except BROKEN as error:
            raise self._damaged(error) from error

    def _parquet(self) -> Iterator[tuple[pa.Table, float]]:
        with pq.ParquetFile(self.path) as file:
            total, read = max(file.metadata.num_rows, 1), 0
            yield file.schema_arrow.empty_table().select(self.columns), 0.0
            for batch in file.iter_batches(columns=self.columns):
                read += len(batch)
                yield pa.Table.from_batches([batch]).select(self.columns), read / total

    def _csv(self) -> Iterator[tuple[pa.Table, float]]:
        size = max(self.path.stat().st_size, 1)
        with pa.OSFile(str(self.path)) as raw:
            stream = pa.CompressedInputStream(raw, "gzip") if self._is_gzip else raw
            with csv.open_csv(stream, **self._csv_options()) as reader:
                yield reader.schema.empty_table().select(self.columns), 0.0
                for batch in reader:
                    done = 1.0 if raw.closed else raw.tell() / size
                    yield pa.Table.from_batches([batch]).select(self.columns), done

    @property
    def _is_gzip(self) -> bool:
        return self.path.name.endswith(".gz")

    def _csv_options(self) -> dict[str, Any]:
        """Every value as text: what a number or a time is, the mapping decides, row by row."""
        return {
            "read_options": csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            "parse_options": csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=self._note_broken
            ),
            "convert_options": csv.ConvertOptions(
                column_types=dict.fromkeys(self.columns, pa.string()),
                include_columns=self.columns,
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                null_values=[""],
            ),
        }

    def _note_broken(self, row: Any) -> str:
        self._broken.append(row.text)
        return "skip"

    def _damaged(self, error: Exception) -> FileDamaged:
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        return FileDamaged(path=self.path, rows=self._rows, detail=detail)


def open_rows(path: Path, columns: list[str]) -> RowFile:
    """The file, which is there, can be opened and has the columns.

    Raises:
        FileMissing, FileUnsupported, FileDamaged, ColumnsMissing: it is not so.
    """
    if not path.is_file():
        raise FileMissing(path=path, state="a folder" if path.is_dir() else "not there")
    if not path.name.endswith(SUFFIXES):
        raise FileUnsupported(path=path, suffix=path.suffix, known=", ".join(SUFFIXES))
    file = RowFile(path, columns)
    try:
        present = _header(path)
    except (*BROKEN, plain_csv.Error) as error:
        raise file._damaged(error) from error
    missing = [name for name in columns if name not in present]
    if missing:
        raise ColumnsMissing(path=path, missing=", ".join(missing), present=", ".join(present))
    return file


def _header(path: Path) -> list[str]:
    if path.name.endswith(".parquet"):
        return list(pq.read_schema(path).names)
    open_text = gzip.open if path.name.endswith(".gz") else open
    with open_text(path, "rt", encoding="utf-8-sig", newline="") as text:
        return next(plain_csv.reader(text), [])
