"""From which snapshot a stream may be folded on.

A twin at version v is the fold of the first v events of its stream by (time, version). A snapshot
at version s < v is what that fold holds after its first events, and can be folded on, **if no event
of a version above s, up to v, that changes twins happened before the snapshot's clock**:

- If none did, each event of a version above s comes after all that the snapshot has seen: at a
  later time, or at the clock itself with a higher version. So the first s events come first in the
  order of all v as well, in the same order, and the snapshot is the fold of that beginning.
- If one did, it belongs between events that the snapshot has folded already. (Only a registration
  behind a first purchase changes nothing there. It is rare, and to refuse such a snapshot costs no
  more than a longer fold.)

So whether a snapshot fits follows from the events alone. Nothing has to be marked when a late event
comes: from then on the snapshots behind it fit no version that holds the late event, and still fit
those before it, as what was known then. The same question decides whether a live twin may be
advanced (``folding.late_events``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from twins.encoding import FOLDED_TYPES
from twins.folding import Head
from twins.heads import decode_memory

# An event that changes a twin, as `encoding.is_folded` says it.
CHANGES_TWINS = """e.type = ANY(%(types)s)
    AND NOT e.metadata @> '{"technical": true}' AND NOT e.metadata @> '{"outlier": true}'"""


def overtaken(until: str) -> str:
    """SQL: an event of a version above that of snapshot ``s``, up to ``until``, belongs before its
    clock. Needs the parameter ``types``.
    """
    return f"""EXISTS (
        SELECT FROM events_event AS e
        WHERE e.stream = s.pseudonym AND e.version > s.stream_version
            AND e.version <= {until} AND e.occurred_at < s.clock_at AND {CHANGES_TWINS}
    )"""


# ``before`` spares the look at snapshots that an event which is known already has overtaken.
NEWEST = f"""
SELECT p.stream, s.stream_version, s.h, s.c, s.items, s.memory::text
FROM unnest(%(streams)s::uuid[], %(until)s::int[], %(before)s::timestamptz[])
    AS p(stream, until, before)
CROSS JOIN LATERAL (
    SELECT * FROM twins_twinsnapshot AS s
    WHERE s.pseudonym = p.stream AND s.model_version_id = %(model)s
        AND s.stream_version <= p.until
        AND (s.clock_at IS NULL OR p.before IS NULL OR s.clock_at <= p.before)
        AND NOT {overtaken("p.until")}
    ORDER BY s.stream_version DESC LIMIT 1
) AS s
"""  # noqa: S608 - constants of this module


def newest_bases(
    model_id: UUID,
    until: Mapping[UUID, int],
    before: Mapping[UUID, datetime | None] | None = None,
) -> dict[UUID, Head]:
    """The newest snapshot of each stream from which the version given for it may be folded.

    Streams without one are left out. ``before`` is an event's time that the snapshot may not have
    passed, where one is known.
    """
    if not until:
        return {}
    known = before or {}
    parameters: dict[str, Any] = {
        "streams": list(until),
        "until": list(until.values()),
        "before": [known.get(stream) for stream in until],
        "model": model_id,
        "types": FOLDED_TYPES,
    }
    with connection.cursor() as cursor:
        cursor.execute(NEWEST, parameters)
        return {
            stream: Head(version, version, bytes(h), bytes(c), bytes(items), decode_memory(memory))
            for stream, version, h, c, items, memory in cursor
        }
