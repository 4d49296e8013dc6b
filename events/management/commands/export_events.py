"""``manage.py export_events DIR --format parquet``"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from common.canonical_json import iso
from common.clock import now
from common.errors import DtocError
from events.export_files import FORMATS, Manifest
from events.models_imports import Export
from events.services.exporting import Filters, export_events


class Command(BaseCommand):
    help = "Write all events into files by month, with a manifest of counts and SHA-256 sums."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, nargs="?")
        parser.add_argument("--format", choices=FORMATS, default="parquet")
        parser.add_argument("--partition-by", choices=["month"], default="month")
        parser.add_argument("--type", help="only events of this type")
        parser.add_argument("--since", type=_moment, help="only what happened from then (ISO 8601)")
        parser.add_argument("--until", type=_moment, help="only what happened before")
        parser.add_argument("--replace", action="store_true", help="an export that is there")
        parser.add_argument("--list", action="store_true", help="show all exports and stop")

    def handle(self, *args: Any, folder: Path | None, **options: Any) -> None:
        if options["list"]:
            self._list()
            return
        if folder is None:
            raise CommandError("name a folder to export to, or --list")
        try:
            manifest = self._export(folder, options)
        except DtocError as error:
            raise CommandError(str(error)) from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(
                f"the database went away, nothing was exported: run it again ({str(error).strip()})"
            ) from error
        self.stdout.write(
            f"{manifest.rows:,} events in {len(manifest.parts)} files, as of {manifest.taken_at}"
        )

    def _export(self, folder: Path, options: dict[str, Any]) -> Manifest:
        filters = Filters(options["type"], options["since"], options["until"])
        with _progress() as progress:
            task = progress.add_task("sorting", total=None, rows=0, rate=0)
            started = time.monotonic()

            def show(done: int, total: int) -> None:
                rate = done / max(time.monotonic() - started, 1e-9)
                progress.update(
                    task, description="writing", completed=done, total=total, rows=done, rate=rate
                )

            return export_events(
                folder=folder,
                file_format=options["format"],
                at=now(),
                filters=filters,
                replace=options["replace"],
                on_rows=show,
            )

    def _list(self) -> None:
        for export in Export.objects.order_by("-taken_at"):
            self.stdout.write(
                f"{iso(export.taken_at)}  {export.state:<7}  {export.rows:>12,} rows  "
                f"{export.file_format:<7}  {export.location}"
            )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
