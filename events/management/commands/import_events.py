"""``manage.py import_events FILE --mapping NAME``"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from common.clock import now
from common.errors import DtocError
from events.mapping import load_mapping, mapping_names
from events.services.importing import CHUNK_ROWS, ImportReport, import_file


class Command(BaseCommand):
    help = (
        "Import events from a CSV (.csv, .csv.gz) or Parquet file. Run it again after a crash: "
        "what is stored already counts as duplicates."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--mapping", required=True, help=f"one of: {', '.join(mapping_names())}"
        )
        parser.add_argument("--limit", type=int, help="stop after so many rows")
        parser.add_argument("--chunk-rows", type=int, default=CHUNK_ROWS, help="rows per commit")

    def handle(self, *args: Any, file: Path, mapping: str, **options: Any) -> None:
        for name in ("limit", "chunk_rows"):
            if options[name] is not None and options[name] < 1:
                raise CommandError(f"--{name.replace('_', '-')} is {options[name]}, expected 1 up")
        started = time.monotonic()
        try:
            report = self._import(file, mapping, options["limit"], options["chunk_rows"])
        except DtocError as error:
            raise CommandError(str(error)) from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(
                "the database went away; the chunks before are stored: run the command again, it "
                f"goes on ({str(error).strip()})"
            ) from error
        self._tell(report, time.monotonic() - started)

    def _import(self, file: Path, name: str, limit: int | None, chunk_rows: int) -> ImportReport:
        mapping = load_mapping(name)
        console = Console(stderr=True)  # the report alone goes to stdout
        with _progress(console) as progress, _no_search_for_cycles():
            task = progress.add_task(file.name, total=1.0, rows=0, rate=0)
            started = time.monotonic()

            def show(report: ImportReport, done: float) -> None:
                rate = report.rows / max(time.monotonic() - started, 1e-9)
                progress.update(task, completed=done, rows=report.rows, rate=rate)

            return import_file(
                path=file,
                mapping=mapping,
                at=now(),
                limit=limit,
                chunk_rows=chunk_rows,
                on_chunk=show,
            )

    def _tell(self, report: ImportReport, seconds: float) -> None:
        self.stdout.write(f"rows read    {report.rows:>12,}")
        for outcome, label in LABELS.items():
            self.stdout.write(f"{label:<12} {report.total(outcome):>12,}")
            for reason, count in report.reasons(outcome).items():
                if reason:
                    self.stdout.write(f"  {reason:<28} {count:>12,}")
        rate = report.rows / max(seconds, 1e-9)
        self.stdout.write(f"seconds      {seconds:>12.1f}  ({rate:,.0f} rows/s)")


LABELS = {
    "accepted": "accepted",
    "duplicate": "duplicates",
    "quarantined": "quarantined",
    "refused": "refused",
}


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """Python frees by counting references alone meanwhile.

    An import makes a million small objects and no cycle among them; looking for cycles takes a
    third of its time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
