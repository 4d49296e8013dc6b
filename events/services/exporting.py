"""Exporting: the events of one moment as files by month, whole or not there at all."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
from django.db import connection, transaction

from common.canonical_json import iso
from common.ids import code_version
from events.errors import ExportDamaged, ExportFolderInUse, ExportMissing
from events.export_files import (
    Manifest,
    Part,
    PartsWriter,
    Row,
    read_manifest,
    rows_in,
    strays,
    sync_folder,
    write_manifest,
)
from events.feed import READABLE, last_position
from events.models_imports import Export

FETCHED = 5_000
LOCK_CLASS = 0x44546F45  # "DToE": who holds it is writing the export
LINE = "type IN ('item_purchased', 'item_returned')"
# A custom type may have a field of the same name and of any other kind, so only order lines count.
COLUMNS = f"""
to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month,
stream::text, version, event_id::text, type, schema_version, occurred_at, recorded_at,
CASE WHEN {LINE} THEN data->>'order_id' END, CASE WHEN {LINE} THEN (data->>'line_no')::bigint END,
CASE WHEN {LINE} THEN data->>'sku' END, CASE WHEN {LINE} THEN (data->>'quantity')::bigint END,
CASE WHEN {LINE} THEN data->>'unit_price' END, CASE WHEN {LINE} THEN data->>'list_price' END,
CASE WHEN {LINE} THEN data->>'currency' END, CASE WHEN {LINE} THEN data->>'country' END,
data::text, metadata::text
"""
WHERE = f"""
FROM events_event WHERE {READABLE}
    AND (%(type)s::text IS NULL OR type = %(type)s)
    AND (%(since)s::timestamptz IS NULL OR occurred_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR occurred_at < %(until)s)
"""
# Sorted by the server, on its disk: so only one part is open at a time here.
ROWS = f"SELECT {COLUMNS} {WHERE} ORDER BY month, epoch, txid, position"
COUNT = f"SELECT count(*) {WHERE}"

OnRows = Callable[[int, int], None]
"""Told how many rows are written, of how many."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which events: of one type, of the times ``[since, until)``."""

    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def as_json(self) -> dict[str, str]:
        told = {"type": self.type, "since": self.since, "until": self.until}
        return {
            name: iso(value) if isinstance(value, datetime) else value
            for name, value in told.items()
            if value is not None
        }


def export_events(
    *,
    folder: Path,
    file_format: str,
    at: datetime,
    filters: Filters = Filters(),
    replace: bool = False,
    on_rows: OnRows = lambda done, total: None,
) -> Manifest:
    """The folder holds all events that the feed shows at one moment, and a manifest.

    Everything is written beside the folder and renamed at the end: a killed export leaves no folder
    that looks like one. The export is registered, so that an erasure can find it.

    Raises:
        ExportFolderInUse: the folder holds something; or ``replace`` is given, and it is no export.
    """
    folder = folder.resolve()
    _require_free(folder, replace)
    export = Export.objects.create(
        id=uuid4(), location=str(folder), file_format=file_format, taken_at=at
    )
    with _being_written(export.id):
        _settle_dead(export)
        partial = partial_folder(export)
        partial.mkdir(parents=True)
        manifest = _written(partial, export, filters, on_rows)
        _put_in_place(partial, folder)
        _register(export, manifest)
    return manifest


def _written(partial: Path, export: Export, filters: Filters, on_rows: OnRows) -> Manifest:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        position = last_position()
        parts = _parts(partial, export.file_format, filters, on_rows)
    manifest = Manifest(
        id=export.id,
        format=export.file_format,
        partition_by="month",
        taken_at=iso(export.taken_at),
        feed_position=None
        if position is None
        else {"epoch": position.epoch, "txid": position.txid, "position": position.position},
        filters=filters.as_json(),
        rows=sum(part.rows for part in parts),
        code_version=code_version(),
        parts=parts,
    )
    for month in {(partial / part.path).parent for part in parts}:
        sync_folder(month)
    write_manifest(partial, manifest)
    return manifest


def _parts(partial: Path, file_format: str, filters: Filters, on_rows: OnRows) -> list[Part]:
    facts = {"type": filters.type, "since": filters.since, "until": filters.until}
    with connection.cursor() as cursor:
        cursor.execute(COUNT, facts)
        total = int(cursor.fetchone()[0])
    writer, done = PartsWriter(partial, file_format), 0
    on_rows(0, total)
    for rows in _fetched(facts):
        for month, of_month in groupby(rows, key=lambda row: str(row[0])):
            writer.write(month, [row[1:] for row in of_month])
        done += len(rows)
        on_rows(done, total)
    return writer.close()


def _fetched(facts: dict[str, Any]) -> Iterator[list[Row]]:
    """Rows in the order of the months, some thousands at a time; the server keeps the others."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(ROWS, facts)
        while rows := cursor.fetchmany(FETCHED):
            yield rows


def partial_folder(export: Export) -> Path:
    """Where the export is written before it is whole: beside its folder."""
    folder = Path(export.location)
    return folder.with_name(f".{folder.name}.partial-{export.id}")


def _require_free(folder: Path, replace: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ExportFolderInUse(path=folder, state="a file")
    if not any(folder.iterdir()):
        return
    if not replace:
        raise ExportFolderInUse(path=folder, state="not empty")
    if not (folder / "manifest.json").is_file():
        raise ExportFolderInUse(path=folder, state="no export, so it is not replaced")


def _put_in_place(partial: Path, folder: Path) -> None:
    """A folder that was there is renamed first, deleted last: never is there half an export."""
    old = folder.with_name(f".{folder.name}.replaced-{uuid4()}")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    sync_folder(folder.parent)
    if old.exists():
        shutil.rmtree(old)


@transaction.atomic
def _register(export: Export, manifest: Manifest) -> None:
    earlier = Export.objects.filter(location=export.location, state=Export.State.WHOLE)
    earlier.exclude(id=export.id).update(state=Export.State.GONE)
    Export.objects.filter(id=export.id).update(
        state=Export.State.WHOLE, rows=manifest.rows, feed_position=manifest.feed_position
    )


class _being_written:  # noqa: N801 - reads as a statement
    """While it lasts, everybody can see that a process is at it; a killed one is not."""

    def __init__(self, export_id: UUID) -> None:
        self.slot = lock_slot(export_id)

    def __enter__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LOCK_CLASS, self.slot])

    def __exit__(self, *error: object) -> None:
        if connection.is_usable():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_CLASS, self.slot])


def lock_slot(export_id: UUID) -> int:
    """The export's place among the advisory locks."""
    return int.from_bytes(export_id.bytes[:4], signed=True)


def is_being_written(export: Export) -> bool:
    """A living process holds it; asked by another session."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK_CLASS, lock_slot(export.id)]
        )
        return not cursor.fetchone()[0]


@transaction.atomic
def settle_if_dead(export: Export) -> bool:
    """What a killed export left is gone, or whole where only the register was not told of it.

    False where its process lives.
    """
    if is_being_written(export):
        return False
    shutil.rmtree(partial_folder(export), ignore_errors=True)
    try:
        manifest = read_manifest(Path(export.location))
    except (ExportMissing, ExportDamaged):
        manifest = None
    if manifest is not None and manifest.id == export.id:
        _register(export, manifest)
    else:
        Export.objects.filter(id=export.id).update(state=Export.State.GONE)
    return True


def forget_replaced(location: str) -> None:
    """What a killed export had already put aside is gone."""
    folder = Path(location)
    if folder.parent.is_dir():
        for old in folder.parent.glob(f".{folder.name}.replaced-*"):
            shutil.rmtree(old, ignore_errors=True)


def _settle_dead(own: Export) -> None:
    """What earlier exports to the same folder left is settled."""
    same = Export.objects.filter(location=own.location, state=Export.State.WRITING)
    for export in same.exclude(id=own.id):
        settle_if_dead(export)
    forget_replaced(own.location)


def verify_export(*, folder: Path) -> Manifest:
    """Every file is what the manifest says: size, SHA-256, rows; and there is no other file.

    Raises:
        ExportMissing: there is no export.
        ExportDamaged: something is not as it says.
    """
    manifest = read_manifest(folder)
    for part in manifest.parts:
        _verify_part(folder, part, manifest.format)
    if sum(part.rows for part in manifest.parts) != manifest.rows:
        raise ExportDamaged(path=folder, detail="its parts do not add up to its rows")
    if (stray := next(strays(folder, manifest), None)) is not None:
        raise ExportDamaged(path=folder, detail=f"{stray.name} is not named in it")
    return manifest


def _verify_part(folder: Path, part: Part, file_format: str) -> None:
    path = folder / part.path
    if not path.is_file():
        raise ExportDamaged(path=folder, detail=f"{part.path} is missing")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != part.sha256 or path.stat().st_size != part.bytes:
        raise ExportDamaged(path=folder, detail=f"{part.path} has another SHA-256")
    try:
        rows = rows_in(path, file_format)
    except (pa.ArrowException, OSError) as error:
        raise ExportDamaged(path=folder, detail=f"{part.path} cannot be read") from error
    if rows != part.rows:
        raise ExportDamaged(path=folder, detail=f"{part.path} has {rows} rows, not {part.rows}")
