"""The sums of past days are put together: one row for an item and a day, not one for each slot."""

from datetime import datetime, timedelta

from django.db import connection

SETTLED = timedelta(days=2)  # by then hardly anybody adds to a day any more
SLOT = -1  # of the row that holds what was put together; writers use 0 to 15
ROWS = 50_000  # of one statement, which holds their locks for about a second

COMPACT = """
WITH loose AS (
    SELECT sku, day, slot FROM events_skuday WHERE slot >= 0 AND day < %s
    LIMIT %s FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM events_skuday AS x USING loose
    WHERE (x.sku, x.day, x.slot) = (loose.sku, loose.day, loose.slot)
    RETURNING x.*
), kept AS (
    INSERT INTO events_skuday AS x (sku, day, slot, n, q, qq, v, vv)
    SELECT sku, day, %s, sum(n), sum(q), sum(qq), sum(v), sum(vv)
    FROM gone GROUP BY sku, day ORDER BY sku, day
    ON CONFLICT (sku, day, slot) DO UPDATE SET n = x.n + EXCLUDED.n,
        q = x.q + EXCLUDED.q, qq = x.qq + EXCLUDED.qq,
        v = x.v + EXCLUDED.v, vv = x.vv + EXCLUDED.vv
)
SELECT count(*) FROM gone
"""


def compact_sku_days(*, at: datetime) -> int:
    """Days that ended two days before ``at`` have one row for each item; returns the rows gone.

    Sums stay what they were, at every moment and for everybody who reads them.
    """
    total = 0
    while gone := _compact(at):
        total += gone
    return total


def _compact(at: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(COMPACT, [(at - SETTLED).date(), ROWS, SLOT])
        return int(cursor.fetchone()[0])
