"""``manage.py import_events FILE --mapping NAME``"""

import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from common.canonical_json import iso
from common.clock import now
from common.errors import DtocError
from events.detect import mapping_for
from events.files import SUFFIXES
from events.imports import recent_imports
from events.mapping import load_mapping, mapping_names
from events.services.importing import CHUNK_ROWS, ImportReport, import_file

LABELS = {
    "accepted": "accepted",
    "duplicate": "duplicates",
    "quarantined": "quarantined",
    "refused": "refused",
}
LISTED = 20


class Command(BaseCommand):
    help = (
        f"Import events from a file ({', '.join(SUFFIXES)}). After a crash, the same command goes "
        "on behind the last row that was stored."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, nargs="?")
        parser.add_argument(
            "--mapping",
            help=f"one of: {', '.join(mapping_names())}; or a path to a .toml file of your own; "
            "left out, the one whose columns the file has",
        )
        parser.add_argument("--limit", type=int, help="stop after so many rows")
        parser.add_argument("--chunk-rows", type=int, default=CHUNK_ROWS, help="rows per commit")
        parser.add_argument(
            "--from-start", "--again", action="store_true", help="leave an unfinished import alone"
        )
        parser.add_argument("--list", action="store_true", help="show the recent imports and stop")

    def handle(self, *args: Any, file: Path | None, mapping: str | None, **options: Any) -> None:
        if options["list"]:
            self._list()
            return
        if file is None:
            raise CommandError("name a file to import, or --list")
        for name in ("limit", "chunk_rows"):
            if options[name] is not None and options[name] < 1:
                raise CommandError(f"--{name.replace('_', '-')} is {options[name]}, expected 1 up")
        started = time.monotonic()
        try:
            report = self._import(file, mapping, options)
        except DtocError as error:
            raise CommandError(str(error)) from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(
                "the database went away; the chunks before are stored: run the command again, it "
                f"goes on ({str(error).strip()})"
            ) from error
        self._tell(report, time.monotonic() - started)

    def _import(self, file: Path, name: str | None, options: dict[str, Any]) -> ImportReport:
        if name is None:
            name = mapping_for(file)
            self.stderr.write(f"reading {file.name} by the mapping {name}")
        mapping = load_mapping(name)
        console = Console(stderr=True)  # the report alone goes to stdout
        with _progress(console) as progress:
            task = progress.add_task(file.name, total=1.0, rows=0, rate=0)
            started = time.monotonic()

            def show(report: ImportReport, done: float) -> None:
                if done == 0 and report.resumed_from:
                    progress.console.print(_resuming(report))
                rows = report.rows - report.resumed_from
                rate = rows / max(time.monotonic() - started, 1e-9)
                progress.update(task, completed=done, rows=report.rows, rate=rate)

            return import_file(
                path=file,
                mapping=mapping,
                at=now(),
                limit=options["limit"],
                chunk_rows=options["chunk_rows"],
                from_start=options["from_start"],
                on_chunk=show,
            )

    def _tell(self, report: ImportReport, seconds: float) -> None:
        self.stdout.write(f"rows read    {report.rows:>12,}")
        for outcome, label in LABELS.items():
            self.stdout.write(f"{label:<12} {report.total(outcome):>12,}")
            for reason, count in report.reasons(outcome).items():
                if reason:
                    self.stdout.write(f"  {reason:<28} {count:>12,}")
        rate = (report.rows - report.resumed_from) / max(seconds, 1e-9)
        self.stdout.write(f"seconds      {seconds:>12.1f}  ({rate:,.0f} rows/s)")

    def _list(self) -> None:
        for record in recent_imports(LISTED):
            operation = record.operation
            self.stdout.write(
                f"{iso(record.created_at)}  {operation.status:<9}  {record.rows:>12,} rows  "
                f"{record.mapping:<18}  {record.file_name}"
            )


def _resuming(report: ImportReport) -> str:
    begun = iso(report.begun_at) if report.begun_at else "before"
    return f"going on after row {report.resumed_from:,} of an import begun at {begun}"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
