"""How a replay ends: its row moves in the transaction of the append, or the append is undone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from psycopg2.extras import execute_values

# `attempts` counts every way in which a replay may end.
FINISH = """
UPDATE events_quarantinedevent AS q SET
    status = v.status, attempts = attempts + 1, last_problem = v.problem,
    stream = CASE WHEN v.status <> 'discarded' THEN coalesce(v.stream::uuid, q.stream) END,
    subject_digest = CASE WHEN v.status = 'waiting' THEN subject_digest END,
    body = CASE WHEN v.status = 'waiting' THEN body ELSE '' END,
    stored_event_id = v.event_id::uuid, stored_version = v.version::integer,
    resolved_at = CASE WHEN v.status = 'waiting' THEN NULL ELSE v.at END,
    resolved_by = CASE WHEN v.status = 'waiting' THEN '' ELSE v.by END
FROM (VALUES %s) AS v (id, digest, status, problem, stream, event_id, version, at, by)
WHERE q.id = v.id AND q.status = 'waiting'
    AND v.digest = CASE WHEN mended_digest = '' THEN body_digest ELSE mended_digest END
RETURNING q.id
"""


@dataclass(frozen=True, slots=True)
class FromQuarantine:
    """Where an item of a replay comes from: the row, the digest of the body read, and who asks."""

    row_id: int
    digest: bytes
    by: str


@dataclass(frozen=True, slots=True)
class Ending:
    """How one item of a replay ended."""

    origin: FromQuarantine
    status: str  # of the row: replayed, waiting, or discarded where the person was erased
    problem: str = ""
    stream: UUID | None = None
    event_id: UUID | None = None
    version: int | None = None


class ReplayOvertaken(Exception):
    """A row was resolved or changed since it was read; never leaves ``events.services``."""


def finish_replays(*, endings: Sequence[Ending], at: datetime) -> None:
    """Every row says how its replay ended.

    Raises:
        ReplayOvertaken: one of them is no longer as it was read: undo the append, and read again.
    """
    if not endings:
        return
    rows = [
        (
            e.origin.row_id, e.origin.digest, e.status, e.problem[:350], e.stream, e.event_id,
            e.version, at, e.origin.by,
        )
        for e in sorted(endings, key=lambda e: e.origin.row_id)
    ]  # fmt: skip
    with connection.cursor() as cursor:
        done = execute_values(cursor.cursor, FINISH, rows, page_size=len(rows), fetch=True)
    if len(done) < len(rows):
        raise ReplayOvertaken
