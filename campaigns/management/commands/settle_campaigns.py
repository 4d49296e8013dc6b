"""Measure and grade the launches that are over."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from campaigns.ledger import due_launches
from campaigns.models import PolicyLedgerEntry
from campaigns.services import settle_launch
from campaigns.services.settle import GRACE
from common.clock import now
from common.errors import DtocError


class Command(BaseCommand):
    help = "Settle every launch whose window is over: measure its uplift and grade its forecast."

    def add_arguments(self, parser: CommandParser) -> None:
        hours = int(GRACE.total_seconds() // 3600)
        parser.add_argument(
            "--grace-hours",
            type=float,
            default=hours,
            metavar="HOURS",
            help=f"how long after its end a launch waits for late events ({hours})",
        )

    def handle(self, *args: Any, grace_hours: float, **options: Any) -> None:
        due = due_launches(now() - timedelta(hours=grace_hours))
        for launch_id in due:
            try:
                self.stdout.write(sentence(settle_launch(launch_id=launch_id, at=now())))
            except DtocError as error:
                self.stderr.write(str(error))  # somebody cancelled it meanwhile; the others go on
        self.stdout.write(f"{len(due)} launches were due")


def sentence(entry: PolicyLedgerEntry) -> str:
    """What a settled launch brought, and whether that was foreseen."""
    found: dict[str, Any] = entry.measured or {}
    if not found["outcomes"]:
        return f"{entry}: {found['reason']}"
    uplift, currency = found["outcomes"]["revenue"]["uplift"], entry.forecast["currency"]
    text = f"{entry}: {uplift['mean']} {currency} a customer"
    if uplift["low"] is not None:
        text += f" [{uplift['low']}, {uplift['high']}]"
    grades = found["against_forecast"]
    if not grades:
        return f"{text}; {found['reason']}"
    verdict = {True: "within", False: "outside", None: "not to be compared with"}
    grade = grades["revenue"]
    return f"{text}, {verdict[grade['within']]} the forecast of {grade['forecast']['mean']}"
