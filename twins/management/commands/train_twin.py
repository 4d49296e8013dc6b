from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from common.clock import now
from common.errors import DtocError
from twins.models import ModelVersion
from twins.progress import progress_bar
from twins.reports import report_tables
from twins.selectors import active_model_id, events_total
from twins.services import TrainingOptions, activate_model, rebuild_twins, train_model
from twins.training_arguments import add_training_arguments

if TYPE_CHECKING:
    from ml.training import EpochReport

WIDTH = 110  # of the tables, also where the output is not a terminal
HEADS = {
    "next_item": "item",
    "same_order": "same order",
    "line_total": "total",
}


class Command(BaseCommand):
    help = (
        "Train a model version on the stored events and report how good it is. Interrupted and "
        "started again with the same options, it goes on from its last epoch."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_training_arguments(parser)
        parser.add_argument("--name", default="", help="default: from the cut-off and the SHA-256")
        parser.add_argument("--activate", action="store_true", help="make it the active model")
        parser.add_argument(
            "--reason", default="", help="why to activate it, where it is not known to be better"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.console = Console(
            file=self.stdout,  # type: ignore[arg-type]
            width=max(WIDTH, shutil.get_terminal_size().columns),
            soft_wrap=True,
            highlight=False,
        )
        chosen = {name: options[name] for name in TrainingOptions.__slots__}
        try:
            version = train_model(
                TrainingOptions(**chosen),
                at=now(),
                on_epoch=self._tell_epoch,
                on_resume=self._tell_resumed,
                on_stage=self._tell_stage,
            )
            self._tell(version)
            if options["activate"]:
                self._activate(version, options["reason"])
        except DtocError as error:
            raise CommandError(str(error)) from error

    def _tell_resumed(self, epochs: int) -> None:
        self.stdout.write(
            f"going on after epoch {epochs} of an interrupted training (--from-start begins anew)"
        )

    def _tell_stage(self, stage: str) -> None:
        self.stdout.write(f"{stage} ...")
        self.stdout.flush()

    def _tell_epoch(self, epoch: EpochReport) -> None:
        heads = "  ".join(
            f"{HEADS.get(head, head)} {loss:.3f}/{epoch.validation_heads[head]:.3f}"
            for head, loss in epoch.train_heads.items()
        )
        self.stdout.write(
            f"epoch {epoch.epoch:2}/{epoch.epochs}  loss train/validation "
            f"{epoch.train_loss:.4f}/{epoch.validation_loss:.4f}  {heads}  "
            f"{epoch.lines_per_second:,.0f} lines/s  {epoch.remaining_seconds:.0f} s left"
        )
        self.stdout.flush()

    def _tell(self, version: ModelVersion) -> None:
        data = version.report["data"]
        self.stdout.write(
            f"\n{version.name}: {data['events']:,} events of {data['customers']:,} customers, "
            f"{data['items']:,} items, best epoch {version.report['best_epoch']}; validated on "
            f"{version.validation_from:%Y-%m-%d} to {version.cut_off:%Y-%m-%d}, "
            "± half of the 95 % interval over customers"
        )
        for table in report_tables(version.report):
            shown = Table(title=table.title, title_justify="left")
            shown.add_column("method", no_wrap=True)
            for column in table.columns:
                shown.add_column(column, justify="right", no_wrap=True)
            for method, cells in table.narrow_rows:
                shown.add_row(method, *cells)
            self.console.print(shown)
        for note in version.report["validation"].get("notes", []):
            self.stdout.write(f"- {note}")

    def _activate(self, version: ModelVersion, reason: str) -> None:
        if active_model_id() == version.id:
            self.stdout.write(f"{version.name} is active already")
            return
        if active_model_id():  # nobody reads twins before the first activation
            with progress_bar(
                "Rebuilding beside the live twins", unit="events", total=events_total()
            ) as bar:
                for done in rebuild_twins(model_id=version.id, at=now()):
                    bar.reach(done.events)
        activate_model(model_id=version.id, at=now(), reason=reason)
        self.stdout.write(f"{version.name} is active")
