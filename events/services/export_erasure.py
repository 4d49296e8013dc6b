"""Erasing somebody from exports: the parts that hold them are written anew without them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.db import connection

from common.canonical_json import iso
from common.clock import now
from customers.erasure import Finding, Needles, Store
from events.errors import ExportDamaged, ExportMissing
from events.export_files import (
    SCHEMA,
    Manifest,
    Part,
    described,
    read_manifest,
    strays,
    write_manifest,
)
from events.models_imports import Export
from events.services.exporting import forget_replaced, is_being_written, settle_if_dead

STREAM = b'"stream":"%s"'


def count_exported(pseudonym: UUID) -> int:
    """Rows about the person in the exports that can be reached from here."""
    return sum(
        _rows_of(folder / part.path, manifest.format, pseudonym)
        for folder, manifest in _reachable()
        for part in manifest.parts
    )


def erase_exported(pseudonym: UUID, request_id: UUID) -> int:
    """No export that can be reached from here holds the person; returns how many rows went.

    The manifest changes from the old parts to the new ones in a single rename. Whatever a killed
    run left beside them is deleted by the next.
    """
    # One erasure at a time: each rewrites whole manifests.
    exports = Export.objects.select_for_update().order_by("id")
    for export in list(exports.filter(state=Export.State.WRITING)):
        settle_if_dead(export)
    for location in Export.objects.values_list("location", flat=True).distinct():
        forget_replaced(location)
    gone = 0
    for folder, manifest in _reachable(locked=True):
        gone += _erase_from(folder, manifest, pseudonym)
    return gone


def scan_exported(needles: Needles) -> Sequence[Finding]:
    """What exports hold of the person; one that is being written may, until it is whole."""
    found = count_exported(needles.pseudonym)
    findings = [Finding("exports", "pseudonym", found)] if found else []
    for export in Export.objects.filter(state=Export.State.WRITING):
        if is_being_written(export):
            findings.append(Finding("exports being written", "pseudonym", 1))
    return findings


def _reachable(*, locked: bool = False) -> Iterator[tuple[Path, Manifest]]:
    exports = Export.objects.filter(state=Export.State.WHOLE).order_by("id")
    for export in exports.select_for_update() if locked else exports:
        folder = Path(export.location)
        try:
            manifest = read_manifest(folder)
        except (ExportMissing, ExportDamaged):
            continue
        if manifest.id == export.id:
            yield folder, manifest


def _erase_from(folder: Path, manifest: Manifest, pseudonym: UUID) -> int:
    for stray in strays(folder, manifest):
        stray.unlink(missing_ok=True)
    parts: list[Part] = []
    replaced: list[Path] = []
    for part in manifest.parts:
        path = folder / part.path
        if not _rows_of(path, manifest.format, pseudonym):
            parts.append(part)
            continue
        replaced.append(path)
        if (kept := _without(folder, path, manifest.format, pseudonym)) is not None:
            parts.append(kept)
    if not replaced:
        return 0
    rows = sum(part.rows for part in parts)
    times = [*manifest.erased_at, iso(now())]
    write_manifest(
        folder, msgspec.structs.replace(manifest, parts=parts, rows=rows, erased_at=times)
    )
    for path in replaced:
        path.unlink(missing_ok=True)
    Export.objects.filter(id=manifest.id).update(rows=rows)
    return manifest.rows - rows


def _rows_of(path: Path, file_format: str, pseudonym: UUID) -> int:
    _stir()
    if not path.is_file():
        return 0
    if file_format == "parquet":
        rows = pq.read_table(path, columns=["stream"], filters=[("stream", "=", str(pseudonym))])
        return len(rows)
    with path.open("rb") as file:
        return sum(_is_of(line, pseudonym) for line in file)


def _stir() -> None:
    """The server ends sessions that say nothing within a transaction for too long."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT")


def _is_of(line: bytes, pseudonym: UUID) -> bool:
    return line.startswith(b"{" + STREAM % str(pseudonym).encode())


def _without(folder: Path, path: Path, file_format: str, pseudonym: UUID) -> Part | None:
    """A new part with everybody else; None where nobody else is in it."""
    stem, _, number = path.stem.partition(".r")
    new = path.with_name(f"{stem}.r{int(number or 0) + 1}{path.suffix}")
    write = _parquet_without if file_format == "parquet" else _ndjson_without
    rows = write(path, new, pseudonym)
    if not rows:
        new.unlink()
        return None
    return described(folder, new, rows)


def _parquet_without(path: Path, new: Path, pseudonym: UUID) -> int:
    rows = 0
    with pq.ParquetFile(path) as file, pq.ParquetWriter(new, SCHEMA, compression="zstd") as writer:
        for batch in file.iter_batches():
            table = pa.Table.from_batches([batch])
            kept = table.filter(pc.not_equal(table.column("stream"), str(pseudonym)))
            writer.write_table(kept)
            rows += len(kept)
    return rows


def _ndjson_without(path: Path, new: Path, pseudonym: UUID) -> int:
    rows = 0
    with path.open("rb") as old, new.open("wb") as kept:
        for line in old:
            if not _is_of(line, pseudonym):
                kept.write(line)
                rows += 1
    return rows


EXPORTS = Store("exports", count_exported, erase_exported, scan_exported)
