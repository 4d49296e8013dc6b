"""Importing files: chunks that commit one by one, each with the checkpoint behind it."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import repeat
from pathlib import Path
from uuid import uuid4

from django.db import transaction
from django.urls import reverse

from common.clock import running_from
from common.cycles import without_search_for_cycles
from common.models import Operation
from common.operations import (
    UNFINISHED,
    cancel_operation,
    create_operation,
    fail_operation,
    finish_chunk,
    succeed_operation,
    take_chunk,
)
from events.errors import FileDamaged, ImportEnded, ReportDoesNotAddUp
from events.files import RowFile, open_rows
from events.mapping import AnyMapping, mapping_sha256
from events.models_imports import Import
from events.services.import_chunks import counts_of, store_batch
from events.services.import_rows import Batch, BatchReader
from events.services.import_turns import Turn, locked_file
from events.services.intake import IntakeReport, Policy, clean_ahead

KIND = "import"
UNIT = "rows"
CHUNK_ROWS = 10_000
PATIENCE = timedelta(minutes=2)
SHOWN_NAME = 200
# A killed process's session ends when the server has finished its last statement.
LOCK_ATTEMPTS, LOCK_PAUSE_SECONDS = 50, 0.2


@dataclass(slots=True)
class ImportReport:
    """Where the rows of a file ended; ``resumed_from`` of them in earlier runs."""

    rows: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    resumed_from: int = 0
    begun_at: datetime | None = None

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
"""Told at the beginning and after each commit: the report so far, the share of the file done."""


def import_file(
    *,
    path: Path,
    mapping: AnyMapping,
    at: datetime,
    limit: int | None = None,
    chunk_rows: int = CHUNK_ROWS,
    on_chunk: OnChunk = lambda report, done: None,
    from_start: bool = False,
    requested_by: str = "command line",
    patience: timedelta = PATIENCE,
) -> ImportReport:
    """Every row of the file is an event in the store, a duplicate, quarantined or refused.

    An import of the same file by the same mapping that was begun before and has not ended goes on
    behind its last commit, with its report, unless ``from_start``. Customers who are not known are
    registered.

    Raises:
        FileMissing, FileUnsupported, FileDamaged, ColumnsMissing, ReportDoesNotAddUp
        ImportRunning: another process is importing the file.
        ImportEnded, ImportOvertaken: it was cancelled or taken over meanwhile.
    """
    file = open_rows(path, mapping.columns())
    digest = sha256_of_file(path)
    key = f"{digest}:{mapping_sha256(mapping)}:{limit}"
    with locked_file(key, str(path), _tries) as lock, without_search_for_cycles():
        found = None if from_start else _unfinished(digest, mapping, limit)
        if from_start:
            _cancel_unfinished(digest, mapping, limit, at)
        record = found or begin_import(
            path=path, shown=path.name, file=file, digest=digest, mapping=mapping, at=at,
            requested_by=requested_by, limit=limit, chunk_rows=chunk_rows,
        )  # fmt: skip
        clock = running_from(at)
        turn = _take(record, clock)
        turn.lock = lock
        report = go_on(
            record=record, file=file, mapping=mapping, turn=turn, patience=patience,
            on_chunk=on_chunk,
        )  # fmt: skip
    assert report is not None  # noqa: S101 - without a bound it goes on to the end
    return report


@transaction.atomic
def begin_import(
    *,
    path: Path,
    shown: str,
    file: RowFile,
    digest: str,
    mapping: AnyMapping,
    at: datetime,
    requested_by: str,
    limit: int | None = None,
    chunk_rows: int = CHUNK_ROWS,
    upload: str = "",
) -> Import:
    """A queued import of a file whose columns are known to be there."""
    total = file.total_rows or 0
    operation = create_operation(
        kind=KIND,
        unit=UNIT,
        total=total if limit is None else min(total, limit),
        chunks=1,
        requested_by=requested_by,
        payload={},
        at=at,
    )
    return Import.objects.create(
        operation=operation,
        file_name=_harmless(shown),
        file_format=file.format,
        file_bytes=path.stat().st_size,
        file_sha256=digest,
        upload=upload,
        mapping=mapping.name,
        mapping_sha256=mapping_sha256(mapping),
        source=mapping.source,
        row_limit=limit,
        chunk_rows=chunk_rows,
        requested_by=requested_by,
        created_at=at,
    )


def go_on(
    *,
    record: Import,
    file: RowFile,
    mapping: AnyMapping,
    turn: Turn,
    patience: timedelta,
    on_chunk: OnChunk = lambda report, done: None,
    budget: timedelta | None = None,
) -> ImportReport | None:
    """The import went on to the end; None where ``budget`` was used up before.

    The budget counts from the first row that is stored, so that every turn stores some.

    Raises:
        FileDamaged, ReportDoesNotAddUp: the import has failed; rows before are stored.
        ImportEnded, ImportOvertaken: the turn is over.
    """
    report = ImportReport(record.rows, counts_of(record), record.rows, record.created_at)
    try:
        if not _store_all(record, file, mapping, turn, patience, on_chunk, budget, report):
            return None
        report.check()
    except (FileDamaged, ReportDoesNotAddUp) as error:
        fail_operation(
            operation_id=record.operation_id, code=error.code, detail=str(error), at=turn.clock()
        )
        raise
    _finish(record, turn)
    return report


def _store_all(
    record: Import,
    file: RowFile,
    mapping: AnyMapping,
    turn: Turn,
    patience: timedelta,
    on_chunk: OnChunk,
    budget: timedelta | None,
    report: ImportReport,
) -> bool:
    """Whether it came to the end."""
    policy = policy_of(record, mapping)
    batches = BatchReader(file, mapping).batches(
        chunk_rows=record.chunk_rows,
        limit=record.row_limit,
        after=record.rows,
        on_skipped=turn.beat,
    )
    on_chunk(report, 0.0)
    until: datetime | None = None
    for batch, begin_next in _read_ahead(batches, policy):
        if until is None and budget is not None:
            until = turn.clock() + budget
        report.counts = store_batch(
            batch=batch, counted=report.counts, total=_total(file, record, batch.end, batch.done),
            policy=policy, turn=turn, patience=patience, meanwhile=begin_next,
        )  # fmt: skip
        report.rows = batch.end
        on_chunk(report, batch.done)
        if until is not None and turn.clock() >= until:
            return False
    return True


def _read_ahead(
    batches: Iterator[Batch], policy: Policy
) -> Iterator[tuple[Batch, Callable[[], None]]]:
    """Each with what begins the next: a thread that reads, maps and cleans it.

    That should be begun when the database is at work on the one before: two threads that both need
    the interpreter only keep each other waiting. The first comes from our own thread: rows that are
    passed over renew the lease meanwhile, and that belongs to our connection.
    """

    def following() -> Batch | None:
        batch = next(batches, None)
        if batch is not None:
            clean_ahead(batch.items, policy)
        return batch

    batch = next(batches, None)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="rows") as reader:
        while batch is not None:
            later: list[Future[Batch | None]] = []

            def begin_next(later: list[Future[Batch | None]] = later) -> None:
                if not later:
                    later.append(reader.submit(following))

            yield batch, begin_next
            begin_next()  # where nothing was appended
            batch = later[0].result()


def policy_of(record: Import, mapping: AnyMapping) -> Policy:
    """As of the import's beginning, so that a resumed import decides as an undisturbed one."""
    return Policy(
        source=record.source,
        at=record.created_at,
        may_register=True,
        technical_skus=tuple(mapping.technical_skus),
    )


def _total(file: RowFile, record: Import, rows: int, done: float) -> int:
    """How many rows there are: known, or told from the share that is read."""
    total = file.total_rows if file.total_rows is not None else round(rows / max(done, 1e-9))
    total = max(total, rows)
    return total if record.row_limit is None else max(rows, min(total, record.row_limit))


@transaction.atomic
def _finish(record: Import, turn: Turn) -> None:
    turn.fence()
    at = turn.clock()
    rows = Import.objects.values_list("rows", flat=True).get(id=record.id)
    Operation.objects.filter(id=record.operation_id).update(done=rows, total=rows)
    finish_chunk(chunk_id=turn.chunk_id, holder=turn.holder, result={}, done=0, at=at)
    succeed_operation(operation_id=record.operation_id, result_url=url_of(record), at=at)


def url_of(record: Import) -> str:
    """Where the API shows the import."""
    return reverse("import", args=[record.id])


def _take(record: Import, clock: Callable[[], datetime]) -> Turn:
    """The lock is ours, so whoever held the lease is gone."""
    holder = f"command line/{uuid4()}"
    chunk = take_chunk(operation_id=record.operation_id, holder=holder, at=clock())
    if chunk is None:
        status = Operation.objects.values_list("status", flat=True).get(id=record.operation_id)
        raise ImportEnded(import_id=record.id, status=status)
    return Turn(record.id, record.operation_id, chunk.id, holder, clock)


def _begun_before(digest: str, mapping: AnyMapping, limit: int | None) -> list[Import]:
    """Imports of this file that have not ended, the newest first; uploads have workers."""
    found = Import.objects.select_related("operation").filter(
        file_sha256=digest,
        mapping_sha256=mapping_sha256(mapping),
        source=mapping.source,
        row_limit=limit,
        upload="",
        operation__status__in=UNFINISHED,
    )
    return list(found.order_by("-created_at"))


def _unfinished(digest: str, mapping: AnyMapping, limit: int | None) -> Import | None:
    return next(iter(_begun_before(digest, mapping, limit)), None)


def _cancel_unfinished(digest: str, mapping: AnyMapping, limit: int | None, at: datetime) -> None:
    for record in _begun_before(digest, mapping, limit):
        cancel_operation(operation_id=record.operation_id, at=at)


def _tries() -> Iterator[None]:
    """Some tries with pauses between them."""
    for _ in repeat(None, LOCK_ATTEMPTS):
        yield
        time.sleep(LOCK_PAUSE_SECONDS)


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _harmless(name: str) -> str:
    """A file's name without its folder; of one that may hold an e-mail address, its ending."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1][-SHOWN_NAME:]
    return last if "@" not in last else f"(a file){Path(last).suffix}"
