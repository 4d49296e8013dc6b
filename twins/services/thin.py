"""Thinning: old snapshots go, so that history costs what it is worth.

Of the last 30 days all snapshots stay, then the last one of each day up to a year, then the last
one of each month, by when they were taken (UTC). Whatever its age, the base of the budget window
stays: the snapshot that an event as late as the budget allows rewinds to. That is the newest one
that fits at or before the window, or, where none is so old, the oldest that fits.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from twins.bases import overtaken
from twins.encoding import FOLDED_TYPES

CUSTOMERS_PER_PAGE = 500

PAGE = """
SELECT max(pseudonym::text)::uuid FROM (
    SELECT DISTINCT pseudonym FROM twins_twinsnapshot
    WHERE pseudonym > coalesce(%s::uuid, '00000000-0000-0000-0000-000000000000')
    ORDER BY pseudonym LIMIT %s
) AS page
"""
OLD = "coalesce(s.clock_at <= t.clock_at - %(budget)s, true)"
THIN = f"""
WITH ranked AS (
    SELECT id, pseudonym, model_version_id, taken_at,
        row_number() OVER (PARTITION BY pseudonym, model_version_id,
            date_trunc('day', taken_at, 'UTC') ORDER BY stream_version DESC) AS of_day,
        row_number() OVER (PARTITION BY pseudonym, model_version_id,
            date_trunc('month', taken_at, 'UTC') ORDER BY stream_version DESC) AS of_month
    FROM twins_twinsnapshot
    WHERE pseudonym > coalesce(%(after)s::uuid, '00000000-0000-0000-0000-000000000000')
        AND pseudonym <= %(last)s
), spare AS (
    SELECT id, pseudonym, model_version_id FROM ranked
    WHERE taken_at < %(all_since)s
        AND CASE WHEN taken_at >= %(daily_since)s THEN of_day ELSE of_month END > 1
), bases AS (
    SELECT base.id
    FROM (SELECT DISTINCT pseudonym, model_version_id FROM spare) AS own
    JOIN twins_twin AS t USING (pseudonym, model_version_id)
    CROSS JOIN LATERAL (
        SELECT s.id FROM twins_twinsnapshot AS s
        WHERE s.pseudonym = own.pseudonym AND s.model_version_id = own.model_version_id
            AND NOT {overtaken("t.stream_version")}
        ORDER BY {OLD} DESC, CASE WHEN {OLD} THEN s.stream_version END DESC, s.stream_version
        LIMIT 1
    ) AS base
)
DELETE FROM twins_twinsnapshot
WHERE id IN (SELECT id FROM spare) AND id NOT IN (SELECT id FROM bases)
"""  # noqa: S608 - constants


def thin_snapshots(*, at: datetime) -> int:
    """Snapshots that are due to go have gone; returns how many. Run again it finds none."""
    gone, after = 0, None
    while (last := _end_of_page(after)) is not None:
        gone += _thin_page(after, last, at)
        after = last
    return gone


def _end_of_page(after: UUID | None) -> UUID | None:
    with connection.cursor() as cursor:
        cursor.execute(PAGE, [after, CUSTOMERS_PER_PAGE])
        found: UUID | None = cursor.fetchone()[0]
        return found


@transaction.atomic
def _thin_page(after: UUID | None, last: UUID, at: datetime) -> int:
    parameters: dict[str, Any] = {
        "after": after,
        "last": last,
        "all_since": at - timedelta(days=settings.DTOC_SNAPSHOT_DAYS_ALL),
        "daily_since": at - timedelta(days=settings.DTOC_SNAPSHOT_DAYS_DAILY),
        "budget": timedelta(days=settings.DTOC_LATE_EVENT_BUDGET_DAYS),
        "types": FOLDED_TYPES,
    }
    with connection.cursor() as cursor:
        # The trigger lets nothing but this transaction and an erasure delete snapshots.
        cursor.execute("SELECT set_config('dtoc.thinning_snapshots', 'on', true)")
        cursor.execute(THIN, parameters)
        gone = int(cursor.rowcount)
        cursor.execute("SELECT set_config('dtoc.thinning_snapshots', '', true)")
    return gone
