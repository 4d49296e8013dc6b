"""Counters of the intake, moved in the transaction of what they count."""

from collections.abc import Mapping
from typing import Any

from django.db import connection

from events.models import Intake

# Made by the migration `append_function`.
ADD = "SELECT events_count(%s, %s::text[], %s::text[], %s::bigint[])"


def count_intake(source: str, received: int, counts: Mapping[tuple[Any, str], int]) -> None:
    """``received`` and the outcomes are added to the counters of ``source``."""
    if not received:
        return
    outcomes = [Intake.Outcome.RECEIVED.value, *(outcome for outcome, _ in counts)]
    reasons = ["", *(reason for _, reason in counts)]
    with connection.cursor() as cursor:
        cursor.execute(ADD, [source, outcomes, reasons, [received, *counts.values()]])
