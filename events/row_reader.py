"""From rows of a file to items of the intake, as a mapping says."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pandas as pd
import pyarrow as pa

from common.ids import derived_id
from events.cleaning import Doubtful, Envelope, IdentityReference
from events.mapping import Field, HoursSince, Mapping, as_field
from events.services.intake import Item

WHOLE_FLOAT = re.compile(r"(-?\d+)\.0+")
NEW_PART = timedelta(days=1)
UNKNOWN_CODE = "?"  # no field of codes accepts it
Texts = dict[str, list[str | None]]
Moments = list[datetime | None]


class RowReader:
    """Turns chunks of one file into items. Ranks go on from chunk to chunk, so order matters."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self._ranks = Ranks(restarts=mapping.event_id.restarts) if mapping.event_id.rank else None
        self._types = {
            name: {field: as_field(given) for field, given in fields.items()}
            for name, fields in mapping.data.items()
        }

    def items(self, table: pa.Table) -> list[Item]:
        """One item for each row of ``table``, in its order."""
        texts: Texts = {name: _texts(table.column(name)) for name in self.mapping.columns()}
        moments = self._moments(table)
        keys = self._keys(texts)
        ranks = self._ranks.of(keys, moments) if self._ranks else None
        ids = self._ids(keys, ranks)
        types = self._event_types(texts, len(keys))
        data = _Columns(self.mapping, texts, moments, ranks, ids).data(types, self._types)
        customers = texts[self.mapping.customer.column]
        rows = zip(customers, types, moments, data, ids, strict=True)
        return [self._item(*row) for row in rows]

    def skip(self, table: pa.Table) -> None:
        """The rows were read before: what follows is ranked as if they had been read now."""
        if self._ranks is not None:
            texts = {name: _texts(table.column(name)) for name in self.mapping.event_id.key}
            moments = self._moments(table) if self._ranks.restarts else []
            self._ranks.of(self._keys(texts), moments)

    def _keys(self, texts: Texts) -> list[str]:
        return _joined([texts[name] for name in self.mapping.event_id.key])

    def _moments(self, table: pa.Table) -> Moments:
        rule = self.mapping.occurred_at
        if isinstance(rule, HoursSince):
            return [_hours_after(rule.start, text) for text in _texts(table.column(rule.column))]
        return _moments(table.column(rule), self.mapping.timezone)

    def _item(
        self,
        customer: str | None,
        type_name: str | None,
        moment: datetime | None,
        data: dict[str, Any],
        event_id: UUID,
    ) -> Item:
        who = IdentityReference(self.mapping.customer.kind, customer) if customer else None
        facts: dict[str, Any] = {"customer": who, "type": type_name or "", "event_id": event_id}
        if moment is None:
            problem = f"the time in column {self.mapping.time_column} cannot be read"
            body = {**facts, "data": data}
            doubt = Doubtful("schema_error", problem)
            return Item(doubt, lambda: msgspec.json.encode(body), who, event_id)
        envelope = Envelope(occurred_at=moment, data=data, **facts)  # type: ignore[arg-type]
        return Item(envelope, lambda: msgspec.json.encode(envelope))

    def _ids(self, keys: Sequence[str], ranks: Sequence[int] | None) -> list[UUID]:
        source = self.mapping.source
        if ranks is None:
            return [derived_id(source, key) for key in keys]
        return [derived_id(source, f"{k}:{rank}") for k, rank in zip(keys, ranks, strict=True)]

    def _event_types(self, texts: Texts, rows: int) -> list[str | None]:
        rule = self.mapping.type
        if rule.column is None:
            return [rule.constant] * rows
        if rule.table is None:
            return texts[rule.column]
        # A name that the table does not know stays as it is: no type of the catalogue.
        table: dict[str, Any] = self.mapping.tables[rule.table]
        return [None if text is None else table.get(text, text) for text in texts[rule.column]]


class Ranks:
    """The place of each row among the rows of its key, from 1, over all chunks."""

    def __init__(self, *, restarts: bool) -> None:
        self.restarts = restarts
        self._seen: dict[str, int] = {}
        self._latest: datetime | None = None

    def of(self, keys: Sequence[str], moments: Moments) -> list[int]:
        """The ranks of the next rows."""
        ranks: list[int] = []
        begin = 0
        for end in [*self._restarts_in(moments), len(keys)]:
            ranks += self._ranked(keys[begin:end])
            if end < len(keys):
                self._seen.clear()
            begin = end
        return ranks

    def _ranked(self, keys: Sequence[str]) -> list[int]:
        series = pd.Series(keys, dtype=object)
        within = series.groupby(series, sort=False).cumcount()
        before = series.map(self._seen).fillna(0).astype("int64")
        ranks: list[int] = (before + within + 1).tolist()
        self._seen.update(zip(keys, ranks, strict=True))  # the last of each key stays
        return ranks

    def _restarts_in(self, moments: Moments) -> list[int]:
        if not self.restarts:
            return []
        found = []
        for place, moment in enumerate(moments):
            if moment is None:
                continue
            if self._latest is not None and moment < self._latest - NEW_PART:
                found.append(place)
                self._latest = moment
            elif self._latest is None or moment > self._latest:
                self._latest = moment
        return found


class _Columns:
    """The data of some rows, column by column."""

    def __init__(
        self,
        mapping: Mapping,
        texts: Texts,
        moments: Moments,
        ranks: Sequence[int] | None,
        ids: Sequence[UUID],
    ) -> None:
        self.mapping, self.texts, self.moments = mapping, texts, moments
        self.ranks, self.ids = ranks, ids

    def data(
        self, types: Sequence[str | None], fields_of: dict[str, dict[str, Field]]
    ) -> list[dict[str, Any]]:
        """For each row the fields that its event type has and the row fills."""
        rows: list[dict[str, Any]] = [{} for _ in types]
        for type_name in set(types) & fields_of.keys():
            assert type_name is not None  # noqa: S101 - None is no key of fields_of
            where = [index for index, name in enumerate(types) if name == type_name]
            names = list(fields_of[type_name])
            columns = [self._column(field) for field in fields_of[type_name].values()]
            for index in where:
                values = [column[index] for column in columns]
                rows[index] = {
                    name: value
                    for name, value in zip(names, values, strict=True)
                    if value is not None
                }
        return rows

    def _column(self, field: Field) -> Sequence[Any]:
        column = self._source(field)
        if field.table is not None:
            column = [self._translated(field, value) for value in column]
        if not field.hours_after:
            return column
        pairs = zip(self.moments, column, strict=True)
        return [_dated(moment, hours) for moment, hours in pairs]

    def _source(self, field: Field) -> Sequence[Any]:
        if field.rank:
            return self.ranks if self.ranks is not None else [1] * len(self.ids)
        if field.event_id:
            return [str(event_id) for event_id in self.ids]
        if not field.names:
            return [field.constant] * len(self.ids)
        if len(field.names) == 1:
            return self.texts[field.names[0]]
        several = zip(*(self.texts[name] for name in field.names), strict=True)
        return [next((text for text in row if text is not None), None) for row in several]

    def _translated(self, field: Field, value: Any) -> Any:
        if value is None:
            return None
        entry = self.mapping.tables[str(field.table)].get(str(value), UNKNOWN_CODE)
        if isinstance(entry, dict):
            return entry[str(field.of)]
        return entry


def _dated(moment: datetime | None, hours: Any) -> str | None:
    if moment is None or hours is None:
        return None
    later = _hours_after(moment, str(hours))
    return UNKNOWN_CODE if later is None else later.isoformat()


def _hours_after(start: datetime, text: str | None) -> datetime | None:
    try:
        moment = None if text is None else start + timedelta(hours=float(text))
        return None if moment is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _texts(column: pa.ChunkedArray) -> list[str | None]:
    """Any column as texts; a whole number that a float column holds is written without ``.0``."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz))
        return [None if moment is None else moment.isoformat() for moment in column.to_pylist()]
    values = column.to_pylist()
    if pa.types.is_floating(column.type):
        return [None if v is None or v != v else _number(v) for v in values]
    return [None if value is None else str(value).strip() or None for value in values]


def _number(value: float) -> str:
    text = repr(value)
    whole = WHOLE_FLOAT.fullmatch(text)
    return whole[1] if whole else text


def _joined(columns: Sequence[Sequence[str | None]]) -> list[str]:
    if len(columns) == 1:
        return [text or "" for text in columns[0]]
    return [":".join(text or "" for text in row) for row in zip(*columns, strict=True)]


def _moments(column: pa.ChunkedArray, zone: str) -> Moments:
    """UTC times to the millisecond; None where a value cannot be read as a time.

    Times without an offset are of ``zone``.
    """
    series = column.to_pandas()
    try:
        moments = _in_utc(series, zone)
    except (ValueError, TypeError, OverflowError):
        # Some have an offset and some have none, say: one by one, the odd ones stand out.
        return [_moment(value, zone) for value in series]
    # Rows of one order share their time: one object for each time, not for each row.
    codes, distinct = pd.factorize(moments.dt.floor("ms"))
    times = [moment.to_pydatetime().replace(tzinfo=UTC) for moment in distinct]
    return [times[code] if code >= 0 else None for code in codes]


def _in_utc(series: Any, zone: str) -> Any:
    if zone == "UTC":
        return pd.to_datetime(series, errors="coerce", format="ISO8601", utc=True)
    local = pd.to_datetime(series, errors="coerce", format="ISO8601")
    if local.dt.tz is None:
        local = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward")
    return local.dt.tz_convert("UTC")


def _moment(value: Any, zone: str) -> datetime | None:
    try:
        moments = _in_utc(pd.Series([value]), zone)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None
    moment = moments.dt.floor("ms")[0]
    return None if pd.isna(moment) else moment.to_pydatetime().replace(tzinfo=UTC)
