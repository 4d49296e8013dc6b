"""Counters of the intake, moved in the transaction of what they count."""

from collections.abc import Mapping
from typing import Any

from django.db import connection
from psycopg2.extras import execute_values

from events.models import Intake

# Writers of the same counter would queue for its row until the other's commit, hence the slots.
ADD = """
INSERT INTO events_intake AS x (source, outcome, reason, slot, count)
SELECT v.source, v.outcome, v.reason, pg_backend_pid() %% 16, v.count
FROM (VALUES %s) AS v(source, outcome, reason, count) ORDER BY 1, 2, 3
ON CONFLICT (source, outcome, reason, slot) DO UPDATE SET count = x.count + EXCLUDED.count
"""


def count_intake(source: str, received: int, counts: Mapping[tuple[Any, str], int]) -> None:
    """``received`` and the outcomes are added to the counters of ``source``."""
    if not received:
        return
    rows = [(source, Intake.Outcome.RECEIVED.value, "", received)]
    rows += [(source, outcome, reason, count) for (outcome, reason), count in counts.items()]
    with connection.cursor() as cursor:
        execute_values(cursor.cursor, ADD, rows)
