"""``manage.py backtest_campaign``: a past wave of offers as foreseen, beside what happened"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ml.errors import MlError

WIDTH = 400  # more than any table needs: figures are never cut off


class Command(BaseCommand):
    help = (
        "Forecast a past wave of offers from the events before it, and set the forecast beside "
        "what happened: uplift with 90 %% intervals, by offer, ranking and calibration."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--events", type=Path, required=True, metavar="FILE", help="transcript")
        parser.add_argument("--profiles", type=Path, required=True, metavar="FILE")
        parser.add_argument("--offers", type=Path, required=True, metavar="FILE", help="portfolio")
        parser.add_argument(
            "--train-until", type=int, required=True, metavar="HOUR",
            help="learn from the events before this hour",
        )  # fmt: skip
        parser.add_argument(
            "--wave", type=int, required=True, metavar="HOUR", help="forecast the offers made then"
        )
        parser.add_argument(
            "--window", type=int, default=72, metavar="HOURS",
            help="after the wave; ends with the file or the next wave if that is earlier (72)",
        )  # fmt: skip
        parser.add_argument("--refits", type=int, default=40, help="of the model, for intervals")
        parser.add_argument("--draws", type=int, default=500, help="of the bootstrap of customers")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")

    def handle(self, *args: Any, **options: Any) -> None:
        target: Path | None = options["json"]
        if target is not None and not target.parent.is_dir():
            raise CommandError(f"{target.parent} does not exist: create it or name another file")
        for name, least in (("window", 1), ("refits", 2), ("draws", 2), ("seed", 0)):
            if options[name] < least:
                raise CommandError(f"--{name} is {options[name]}, expected at least {least}")
        began = time.monotonic()
        try:
            report = self._report(options)
        except MlError as error:
            raise CommandError(str(error)) from error
        self._show(report)
        if target is not None:
            from campaigns.backtest.report import as_json

            target.write_text(json.dumps(as_json(report), indent=1) + "\n")
        self.stderr.write(f"{time.monotonic() - began:.0f} s in all")

    def _report(self, options: dict[str, Any]) -> Any:
        from campaigns.backtest import files  # torch, pandas: only here
        from ml.uplift.backtest import Ask, backtest

        offers = files.read_offers(options["offers"])
        customers = files.read_customers(options["profiles"])
        journal = files.read_journal(options["events"], customers, offers)
        ask = Ask(**{name: options[name] for name in Ask.__slots__})
        with self._progress() as progress:
            task = progress.add_task("Learning and forecasting", total=ask.refits + 3)

            def advance(done: int) -> None:
                progress.update(task, completed=done)

            return backtest(journal, customers, offers, ask, advance)

    def _progress(self) -> Progress:
        console = Console(file=self.stderr)  # type: ignore[arg-type]
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        return Progress(*columns, TimeRemainingColumn(), console=console)

    def _show(self, report: Any) -> None:
        from campaigns.backtest.report import tables
        from campaigns.backtest.words import notes

        console = Console(
            file=self.stdout,  # type: ignore[arg-type]
            width=WIDTH, soft_wrap=True, highlight=False,
        )  # fmt: skip
        for cells in tables(report):
            shown = Table(title=cells.title, title_justify="left")
            for n, heading in enumerate(cells.headings):
                shown.add_column(heading, justify="right" if n else "left", no_wrap=True)
            for row in cells.rows:
                shown.add_row(*row)
            console.print(shown)
        for note in notes(report):
            self.stdout.write(f"- {note}")
        self.stdout.flush()
