"""Files that came over the API: taken in, imported by workers, deleted when the import ends."""

import logging
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import storages
from django.db import transaction
from django.db.models import F
from msgspec.structs import replace

from common.cycles import without_search_for_cycles
from common.errors import DtocError
from common.later import ask_later
from common.operations import cancel_operation, claim_chunk, fail_operation, give_chunk_back
from events.detect import mapping_for
from events.errors import (
    FileMissing,
    ImportEnded,
    ImportOvertaken,
    MappingInvalid,
    UnknownMapping,
)
from events.files import open_rows
from events.imports import import_by_id, imports, uploads_in_use, waiting_imports
from events.mapping import AnyMapping, load_mapping, mapping_names, mapping_sha256
from events.models_imports import Import
from events.services.import_turns import Clock, Turn
from events.services.importing import begin_import, go_on

logger = logging.getLogger(__name__)

TASK = "events.run_import"
STORAGE = "imports"
PATIENCE = timedelta(seconds=20)  # below the lease, which is not renewed while waiting
MOST_BARREN_TURNS = 5
ORPHANED_AFTER = timedelta(hours=1)


def accept_upload(
    *,
    path: Path,
    content: "File[bytes]",
    shown: str,
    digest: str,
    mapping_name: str | None,
    source: str | None,
    requested_by: str,
    at: datetime,
) -> Import:
    """A queued import of the file, whose columns are checked; a worker is told after the commit.

    The mapping is one that comes with DToC; left out, the one whose columns the file has.

    Raises:
        UnknownMapping, NoMappingFits, FileUnsupported, FileDamaged, ColumnsMissing
    """
    mapping = chosen_mapping(path, shown, mapping_name, source)
    file = open_rows(path, mapping.columns(), shown)
    name = storages[STORAGE].save(f"{uuid4()}{''.join(Path(shown).suffixes[-2:])}", content)
    try:
        with transaction.atomic():
            record = begin_import(
                path=Path(storages[STORAGE].path(name)), shown=shown, file=file, digest=digest,
                mapping=mapping, at=at, requested_by=requested_by, upload=name,
            )  # fmt: skip
            ask_later(TASK, import_id=str(record.id))
    except BaseException:
        storages[STORAGE].delete(name)
        raise
    return record


def chosen_mapping(
    path: Path, shown: str, mapping_name: str | None, source: str | None
) -> AnyMapping:
    """The mapping named, or the one that fits, for events of ``source``.

    Raises:
        UnknownMapping, NoMappingFits, FileUnsupported, FileDamaged
    """
    name = mapping_name or mapping_for(path, shown)
    if name not in mapping_names():  # a path would read files of the server
        raise UnknownMapping(name=name, known=", ".join(mapping_names()))
    return mapping_of(name, source)


def mapping_of(name: str, source: str | None) -> AnyMapping:
    """A mapping that comes with DToC, for events of ``source`` where one is given."""
    mapping = load_mapping(name)
    return replace(mapping, source=source) if source else mapping


def run_import(*, import_id: UUID, holder: str, clock: Clock, budget: timedelta) -> bool:
    """The import has ended, or others work on it: True. Or the budget is used up: False.

    Whichever way it ended, the uploaded file is gone.

    Raises:
        UnknownImport: there is none of that id.
    """
    record = import_by_id(import_id)
    if record.operation.is_finished:
        delete_upload(record)
        return True
    chunk = claim_chunk(operation_id=record.operation_id, holder=holder, at=clock())
    if chunk is None:
        return True
    turn = Turn(record.id, record.operation_id, chunk.id, holder, clock)
    record.refresh_from_db()  # another worker may have gone on since
    try:
        is_done = _work(record, turn, budget)
    except ImportOvertaken:
        return True
    except ImportEnded:
        is_done = True
    except DtocError as error:
        _fail(record, error, clock())
        is_done = True
    if is_done:
        delete_upload(record)
    else:
        give_chunk_back(chunk_id=chunk.id, holder=holder)
    return is_done


def _work(record: Import, turn: Turn, budget: timedelta) -> bool:
    if record.barren_turns >= MOST_BARREN_TURNS:
        # It has taken its worker down every time; an endless loop would take down all of them.
        detail = f"{MOST_BARREN_TURNS} workers stopped behind row {record.rows} and stored nothing"
        fail_operation(
            operation_id=record.operation_id,
            code="import-never-progresses",
            detail=detail,
            at=turn.clock(),
        )
        return True
    Import.objects.filter(id=record.id).update(barren_turns=F("barren_turns") + 1)
    mapping = mapping_of(record.mapping, record.source)
    if mapping_sha256(mapping) != record.mapping_sha256:
        detail = "it was changed while the import waited, send the file again"
        raise MappingInvalid(name=record.mapping, detail=detail, file=f"{record.mapping}.toml")
    path = Path(storages[STORAGE].path(record.upload))
    if not record.upload or not path.is_file():
        raise FileMissing(path=record.file_name, state="no longer there")
    file = open_rows(path, mapping.columns(), record.file_name)
    with without_search_for_cycles():
        report = go_on(
            record=record, file=file, mapping=mapping, turn=turn, patience=PATIENCE, budget=budget
        )
    return report is not None


def _fail(record: Import, error: DtocError, at: datetime) -> None:
    logger.warning("import failed", extra={"import": str(record.id), "code": error.code})
    fail_operation(operation_id=record.operation_id, code=error.code, detail=str(error), at=at)


def cancel_import(*, import_id: UUID, at: datetime) -> Import:
    """No further row is stored; what was stored stays. The uploaded file is gone.

    Raises:
        UnknownImport: there is none of that id.
        OperationFinished, OperationExpired: it has ended.
    """
    record = import_by_id(import_id)
    cancel_operation(operation_id=record.operation_id, at=at)
    delete_upload(record)
    return import_by_id(import_id)


def delete_upload(record: Import) -> None:
    """The uploaded file is gone, once the transaction has committed; again is harmless.

    A worker that has it open reads on, and finds at its next commit that the import has ended.
    """
    if not record.upload:
        return
    name = record.upload

    def delete() -> None:
        storages[STORAGE].delete(name)
        Import.objects.filter(id=record.id).update(upload="")

    transaction.on_commit(delete)


def sweep_imports(*, at: datetime) -> int:
    """Workers are told of imports that nobody works on; files without an import to come are gone.

    Returns how many imports there are to go on with.
    """
    for record in uploads_in_use():
        if record.operation.is_finished:  # cancelled or expired, or its worker was killed
            delete_upload(record)
    _delete_orphans(at)
    waiting = waiting_imports(at)
    for import_id in waiting:
        ask_later(TASK, import_id=str(import_id))
    return len(waiting)


def _delete_orphans(at: datetime) -> None:
    """Files that a killed web process left behind, before there was an import to own them."""
    known = set(imports().exclude(upload="").values_list("upload", flat=True))
    storage = storages[STORAGE]
    folders = [Path(storage.path("")), Path(settings.FILE_UPLOAD_TEMP_DIR)]
    for file in (file for folder in folders if folder.is_dir() for file in folder.iterdir()):
        if file.name in known or not file.is_file():
            continue
        age = at.timestamp() - file.stat().st_mtime
        if age > ORPHANED_AFTER.total_seconds():
            file.unlink(missing_ok=True)
