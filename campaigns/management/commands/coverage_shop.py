"""``manage.py coverage_shop``: how often forecasts hold the truth, where the truth is known"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from ml.errors import MlError

WIDTH = 400  # more than any table needs: figures are never cut off
LEAST = {"runs": 2, "placebo": 0, "workers": 1, "seed": 0}


class Command(BaseCommand):
    help = (
        "Draw synthetic shops, show each one's past to the forecast, let it learn response and "
        "rhythm, forecast one more offer, and count how often the 90 %% interval holds the truth."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--runs", type=int, default=100, help="shops (100)")
        parser.add_argument(
            "--placebo", type=int, help="shops whose customers ignore offers (as many; 0: none)"
        )
        parser.add_argument("--seed", type=int, default=1, help="of the first shop (1)")
        parser.add_argument("--customers", type=int, default=500, help="of each shop (500)")
        parser.add_argument("--depth", type=float, default=0.2, help="share off the price (0.2)")
        parser.add_argument("--horizon", type=int, default=28, metavar="DAYS", help="(28)")
        parser.add_argument("--replicates", type=int, default=40, help="of each forecast (40)")
        parser.add_argument("--workers", type=int, default=1, help="processes (1)")
        parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")

    def handle(self, *args: Any, **options: Any) -> None:
        options["placebo"] = options["runs"] if options["placebo"] is None else options["placebo"]
        _check(options)
        began = time.monotonic()
        try:
            self._run(options)
        except MlError as error:
            raise CommandError(str(error)) from error
        self.stderr.write(f"{time.monotonic() - began:.0f} s in all")

    def _run(self, options: dict[str, Any]) -> None:
        from ml.shop.coverage import Task  # torch, pandas: only here
        from ml.shop.coverage_report import as_json, nothing_is_zero, tables

        task = Task(
            customers=options["customers"], depth=options["depth"],
            horizon_days=options["horizon"], replicates=options["replicates"],
        )  # fmt: skip
        runs = self._runs("Shops", task, options, options["runs"])
        idle = replace(task, elasticity_mean=0.0)
        placebo = self._runs("Placebo", idle, options, options["placebo"], learned_only=True)
        for cells in tables(task, runs, placebo):
            self._show(cells)
        zero = nothing_is_zero([*runs, *placebo])
        self.stdout.write(f"An offer of depth 0: exactly 0 in {zero.count} of {zero.runs} shops")
        if options["json"] is not None:
            text = json.dumps(as_json(task, runs, placebo), indent=1)
            options["json"].write_text(text + "\n")

    def _runs(
        self, title: str, task: Any, options: dict[str, Any], count: int, **kind: bool
    ) -> list[Any]:
        from campaigns.intervals import prediction_interval
        from ml.shop.coverage_runs import many_runs

        seeds = range(options["seed"], options["seed"] + count)
        with self._progress() as progress:
            bar = progress.add_task(title, total=count, pace="")
            began, done = time.monotonic(), iter(range(1, count + 1))

            def advance() -> None:
                pace = (time.monotonic() - began) / next(done)
                progress.update(bar, advance=1, pace=f"{pace:.1f} s/shop")

            workers = options["workers"]
            return many_runs(
                task, seeds, prediction_interval, workers=workers, on_run=advance, **kind
            )

    def _progress(self) -> Progress:
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"), TimeElapsedColumn(), TimeRemainingColumn(),
        )  # fmt: skip
        return Progress(*columns, console=Console(file=self.stderr))  # type: ignore[arg-type]

    def _show(self, cells: Any) -> None:
        shown = Table(title=cells.title, title_justify="left")
        for n, heading in enumerate(cells.headings):
            shown.add_column(heading, justify="right" if n > 1 else "left", no_wrap=True)
        for row in cells.rows:
            shown.add_row(*row)
        console = Console(
            file=self.stdout,  # type: ignore[arg-type]
            width=WIDTH, soft_wrap=True, highlight=False,
        )  # fmt: skip
        console.print(shown)


def _check(options: dict[str, Any]) -> None:
    target: Path | None = options["json"]
    if target is not None and not target.parent.is_dir():
        raise CommandError(f"{target.parent} does not exist: create it or name another file")
    for name, least in LEAST.items():
        if options[name] < least:
            raise CommandError(f"--{name} is {options[name]}, expected at least {least}")
