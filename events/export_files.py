"""An export on the disk: parts by month, and a manifest that says what each must be.

``DIR/month=YYYY-MM/part-0000.parquet`` and ``DIR/manifest.json``. The manifest is written last.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Protocol
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from events.errors import ExportDamaged, ExportMissing

MANIFEST = "manifest.json"
ROWS_PER_PART = 1_000_000
FORMATS = ("parquet", "ndjson")
AMOUNT = pa.decimal128(22, 12)
TIME = pa.timestamp("ms", tz="UTC")
SCHEMA = pa.schema(
    [
        ("stream", pa.string()),
        ("version", pa.int32()),
        ("event_id", pa.string()),
        ("type", pa.string()),
        ("schema_version", pa.int16()),
        ("occurred_at", TIME),
        ("recorded_at", TIME),
        ("order_id", pa.string()),
        ("line_no", pa.int64()),
        ("sku", pa.string()),
        ("quantity", pa.int64()),
        ("unit_price", AMOUNT),
        ("list_price", AMOUNT),
        ("currency", pa.string()),
        ("country", pa.string()),
        ("data", pa.string()),
        ("metadata", pa.string()),
    ]
)
NAMES = SCHEMA.names
AMOUNTS = {"unit_price", "list_price"}
TEXTS = {"data", "metadata"}

Row = Sequence[Any]  # one value for each name of the schema


class Part(msgspec.Struct, frozen=True):
    """One file of an export."""

    path: str  # from the export's folder
    rows: int
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an export is, and what its files must be."""

    id: UUID
    format: str
    partition_by: str
    taken_at: str
    feed_position: dict[str, int] | None
    filters: dict[str, str]
    rows: int
    code_version: str
    parts: list[Part]
    erased_at: list[str] = []  # when somebody's rows were taken out afterwards


class Writer(Protocol):
    """One part that is being written."""

    def write(self, rows: Sequence[Row]) -> None: ...

    def close(self) -> None: ...


class ParquetWriter:
    def __init__(self, path: Path) -> None:
        self.writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")

    def write(self, rows: Sequence[Row]) -> None:
        columns = list(zip(*rows, strict=True))
        arrays = [_array(name, values) for name, values in zip(NAMES, columns, strict=True)]
        self.writer.write_table(pa.table(arrays, SCHEMA))

    def close(self) -> None:
        self.writer.close()


class NdjsonWriter:
    """One JSON object a line; ``data`` and ``metadata`` are objects in it."""

    def __init__(self, path: Path) -> None:
        self.file: IO[bytes] = path.open("wb")
        self.encoder = msgspec.json.Encoder()

    def write(self, rows: Sequence[Row]) -> None:
        told = ["stream", "version", "event_id", "type", "schema_version", "occurred_at",
                "recorded_at", "data", "metadata"]  # fmt: skip
        places = [NAMES.index(name) for name in told]
        lines = ({n: _raw(n, row[p]) for n, p in zip(told, places, strict=True)} for row in rows)
        self.file.writelines(self.encoder.encode(line) + b"\n" for line in lines)

    def close(self) -> None:
        self.file.close()


def _raw(name: str, value: Any) -> Any:
    return msgspec.Raw(value.encode()) if name in TEXTS else value


def _array(name: str, values: Sequence[Any]) -> pa.Array:
    if name in AMOUNTS:
        values = [None if value is None else Decimal(value) for value in values]
    return pa.array(values, SCHEMA.field(name).type)


def new_writer(path: Path, file_format: str) -> Writer:
    return ParquetWriter(path) if file_format == "parquet" else NdjsonWriter(path)


@dataclass(slots=True)
class PartsWriter:
    """Writes rows, which come month by month, into parts below ``folder``."""

    folder: Path
    file_format: str
    rows_per_part: int = ROWS_PER_PART
    parts: list[Part] = field(default_factory=list)
    _month: str = ""
    _number: int = 0
    _rows: int = 0
    _writer: Writer | None = None

    def write(self, month: str, rows: Sequence[Row]) -> None:
        """``rows`` are of one month, and never of one before."""
        if month != self._month:
            self._end_part()
            self._month, self._number = month, 0
        while rows:
            writer = self._writer or self._begin_part()
            taken = rows[: self.rows_per_part - self._rows]
            writer.write(taken)
            self._rows += len(taken)
            rows = rows[len(taken) :]
            if self._rows == self.rows_per_part:
                self._end_part()

    def close(self) -> list[Part]:
        """All parts; each of them is on the disk, not only in memory."""
        self._end_part()
        return self.parts

    @property
    def _path(self) -> Path:
        name = f"part-{self._number:04}.{self.file_format}"
        return self.folder / f"month={self._month}" / name

    def _begin_part(self) -> Writer:
        self._path.parent.mkdir(exist_ok=True)
        self._writer = new_writer(self._path, self.file_format)
        return self._writer

    def _end_part(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        self.parts.append(described(self.folder, self._path, self._rows))
        self._writer, self._rows, self._number = None, 0, self._number + 1


def described(folder: Path, path: Path, rows: int) -> Part:
    """The part at ``path``, which is on the disk afterwards."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    return Part(path.relative_to(folder).as_posix(), rows, path.stat().st_size, digest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """The manifest is on the disk, whole: never half of it, nor beside the one before."""
    new = folder / f".{MANIFEST}.new"
    with new.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    new.rename(folder / MANIFEST)
    sync_folder(folder)


def read_manifest(folder: Path) -> Manifest:
    """What the export says of itself.

    Raises:
        ExportMissing: there is no manifest.
        ExportDamaged: it cannot be read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ExportMissing(path=folder, detail=f"no {MANIFEST}")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.MsgspecError as error:
        raise ExportDamaged(path=folder, detail=f"{MANIFEST}: {error}") from error


def rows_in(path: Path, file_format: str) -> int:
    """How many rows a part holds, as it says itself."""
    if file_format == "parquet":
        return int(pq.read_metadata(path).num_rows)
    with path.open("rb") as file:
        return sum(1 for _ in file)


def strays(folder: Path, manifest: Manifest) -> Iterator[Path]:
    """Files below the folder that the manifest does not name."""
    named = {folder / part.path for part in manifest.parts} | {folder / MANIFEST}
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path not in named)


def sync_folder(folder: Path) -> None:
    """What was renamed in it stays so through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
