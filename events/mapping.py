"""Mappings: small declarative files that say how rows of a file become events.

A mapping names columns, constants, tables of codes, the rule for the event type, the kind of
identity, the natural key that event ids are derived from, and the zone of times without one.
"""

import re
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import pandas as pd
import pyarrow as pa

from common.ids import derived_id
from events.catalogue import CATALOGUE
from events.cleaning import Doubtful, Envelope, IdentityReference
from events.errors import MappingInvalid, UnknownMapping
from events.services.intake import Item

FOLDER = Path(__file__).parent / "mappings"
WHOLE_FLOAT = re.compile(r"(-?\d+)\.0+")


class Field(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where a field of ``data`` comes from: a column, a constant, or the rank within the key."""

    column: str | None = None
    constant: str | int | None = None
    table: str | None = None
    rank: bool = False


class Rule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A value for the whole file, or a column."""

    constant: str | None = None
    column: str | None = None


class Customer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    kind: str
    column: str


class Key(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The natural key; with ``rank`` a row's place among the rows of the same key belongs to it."""

    key: list[str]
    rank: bool = False


class Mapping(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How rows become events."""

    description: str
    source: str
    occurred_at: str
    customer: Customer
    event_id: Key
    type: Rule
    data: dict[str, dict[str, str | Field]]
    timezone: str = "UTC"
    technical_skus: list[str] = []
    tables: dict[str, dict[str, str]] = {}

    def columns(self) -> list[str]:
        """The columns that a file must have, in a stable order."""
        named = [self.occurred_at, self.customer.column, self.type.column, *self.event_id.key]
        for fields in self.data.values():
            named += [_field(given).column for given in fields.values()]
        return list(dict.fromkeys(name for name in named if name is not None))


def mapping_names() -> list[str]:
    """The mappings that come with DToC."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_mapping(name: str) -> Mapping:
    """The mapping of that name, checked.

    Raises:
        UnknownMapping: there is none; the message lists those that there are.
        MappingInvalid: the file does not say what it should.
    """
    if name not in mapping_names():
        raise UnknownMapping(name=name, known=", ".join(mapping_names()))
    try:
        mapping = msgspec.convert(tomllib.loads((FOLDER / f"{name}.toml").read_text()), Mapping)
        _check(mapping)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError) as error:
        raise MappingInvalid(name=name, detail=str(error)) from error
    return mapping


def _check(mapping: Mapping) -> None:
    if (mapping.type.constant is None) == (mapping.type.column is None):
        raise ValueError("[type] needs either a constant or a column")
    if unknown := set(mapping.data) - set(CATALOGUE):
        raise ValueError(f"[data] names unknown event types: {', '.join(sorted(unknown))}")
    for fields in mapping.data.values():
        for given in fields.values():
            table = _field(given).table
            if table is not None and table not in mapping.tables:
                raise ValueError(f"there is no [tables.{table}]")
    try:
        ZoneInfo(mapping.timezone)
    except ZoneInfoNotFoundError as error:
        raise ValueError(f"there is no time zone {mapping.timezone}") from error


class RowReader:
    """Turns chunks of one file into items. Ranks go on from chunk to chunk, so order matters."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self._seen: dict[str, int] = {}
        self._types = {name: list(fields) for name, fields in mapping.data.items()}

    def items(self, table: pa.Table) -> list[Item]:
        """One item for each row of ``table``, in its order."""
        texts = {name: _texts(table.column(name)) for name in self.mapping.columns()}
        keys = _joined([texts[name] for name in self.mapping.event_id.key])
        ranks = self._ranks(keys) if self.mapping.event_id.rank else None
        ids = self._ids(keys, ranks)
        types = self._event_types(texts, len(keys))
        moments = _moments(table.column(self.mapping.occurred_at), self.mapping.timezone)
        customers = texts[self.mapping.customer.column]
        data = self._data(texts, types, ranks)
        rows = zip(customers, types, moments, data, ids, strict=True)
        return [self._item(*row) for row in rows]

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
            problem = f"the time in column {self.mapping.occurred_at} cannot be read"
            body = {**facts, "data": data}
            doubt = Doubtful("schema_error", problem)
            return Item(doubt, lambda: msgspec.json.encode(body), who, event_id)
        envelope = Envelope(occurred_at=moment, data=data, **facts)  # type: ignore[arg-type]
        return Item(envelope, lambda: msgspec.json.encode(envelope))

    def _ranks(self, keys: Sequence[str]) -> list[int]:
        series = pd.Series(keys, dtype=object)
        within = series.groupby(series, sort=False).cumcount()
        before = series.map(self._seen).fillna(0).astype("int64")
        ranks = (before + within + 1).tolist()
        self._seen.update(zip(keys, ranks, strict=True))  # the last of each key stays
        return ranks

    def _ids(self, keys: Sequence[str], ranks: Sequence[int] | None) -> list[UUID]:
        source = self.mapping.source
        if ranks is None:
            return [derived_id(source, key) for key in keys]
        return [derived_id(source, f"{k}:{rank}") for k, rank in zip(keys, ranks, strict=True)]

    def _event_types(self, texts: dict[str, list[str | None]], rows: int) -> list[str | None]:
        rule = self.mapping.type
        return [rule.constant] * rows if rule.column is None else texts[rule.column]

    def _data(
        self,
        texts: dict[str, list[str | None]],
        types: Sequence[str | None],
        ranks: Sequence[int] | None,
    ) -> list[dict[str, Any]]:
        """The data of each row, with the fields that its event type has and the row fills."""
        rows: list[dict[str, Any]] = [{} for _ in types]
        for type_name in set(types) & self._types.keys():
            assert type_name is not None  # noqa: S101 - None is no key of _types
            where = [index for index, name in enumerate(types) if name == type_name]
            names = self._types[type_name]
            columns = [self._column(type_name, name, texts, ranks, len(types)) for name in names]
            for index in where:
                values = [column[index] for column in columns]
                rows[index] = {
                    name: value
                    for name, value in zip(names, values, strict=True)
                    if value is not None
                }
        return rows

    def _column(
        self,
        type_name: str,
        name: str,
        texts: dict[str, list[str | None]],
        ranks: Sequence[int] | None,
        rows: int,
    ) -> Sequence[Any]:
        field = _field(self.mapping.data[type_name][name])
        if field.rank:
            return ranks if ranks is not None else [1] * rows
        if field.column is None:
            return [field.constant] * rows
        column = texts[field.column]
        if field.table is None:
            return column
        # A code that the table does not know becomes "?", which no field of codes accepts.
        codes = self.mapping.tables[field.table]
        return [None if text is None else codes.get(text, "?") for text in column]


def _field(given: str | Field) -> Field:
    return Field(column=given) if isinstance(given, str) else given


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


def _moments(column: pa.ChunkedArray, zone: str) -> list[datetime | None]:
    """UTC times to the millisecond; None where a value cannot be read as a time.

    Times without an offset are of ``zone``; where that is not UTC, no value may have an offset.
    """
    series = column.to_pandas()
    if zone == "UTC":
        moments = pd.to_datetime(series, errors="coerce", format="ISO8601", utc=True)
    else:
        local = pd.to_datetime(series, errors="coerce", format="ISO8601")
        if local.dt.tz is None:
            local = local.dt.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward")
        moments = local.dt.tz_convert("UTC")
    # Rows of one order share their time: one object for each time, not for each row.
    codes, distinct = pd.factorize(moments.dt.floor("ms"))
    times = [moment.to_pydatetime().replace(tzinfo=UTC) for moment in distinct]
    return [times[code] if code >= 0 else None for code in codes]
