"""A file of rows: which format it is in, whether it has the columns, and its chunks."""

import csv as plain_csv
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from python_calamine import CalamineError

from events.errors import ColumnsMissing, FileDamaged, FileMissing, FileUnsupported
from events.files.chunks import Chunk, Cutter, Piece, Reader
from events.files.ndjson import NdjsonReader
from events.files.nested import is_there, plain_columns, unfolded
from events.files.tables import CsvReader, ParquetReader
from events.files.xlsx import WorkbookTooLarge, XlsxReader

FORMATS = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".ndjson": "ndjson",
    ".ndjson.gz": "ndjson",
    ".jsonl": "ndjson",
    ".jsonl.gz": "ndjson",
    ".parquet": "parquet",
    ".xlsx": "xlsx",
}
SUFFIXES = tuple(FORMATS)
BROKEN = (
    pa.ArrowException, OSError, EOFError, zlib.error, UnicodeDecodeError, plain_csv.Error,
    CalamineError, zipfile.BadZipFile, WorkbookTooLarge,
)  # fmt: skip


@dataclass(slots=True)
class RowFile:
    """A file whose columns are known to be there."""

    path: Path
    columns: list[str]
    format: str
    total_rows: int | None  # where the file tells
    _reader: Reader
    _shown: str
    _header: list[str]
    _rows: int = 0

    def chunks(self, rows: int, limit: int | None = None) -> Iterator[Chunk]:
        """All rows in their order, ``rows`` at a time; where the cuts are depends on nothing else.

        Raises:
            FileDamaged: the file ends early or is no such file; rows before have been yielded.
        """
        for chunk in Cutter(rows, limit).chunks(self._pieces()):
            self._rows += chunk.rows
            yield chunk

    def _pieces(self) -> Iterator[Piece]:
        plain = plain_columns(self.columns, self._header)
        if self.format == "ndjson":  # whose reader knows dotted columns
            plain = self.columns
        try:
            for piece in self._reader.pieces(plain):
                yield unfolded(piece, self.columns)
        except BROKEN as error:
            raise _damaged(self._shown, self._rows, error) from error


def format_of(name: str) -> str:
    """The format that a file's name ends in.

    Raises:
        FileUnsupported: it is none that is read.
    """
    for suffix, kind in FORMATS.items():
        if name.lower().endswith(suffix):
            return kind
    raise FileUnsupported(path=name, suffix=Path(name).suffix, known=", ".join(SUFFIXES))


def open_rows(path: Path, columns: list[str], shown: str | None = None) -> RowFile:
    """The file, which is there, can be opened and has the columns; ``shown`` is how it is called.

    Raises:
        FileMissing, FileUnsupported, FileDamaged, ColumnsMissing: it is not so.
    """
    name = shown or str(path)
    header, reader = _opened(path, columns, name)
    missing = [column for column in columns if not is_there(column, header)]
    if missing:
        told = ", ".join(header[:50])
        raise ColumnsMissing(path=name, missing=", ".join(missing), present=told or "none")
    total = reader.total_rows() if isinstance(reader, ParquetReader) else None
    return RowFile(path, columns, format_of(name), total, reader, name, header)


def columns_of(path: Path, shown: str | None = None) -> list[str]:
    """The columns that a file has; of a workbook those of the first sheet with any.

    Raises:
        FileMissing, FileUnsupported, FileDamaged: there is no such file, or it cannot be read.
    """
    return _opened(path, [], shown or str(path))[0]


def _opened(path: Path, columns: list[str], name: str) -> tuple[list[str], Reader]:
    if not path.is_file():
        raise FileMissing(path=name, state="a folder" if path.is_dir() else "not there")
    reader = _reader(path, name)
    try:
        return _header(reader, columns), reader
    except BROKEN as error:
        raise _damaged(name, 0, error) from error


def _header(reader: Reader, columns: list[str]) -> list[str]:
    if not isinstance(reader, XlsxReader):
        return reader.header()
    headers = [header for header in reader.headers() if header]
    fitting = (header for header in headers if all(is_there(name, header) for name in columns))
    return next(fitting, headers[0] if headers else [])


def _reader(path: Path, name: str) -> Reader:
    kind, is_gzip = format_of(name), name.lower().endswith(".gz")
    if kind == "parquet":
        return ParquetReader(path)
    if kind == "xlsx":
        return XlsxReader(path)
    if kind == "ndjson":
        return NdjsonReader(path, is_gzip=is_gzip)
    return CsvReader(path, is_gzip=is_gzip)


def _damaged(name: str, rows: int, error: Exception) -> FileDamaged:
    detail = " ".join(str(error).split())[:200] or type(error).__name__
    return FileDamaged(path=name, rows=rows, detail=detail)
