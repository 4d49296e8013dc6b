"""NDJSON: one JSON object a line; nested fields are dotted columns."""

import gzip
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from events.files.chunks import Broken, Piece
from events.files.nested import DECODER, UNREADABLE, WHOLE, field_reader, text_of

PIECE_ROWS = 2_000
LONGEST_LINE = 1024 * 1024
LOOKED_AT = 1_000  # lines of which the header is made
TOLD_BYTES = 32 * 1024  # of a broken line


class NdjsonReader:
    """Lines; empty ones are no rows. A line over 1 MiB is broken, whatever it holds."""

    def __init__(self, path: Path, *, is_gzip: bool) -> None:
        self.path = path
        self.is_gzip = is_gzip

    def header(self) -> list[str]:
        """Every name, dotted ones included, that one of the first 1,000 lines has."""
        names: dict[str, None] = {}
        with self._open() as (_, lines):
            for number, line in enumerate(_lines(lines)):
                if number == LOOKED_AT:
                    break
                value = _object_in(line)
                if not isinstance(value, Broken):
                    names |= dict.fromkeys(_names_in(value))
        return list(names)

    def pieces(self, columns: list[str]) -> Iterator[Piece]:
        readers = [_reader(name) for name in columns]
        size = max(self.path.stat().st_size, 1)
        kept: list[list[str | None]] = []
        broken: list[tuple[int, Broken]] = []
        with self._open() as (raw, lines):
            for position, line in enumerate(_lines(lines)):
                value = _object_in(line)
                if isinstance(value, Broken):
                    broken.append((position, value))
                else:
                    kept.append([read(value, line) for read in readers])
                if len(kept) + len(broken) >= PIECE_ROWS:
                    yield Piece(_table(columns, kept), raw.tell() / size, broken)
                    kept, broken = [], []
            yield Piece(_table(columns, kept), 1.0, broken)

    def _open(self) -> "_Opened":
        return _Opened(self.path, self.is_gzip)


class _Opened:
    """The file as it lies there, whose position tells the progress, and its lines."""

    def __init__(self, path: Path, is_gzip: bool) -> None:
        self.raw = path.open("rb")
        self.lines: IO[bytes] = self.raw
        if is_gzip:
            self.lines = cast(IO[bytes], BufferedReader(gzip.GzipFile(fileobj=self.raw), 65_536))

    def __enter__(self) -> tuple[IO[bytes], IO[bytes]]:
        return self.raw, self.lines

    def __exit__(self, *error: object) -> None:
        self.lines.close()
        self.raw.close()


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines with something in them; of one that is too long, its beginning."""
    is_first = True
    while line := file.readline(LONGEST_LINE + 1):
        if is_first:
            line, is_first = line.removeprefix(b"\xef\xbb\xbf"), False
        if len(line) > LONGEST_LINE:
            _skip_rest(file, line)
        if not line.isspace() and line:
            yield line


def _skip_rest(file: IO[bytes], line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = file.readline(LONGEST_LINE)


def _object_in(line: bytes) -> dict[str, Any] | Broken:
    if len(line) > LONGEST_LINE:
        return _broken(line, f"the line is longer than {LONGEST_LINE} bytes")
    try:
        value = DECODER.decode(line)
    except UNREADABLE:
        return _broken(line, "the line is not JSON")
    return value if isinstance(value, dict) else _broken(line, "the line is not a JSON object")


def _broken(line: bytes, problem: str) -> Broken:
    return Broken(line[:TOLD_BYTES].decode("utf-8", "replace").rstrip("\r\n"), problem)


def _names_in(value: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, inner in value.items():
        yield before + name
        if isinstance(inner, dict):
            yield from _names_in(inner, f"{before}{name}.")


def _reader(column: str) -> Callable[[dict[str, Any], bytes], str | None]:
    if column == WHOLE:
        return lambda value, line: line.decode().strip()
    read = field_reader(column)

    def cell(value: dict[str, Any], line: bytes) -> str | None:
        # A name may hold a dot of its own.
        return text_of(value[column]) if column in value else read(value)

    return cell


def _table(columns: list[str], rows: list[list[str | None]]) -> pa.Table:
    cells = zip(*rows, strict=True) if rows else [[] for _ in columns]
    return pa.table(
        {
            name: pa.array(list(values), pa.string())
            for name, values in zip(columns, cells, strict=True)
        }
    )
