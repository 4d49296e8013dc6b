"""``manage.py reproduce_thesis``: why accuracy on the lines that were learned says nothing."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.table import Table

from common.errors import DtocError
from ml.errors import MlError
from twins.management.commands.evaluate_twin import add_file_arguments, console_of, lines_of

WARNING = (
    "Asked inside its training data a model shows MEMORY, not quality: how much it can store. This "
    "network named {inside:.1%} of the lines that it had learned{controls}. The honest figures are "
    "those of `manage.py evaluate_twin`."
)
CONTROLS = ", {random:.1%} where the items were random numbers, and {outside:.1%} of lines unseen"


class Command(BaseCommand):
    help = "Repeat the in-sample protocol of the master's thesis, with the controls that unmask it."

    def add_arguments(self, parser: CommandParser) -> None:
        add_file_arguments(parser)
        parser.add_argument("--epochs", type=int, default=100)
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--main-only", action="store_true", help="without the three controls")

    def handle(self, *args: Any, **options: Any) -> None:
        from ml.protocols import thesis, thesis_rules
        from twins.protocol_reports import stage

        self.console = console_of(self)
        try:
            windows = thesis.Windows.of(lines_of(options)[0])
        except (DtocError, MlError) as error:
            raise CommandError(str(error)) from error
        epochs, seed = options["epochs"], options["seed"]
        rows: dict[str, thesis.Scored] = {}
        runs = thesis.runs(windows, seed=seed, main_only=options["main_only"])
        for name, made, learned in runs:
            with stage(name, "epochs", epochs) as advance:
                inside, outside = thesis.learned_and_scored(
                    made, seed=seed, epochs=epochs, learned=learned, on_epoch=lambda _: advance(1)
                )
            rows[f"{name}: asked for what it learned"] = inside
            if outside is not None:
                rows[f"{name}: asked for the others"] = outside
        self._show("The network of the thesis", rows)
        self._show("Tables of the very lines asked for", thesis_rules.rules_inside(windows))
        outside_rules = thesis_rules.rules_outside(windows, thesis.LEARNED)
        self._show("Tables of lines 1-80, asked for 81-100", outside_rules)
        self.stdout.write(_warning([found["top_1"] for found in rows.values()]))

    def _show(self, title: str, rows: dict[str, dict[str, float]]) -> None:
        table = Table(title=title, title_justify="left")
        table.add_column("method", no_wrap=True)
        for heading in ("top-1", "top-5", "loss", "targets"):
            table.add_column(heading, justify="right", no_wrap=True)
        for name, found in rows.items():
            loss = f"{found['loss']:.3f}" if "loss" in found else "-"
            shares = (f"{found[k]:.4f}" for k in ("top_1", "top_5"))
            table.add_row(name, *shares, loss, f"{found['targets']:,.0f}")
        self.console.print(table)


def _warning(top_1: list[float]) -> str:
    """What the rows say in one sentence; they are in the order of ``thesis.runs``."""
    controls = CONTROLS.format(outside=top_1[2], random=top_1[3]) if len(top_1) > 1 else ""
    return WARNING.format(inside=top_1[0], controls=controls)
