"""Simulate a discount on a sample of twins and print what it would bring."""

import argparse
import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from campaigns.criteria import Criteria
from campaigns.models import SimulationRun
from campaigns.plan import RESPONSES
from campaigns.selectors import campaigns, simulation_by_id
from campaigns.services import Economics, create_audience, create_campaign, start_simulation
from campaigns.tables import grid_table, summary
from common.clock import now
from common.errors import DtocError
from common.operations import cancel_operation, operation_by_id

REQUESTED_BY = "manage.py simulate_campaign"
DEPTHS = [Decimal("0"), Decimal("0.1"), Decimal("0.2")]
GLANCE_SECONDS = 0.5


class Command(BaseCommand):
    help = "Simulate a discount for every depth and delay and print the incremental revenue."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", default="Simulated from the command line")
        parser.add_argument("--depths", nargs="+", type=_share, default=DEPTHS)
        parser.add_argument("--delays", nargs="+", type=int, default=[0], metavar="DAYS")
        parser.add_argument("--horizon", type=int, default=30, metavar="DAYS")
        parser.add_argument("--offer-days", type=int, default=14)
        parser.add_argument("--currency", default="GBP", help="of the purchases (GBP)")
        parser.add_argument(
            "--margin", type=_share, help="share of the price left after the cost of goods"
        )
        parser.add_argument("--contact-cost", type=_share, default=Decimal(0), metavar="AMOUNT")
        parser.add_argument("--fixed-cost", type=_share, default=Decimal(0), metavar="AMOUNT")
        parser.add_argument("--budget", type=_share, metavar="AMOUNT", help="no limit if left out")
        parser.add_argument("--replicates", type=int, default=10)
        parser.add_argument("--sample", type=int, help="how many twins; all where left out")
        parser.add_argument("--response", choices=RESPONSES, default="assumed")
        parser.add_argument("--elasticity-mean", type=float, default=1.5)
        parser.add_argument("--elasticity-spread", type=float, default=0.5)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument(
            "--as-of", type=_moment, help="where the horizon begins (the newest event), ISO 8601"
        )
        parser.add_argument(
            "--workers", action="store_true", help="leave the work to the Celery workers and watch"
        )
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole result too")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(file=self.stdout, no_color=options["no_color"])  # type: ignore[arg-type]
        target: Path | None = options["json"]
        if target is not None and not target.parent.is_dir():
            raise CommandError(f"the folder {target.parent} does not exist: make it first")
        try:
            run = _started(options)
            run = _watched(run, console, by_workers=options["workers"])
        except DtocError as error:
            raise CommandError(str(error)) from error
        self._report(run, console, target)

    def _report(self, run: SimulationRun, console: Console, target: Path | None) -> None:
        if run.result is None:
            problem = run.operation.error or {
                "detail": f"the simulation was {run.operation.status}"
            }
            raise CommandError(problem["detail"])
        console.print(grid_table(run))
        for line in summary(run):
            console.print(line, highlight=False, soft_wrap=True)
        if target is not None:
            target.write_text(json.dumps(run.result, indent=2) + "\n")
            console.print(f"The whole result is in {target}.", highlight=False, soft_wrap=True)


def _share(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number, expected a share like 0.1"
        ) from None
    if not value.is_finite():
        raise argparse.ArgumentTypeError(f"{text!r} is not finite, expected a share like 0.1")
    return value


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        expected = "expected ISO 8601 like 2011-12-09T12:50:00Z"
        raise argparse.ArgumentTypeError(f"{text!r} is no moment, {expected}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _started(options: dict[str, Any]) -> SimulationRun:
    response: dict[str, Any] = {"kind": options["response"]}
    if options["response"] == "assumed":
        response["mean"] = options["elasticity_mean"]
        response["spread"] = options["elasticity_spread"]
    criteria = Criteria(sample=options["sample"], sample_seed=max(options["seed"], 0))
    audience = create_audience(
        criteria=criteria, as_of=options["as_of"], created_by=REQUESTED_BY, at=now()
    )
    return start_simulation(
        campaign_id=_campaign_id(options),
        audience_id=audience.id,
        depths=options["depths"],
        delays_days=options["delays"],
        horizon_days=options["horizon"],
        replicates=options["replicates"],
        seed=options["seed"],
        response=response,
        requested_by=REQUESTED_BY,
        at=now(),
        as_of=audience.evaluated_at,
    )


def _campaign_id(options: dict[str, Any]) -> UUID:
    """The newest campaign like this one, or a new one."""
    wanted = {key: options[key] for key in ("name", "offer_days", "currency")}
    terms = Economics(
        margin_rate=options["margin"],
        contact_cost=options["contact_cost"],
        fixed_cost=options["fixed_cost"],
        budget=options["budget"],
    )
    known = campaigns().filter(**wanted, **asdict(terms)).first()
    if known is not None:
        return known.id
    return create_campaign(**wanted, economics=terms, created_by=REQUESTED_BY, at=now()).id


def _watched(run: SimulationRun, console: Console, *, by_workers: bool) -> SimulationRun:
    """The run after its end; it is cancelled where the user interrupts it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:>7.0f} customers/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("Simulating", total=run.operation.total, rate=0.0)
        try:
            _until_finished(run, progress, task, by_workers=by_workers)
        except KeyboardInterrupt:
            cancel_operation(operation_id=run.operation_id, at=now())
    return simulation_by_id(run.id)


def _until_finished(
    run: SimulationRun, progress: Progress, task: TaskID, *, by_workers: bool
) -> None:
    begun = time.monotonic()
    while True:
        operation = operation_by_id(run.operation_id)
        rate = operation.done / max(time.monotonic() - begun, 0.001)
        progress.update(task, completed=operation.done, rate=rate)
        if operation.is_finished:
            return
        if by_workers or _one_chunk(run):
            time.sleep(GLANCE_SECONDS)


def _one_chunk(run: SimulationRun) -> bool:
    """One chunk was computed here; True where none was left, because other workers have them."""
    from campaigns.services.run import (
        run_simulation,
    )  # loads torch, which --help should not wait for

    holder = f"{REQUESTED_BY}/{uuid4()}"
    return run_simulation(operation_id=run.operation_id, holder=holder, clock=now, most_chunks=1)
