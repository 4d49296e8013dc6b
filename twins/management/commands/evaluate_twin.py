"""``manage.py evaluate_twin --protocol A|B|C|D|all``"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from common.errors import DtocError
from events.detect import mapping_for
from ml.errors import MlError

if TYPE_CHECKING:
    from ml.protocols.tables import ProtocolReport
    from ml.protocols.tables import Table as Cells

WIDTH = 400  # more than any table needs: figures are never cut off
LETTERS = ("A", "B", "C", "D")
SPLIT, VALIDATION, CUT = "2011-09-30", "2011-08-31", "2011-09-10"  # those of docs/evaluation.md


class Command(BaseCommand):
    help = (
        "Measure the twin beside every baseline on lines that nobody has learned from, each figure "
        "with its 95 %% interval over customers."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add_file_arguments(parser)
        parser.add_argument(
            "--protocol", default="all", choices=[*LETTERS, "all"],
            help="A next line, B next basket, C when and how much, D simulated futures",
        )  # fmt: skip
        parser.add_argument(
            "--split", type=_moment, default=SPLIT, help=f"A and B ask from then on ({SPLIT})"
        )
        parser.add_argument(
            "--validation", type=_moment, default=VALIDATION,
            help=f"tuning sees what lies between this and the split ({VALIDATION})",
        )  # fmt: skip
        parser.add_argument(
            "--cut", type=_moment, default=CUT, help=f"C and D ask from then on ({CUT})"
        )
        parser.add_argument("--products", help="regular expression of the item codes of B")
        parser.add_argument(
            "--model", metavar="NAME|active|none",
            help="the model version that is the twin (default: one is trained before the split)",
        )  # fmt: skip
        parser.add_argument("--epochs", type=int, help="of the training, at most so many")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--draws", type=int, default=300, help="of the bootstrap")
        parser.add_argument(
            "--shuffled", action="store_true", help="A: also with lines shuffled inside each order"
        )
        parser.add_argument(
            "--with-networks",
            action="store_true",
            help="A: also train LSTM, GRU and SASRec (minutes)",
        )
        parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")

    def handle(self, *args: Any, **options: Any) -> None:
        self.console = console_of(self)
        target: Path | None = options["json"]
        if target is not None and not target.parent.is_dir():
            raise CommandError(f"{target.parent} does not exist: create it or name another file")
        began = time.monotonic()
        try:
            reports = self._reports(options)
        except (DtocError, MlError) as error:
            raise CommandError(str(error)) from error
        if target is not None:
            from twins.protocol_reports import as_json

            target.write_text(json.dumps(as_json(reports), indent=1))
        self.stderr.write(f"{time.monotonic() - began:.0f} s in all")

    def _reports(self, options: dict[str, Any]) -> list[ProtocolReport]:
        from twins.protocol_reports import Ask, Evaluation, products_of  # torch, pandas: only here

        lines, mapping = lines_of(options)
        names = set(Ask.__slots__) & set(options)
        chosen = {name: options[name] for name in names - {"products"}}
        products = options["products"] or products_of(mapping)
        evaluation = Evaluation(lines, Ask(products=products, **chosen), self.stderr.write)
        wanted = LETTERS if options["protocol"] == "all" else (options["protocol"],)
        evaluation.check(wanted)
        reports = []
        for letter in wanted:
            for report in evaluation.run(letter):
                show(self, report)
                reports.append(report)
        return reports


def add_file_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "--data", type=Path, help="a file of purchase lines (default: Online Retail)"
    )
    parser.add_argument("--mapping", help="which one reads it (default: the one that fits)")


def lines_of(options: dict[str, Any]) -> tuple[Any, str]:
    """The purchase lines of the file that was named, or of the public data, and the mapping."""
    from twins.protocol_lines import read_lines

    path = options["data"] or settings.BASE_DIR.parent / "shared" / "data" / "online_retail.parquet"
    mapping = options["mapping"] or mapping_for(path)
    return read_lines(path, mapping), mapping


def console_of(command: BaseCommand) -> Console:
    return Console(
        file=command.stdout,  # type: ignore[arg-type]
        width=WIDTH, soft_wrap=True, highlight=False,
    )  # fmt: skip


def show(command: Any, report: ProtocolReport) -> None:
    """The report's tables and notes are printed."""
    command.stdout.write(f"\n{report.title}")
    for table in report.tables():
        command.console.print(table_of(table))
    for note in report.notes:
        command.stdout.write(f"- {note}")
    command.stdout.flush()


def table_of(cells: Cells) -> Table:
    shown = Table(title=cells.title, title_justify="left")
    for n, heading in enumerate(cells.headings):
        shown.add_column(heading, justify="right" if n else "left", no_wrap=True)
    for row in cells.rows:
        shown.add_row(*row)
    return shown


def _moment(text: str) -> datetime:
    """An ISO 8601 date or time; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
