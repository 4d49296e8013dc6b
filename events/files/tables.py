"""CSV and Parquet: files that are tables already."""

import csv as plain_csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from events.files.chunks import Broken, Piece

BLOCK_BYTES = 2 * 1024 * 1024
MISCOUNTED = "the row has another number of fields than the header"
NO_UTF8 = "the row is not UTF-8"


class ParquetReader:
    """Row group by row group, the named columns only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def header(self) -> list[str]:
        return list(pq.read_schema(self.path).names)

    def total_rows(self) -> int:
        return int(pq.read_metadata(self.path).num_rows)

    def pieces(self, columns: list[str]) -> Iterator[Piece]:
        with pq.ParquetFile(self.path) as file:
            total, read = max(file.metadata.num_rows, 1), 0
            yield Piece(file.schema_arrow.empty_table().select(columns), 0.0)
            for batch in file.iter_batches(columns=columns):
                read += len(batch)
                yield Piece(pa.Table.from_batches([batch]).select(columns), read / total)


class UntilDamage(io.RawIOBase):
    """What a gzip file holds, up to the last whole line before it is damaged.

    Arrow reads ahead, and an error that it meets there overtakes rows that were read well: how many
    would be chance. So the file just ends for it, and whoever reads asks for the damage afterwards.
    """

    def __init__(self, packed: BinaryIO) -> None:
        self.damage: Exception | None = None
        self._file = gzip.GzipFile(fileobj=packed, mode="rb")
        self._begun = b""  # the last line, as far as it has come

    def readable(self) -> bool:
        return True

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """Return whole lines, about as many bytes as asked for; nothing at the end."""
        parts, length, ended = [self._begun], 0, False
        while length < size and not ended:
            try:
                more = self._file.read1(size)
            except (EOFError, OSError, zlib.error) as error:
                self.damage, more = error, b""
            parts.append(more)
            length += len(more)
            ended = not more
        whole, self._begun = b"".join(parts), b""
        lines, newline, rest = whole.rpartition(b"\n")
        if self.damage is not None:
            return lines + newline
        if ended or not newline:  # the last line needs none; a line as long as this Arrow refuses
            return whole
        self._begun = rest
        return lines + newline


class CsvReader:
    """UTF-8, commas, a header line; every value is text: what it means, the mapping decides."""

    def __init__(self, path: Path, *, is_gzip: bool) -> None:
        self.path = path
        self.is_gzip = is_gzip
        self._broken: list[tuple[int, Broken]] = []

    def header(self) -> list[str]:
        open_text = gzip.open if self.is_gzip else open
        with open_text(self.path, "rt", encoding="utf-8-sig", errors="replace", newline="") as text:
            return next(plain_csv.reader(text), [])

    def pieces(self, columns: list[str]) -> Iterator[Piece]:
        size = max(self.path.stat().st_size, 1)
        with self.path.open("rb") as raw:
            unpacked = UntilDamage(raw) if self.is_gzip else None
            try:
                with csv.open_csv(unpacked or raw, **self._options(columns)) as reader:
                    yield self._piece(reader.schema.empty_table().select(columns), 0.0)
                    for batch in reader:
                        done = 1.0 if raw.closed else raw.tell() / size
                        yield self._piece(pa.Table.from_batches([batch]).select(columns), done)
            except pa.ArrowInvalid as error:  # of a file that is damaged before its first row, say
                raise (unpacked and unpacked.damage) or error from error
            if unpacked is not None and unpacked.damage is not None:
                raise unpacked.damage

    def _piece(self, table: pa.Table, done: float) -> Piece:
        broken, self._broken = self._broken, []
        try:
            return Piece(_as_text(table), done, broken)
        except pa.ArrowInvalid:
            return Piece(*_mended(table, done), broken=broken, spoilt=_not_utf8(table))

    def _options(self, columns: list[str]) -> dict[str, Any]:
        # As bytes: a single cell that is not UTF-8 would end the reading of the whole file.
        return {
            "read_options": csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            "parse_options": csv.ParseOptions(
                newlines_in_values=True, invalid_row_handler=self._note_broken
            ),
            "convert_options": csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.binary()),
                include_columns=columns,
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                null_values=[""],
            ),
        }

    def _note_broken(self, row: Any) -> str:
        # The reader counts the header, and from 1; empty lines are not counted.
        self._broken.append((row.number - 2, Broken(row.text, MISCOUNTED)))
        return "skip"


def _as_text(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))


def _mended(table: pa.Table, done: float) -> tuple[pa.Table, float]:
    columns = {
        name: [_decoded(v) for v in table.column(name).to_pylist()] for name in table.column_names
    }
    return pa.table(columns, pa.schema([(name, pa.string()) for name in columns])), done


def _not_utf8(table: pa.Table) -> list[tuple[int, Broken]]:
    rows = enumerate(
        zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True)
    )
    return [
        (place, Broken(",".join(_decoded(value) or "" for value in row), NO_UTF8))
        for place, row in rows
        if not all(_is_utf8(value) for value in row)
    ]


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
