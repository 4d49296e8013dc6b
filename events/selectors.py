"""Reading the store: streams for the twins, the feed for consumers, columns for training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from django.db import connection
from pyarrow import csv

from events.catalogue import CustomEvent, EventData
from events.feed import EVENT_COLUMNS, feed_event
from events.feed import FeedEvent as FeedEvent
from events.feed import FeedPage as FeedPage
from events.feed import FeedPosition as FeedPosition
from events.feed import current_epoch as current_epoch
from events.feed import feed as feed
from events.feed import feed_gap_age_seconds as feed_gap_age_seconds
from events.feed import feed_is_current as feed_is_current
from events.feed import feed_page as feed_page
from events.feed import last_position as last_position
from events.feed import standing_position as standing_position
from events.models import Event, Intake, Stream
from events.upcasters import decode

Columns = dict[str, npt.NDArray[Any]]

MILLISECONDS = "(extract(epoch FROM occurred_at) * 1000)::bigint"
FLAGS = "metadata @> '{\"technical\": true}', metadata @> '{\"outlier\": true}'"


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """One event as a fold reads it: typed data of the newest schema version.

    Its id stays the text that it came as: no fold looks at it.
    """

    stream: UUID
    version: int
    event_id: str
    type: str
    schema_version: int
    occurred_at_ms: int
    data: EventData | CustomEvent
    technical: bool
    outlier: bool


@dataclass(frozen=True, slots=True)
class StreamHead:
    """How far a stream has come, and how far its twin."""

    stream: UUID
    version: int
    advanced_version: int


AFTER = f"""
SELECT seen.place, e.version, event_id::text, type, schema_version, {MILLISECONDS}, data::text,
    {FLAGS}
FROM unnest(%s::uuid[], %s::int[]) WITH ORDINALITY AS seen(stream, version, place)
JOIN events_event AS e USING (stream)
WHERE e.version > seen.version
ORDER BY seen.place, e.version
"""  # noqa: S608 - constants of this module


BETWEEN = f"""
SELECT version, event_id::text, type, schema_version, {MILLISECONDS}, data::text, {FLAGS}
FROM events_event WHERE stream = %s AND version > %s AND version <= %s
ORDER BY version
"""  # noqa: S608 - constants of this module


def events_after(after: Mapping[UUID, int]) -> list[StoredEvent]:
    """Each stream's events after the version given for it, by stream and version."""
    if not after:
        return []
    streams = sorted(after)
    with connection.cursor() as cursor:
        cursor.execute(AFTER, [streams, [after[stream] for stream in streams]])
        return [_stored(streams[place - 1], *row) for place, *row in cursor]


def events_between(stream: UUID, *, after: int, until: int) -> list[StoredEvent]:
    """One stream's events of the versions above ``after`` up to ``until``, by version."""
    with connection.cursor() as cursor:
        cursor.execute(BETWEEN, [stream, after, until])
        return [_stored(stream, *row) for row in cursor]


def unseen_events(stream: UUID, columns: Sequence[Sequence[Any]]) -> list[StoredEvent]:
    """One stream's events from what the database function ``events_unseen`` answered."""
    return [_stored(stream, *row) for row in zip(*columns, strict=True)]


def _stored(
    stream: UUID,
    version: int,
    event_id: str,
    type_name: str,
    schema_version: int,
    occurred_at_ms: int,
    data: str,
    technical: bool,
    outlier: bool,
) -> StoredEvent:
    return StoredEvent(
        stream,
        version,
        event_id,
        type_name,
        schema_version,
        occurred_at_ms,
        decode(type_name, schema_version, data),
        technical,
        outlier,
    )


def streams(after: UUID | None, limit: int) -> list[StreamHead]:
    """At most ``limit`` streams in the order of their ids, after the one given."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT stream, version, advanced_version FROM events_stream"
            " WHERE stream > coalesce(%s::uuid, '00000000-0000-0000-0000-000000000000')"
            " ORDER BY stream LIMIT %s",
            [after, limit],
        )
        return [StreamHead(*row) for row in cursor]


def stream_versions(pseudonyms: list[UUID]) -> dict[UUID, int]:
    """The last version of each of these streams; streams without events are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT stream, version FROM events_stream WHERE stream = ANY(%s::uuid[])",
            [pseudonyms],
        )
        return dict(cursor.fetchall())


def longest_streams(limit: int) -> list[UUID]:
    """The streams with the most events, the longest first."""
    rows = Stream.objects.order_by("-version", "stream").values_list("stream", flat=True)
    return list(rows[:limit])


def sources() -> set[str]:
    """Where accepted events have come from."""
    return {source for source, outcome, _ in intake_counts() if outcome == "accepted"}


def lagging_total() -> int:
    """How many events the twins have not folded yet."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(version - advanced_version), 0) FROM events_stream"
            " WHERE version > advanced_version"
        )
        return int(cursor.fetchone()[0])


def stream_events(stream: UUID, *, after: int, limit: int) -> list[FeedEvent]:
    """At most ``limit`` events of one stream after a version, in the order of versions."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {EVENT_COLUMNS} FROM events_event"  # noqa: S608 - a constant
            " WHERE stream = %s AND version > %s ORDER BY version LIMIT %s",
            [stream, after, limit],
        )
        return [feed_event(row) for row in cursor]


def event_by_id(stream: UUID, event_id: UUID) -> FeedEvent | None:
    """The stored event, or None."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {EVENT_COLUMNS} FROM events_event"  # noqa: S608 - a constant
            " WHERE stream = %s AND event_id = %s",
            [stream, event_id],
        )
        row = cursor.fetchone()
        return feed_event(row) if row else None


def intake_counts() -> dict[tuple[str, str, str], int]:
    """How many events ended how, by (source, outcome, reason); ``received`` is their sum."""
    counts: dict[tuple[str, str, str], int] = {}
    for source, outcome, reason, count in Intake.objects.values_list(
        "source", "outcome", "reason", "count"
    ):
        key = (source, outcome, reason)
        counts[key] = counts.get(key, 0) + count
    return counts


COLUMNS: dict[str, pa.DataType] = {
    "stream": pa.string(),
    "version": pa.int64(),
    "type": pa.string(),
    "occurred_at_ms": pa.int64(),
    "sku": pa.string(),
    "order_id": pa.string(),
    "quantity": pa.float64(),
    "unit_price": pa.float64(),
    "country": pa.string(),
    "offer_depth": pa.float64(),
}
COPY = f"""
COPY (
    SELECT stream, version, type, {MILLISECONDS}, coalesce(data->>'sku', ''),
        coalesce(data->>'order_id', ''), coalesce(data->>'quantity', '0'),
        coalesce(data->>'unit_price', '0'), coalesce(data->>'country', ''),
        coalesce(data->>'depth', '0')
    FROM events_event
    WHERE occurred_at < coalesce(%s, 'infinity'::timestamptz)
        AND NOT metadata @> '{{"technical": true}}' AND NOT metadata @> '{{"outlier": true}}'
        AND (%s::text[] IS NULL OR type = ANY(%s::text[]))
    ORDER BY stream, occurred_at, version
) TO STDOUT (FORMAT csv)
"""  # noqa: S608 - constants of this module


def all_events_columns(until: datetime | None = None, types: list[str] | None = None) -> Columns:
    """Events before ``until`` as columns, in folding order (stream, occurred_at, version).

    Technical and outlier lines are left out. ``pseudonyms`` has one entry for each customer, every
    other column one for each event; ``customer`` points into ``pseudonyms`` and never decreases.
    Amounts come as float64, texts that an event does not have as "", numbers as 0.
    """
    stream = BytesIO()
    with connection.cursor() as cursor:
        statement = cursor.mogrify(COPY, [until, types, types]).decode()
        cursor.copy_expert(statement, stream)
    table = _table(stream.getvalue())
    grouped = table.column("stream").combine_chunks().dictionary_encode()
    columns: Columns = {name: table.column(name).to_numpy() for name in COLUMNS if name != "stream"}
    columns["customer"] = grouped.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    columns["pseudonyms"] = np.array(
        [UUID(text) for text in grouped.dictionary.to_pylist()], object
    )
    return columns


def treated_windows(until: datetime | None = None) -> list[tuple[UUID, int, int]]:
    """Who was made an offer, not held out, and its window [start, end) in epoch milliseconds."""
    offers = Event.objects.filter(type="offer_assigned", data__arm="treatment")
    if until is not None:
        offers = offers.filter(occurred_at__lt=until)
    rows = offers.values_list("stream", "data__valid_from", "data__valid_until")
    return [(stream, _epoch_ms(start), _epoch_ms(end)) for stream, start, end in rows]


def _epoch_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _table(text: bytes) -> pa.Table:
    if not text:  # the reader refuses an empty file
        return pa.table({name: pa.array([], kind) for name, kind in COLUMNS.items()})
    return csv.read_csv(
        BytesIO(text),
        read_options=csv.ReadOptions(column_names=list(COLUMNS), use_threads=False),
        convert_options=csv.ConvertOptions(column_types=COLUMNS, strings_can_be_null=False),
    )
