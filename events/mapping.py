"""Mappings: small declarative files that say how rows of a file become events.

A mapping names columns, constants, tables of codes, the rule for the event type, the kind of
identity, the natural key that event ids are derived from, and the zone of times without one.
"""

import hashlib
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from events.catalogue import CATALOGUE
from events.errors import MappingInvalid, UnknownMapping
from events.files.nested import WHOLE

FOLDER = Path(__file__).parent / "mappings"
Cell = str | int | float


class Field(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Where a field of ``data`` comes from: one of the sources, then translated, then dated.

    A source is a column (or the first of several that is filled), a constant, the rank, or the
    row's own event id. ``table`` translates it, ``of`` names the entry where the table's rows have
    several. With ``hours_after`` the value is a number of hours after the event's time.
    """

    column: str | None = None
    columns: list[str] = []
    constant: Cell | None = None
    rank: bool = False
    event_id: bool = False
    table: str | None = None
    of: str | None = None
    hours_after: bool = False

    @property
    def names(self) -> list[str]:
        """The columns it is read from."""
        return self.columns if self.column is None else [self.column]


class Rule(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A value for the whole file, or a column, whose values a table may translate."""

    constant: str | None = None
    column: str | None = None
    table: str | None = None


class HoursSince(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A column that counts hours from a moment; ``start`` carries an offset."""

    column: str
    start: datetime


class Customer(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    kind: str
    column: str


class Key(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The natural key; with ``rank`` a row's place among the rows of the same key belongs to it.

    With ``restarts`` places are counted anew where the time goes back by more than a day: there
    another part of the file begins, which repeats rows of the part before.
    """

    key: list[str]
    rank: bool = False
    restarts: bool = False


class Mapping(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How rows become events."""

    description: str
    source: str
    occurred_at: str | HoursSince
    customer: Customer
    event_id: Key
    type: Rule
    data: dict[str, dict[str, str | Field]]
    timezone: str = "UTC"
    technical_skus: list[str] = []
    tables: dict[str, dict[str, str | dict[str, Cell]]] = {}
    kind: Literal["rows"] = "rows"
    name: str = ""  # given by whoever loads it

    @property
    def time_column(self) -> str:
        return self.occurred_at if isinstance(self.occurred_at, str) else self.occurred_at.column

    def columns(self) -> list[str]:
        """The columns that a file must have, in a stable order."""
        named = [self.time_column, self.customer.column, self.type.column, *self.event_id.key]
        for fields in self.data.values():
            for given in fields.values():
                named += as_field(given).names
        return list(dict.fromkeys(name for name in named if name is not None))

    def marks(self) -> list[str]:
        """The columns by which a file is known to be of this kind."""
        return self.columns()


class Messages(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """How lines of a collector's messages become events: as the collector itself would do it."""

    description: str
    source: str
    kind: Literal["segment"]
    user_id_kind: str = "user_id"
    currency: str = ""
    technical_skus: list[str] = []
    name: str = ""

    def columns(self) -> list[str]:
        """The whole message."""
        return [WHOLE]

    def marks(self) -> list[str]:
        """The names by which a file is known to be of this kind."""
        return [WHOLE, "type", "messageId"]


AnyMapping = Mapping | Messages


def as_field(given: str | Field) -> Field:
    """A bare name is a column."""
    return Field(column=given) if isinstance(given, str) else given


def mapping_names() -> list[str]:
    """The mappings that come with DToC."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_mapping(name: str) -> AnyMapping:
    """The mapping of that name, or in that file where the name is a path to a ``.toml``, checked.

    Raises:
        UnknownMapping: there is none; the message lists those that there are.
        MappingInvalid: the file does not say what it should.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    is_own = name.endswith(".toml")
    if not (path.is_file() if is_own else name in mapping_names()):
        raise UnknownMapping(name=name, known=", ".join(mapping_names()))
    try:
        return _mapping(tomllib.loads(path.read_text()), path.stem)
    except (ValueError, msgspec.ValidationError, OSError) as error:  # a TOML error is a ValueError
        file = name if is_own else f"events/mappings/{name}.toml"
        raise MappingInvalid(name=path.stem, detail=str(error), file=file) from error


def named_mapping(name: str) -> Mapping:
    """A mapping of rows that comes with DToC.

    Raises:
        UnknownMapping: there is none of that name, or it is none of rows.
    """
    mapping = load_mapping(name)
    if not isinstance(mapping, Mapping):
        raise UnknownMapping(name=name, known=", ".join(mapping_names()))
    return mapping


def mapping_sha256(mapping: AnyMapping) -> str:
    """A digest of all that the mapping says; equal for equal mappings, wherever they lie."""
    said = msgspec.to_builtins(msgspec.structs.replace(mapping, name=""))
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


def _mapping(said: dict[str, Any], name: str) -> AnyMapping:
    if said.get("kind") == "segment":
        return msgspec.convert({**said, "name": name}, Messages)
    mapping = msgspec.convert({**said, "name": name}, Mapping)
    _check(mapping)
    return mapping


def _check(mapping: Mapping) -> None:
    if (mapping.type.constant is None) == (mapping.type.column is None):
        raise ValueError("[type] needs either a constant or a column")
    if unknown := set(mapping.data) - set(CATALOGUE):
        raise ValueError(f"[data] names unknown event types: {', '.join(sorted(unknown))}")
    _check_table(mapping, mapping.type.table, None)
    for fields in mapping.data.values():
        for name, given in fields.items():
            _check_field(mapping, name, as_field(given))
    try:
        ZoneInfo(mapping.timezone)
    except ZoneInfoNotFoundError as error:
        raise ValueError(f"there is no time zone {mapping.timezone}") from error
    if not isinstance(mapping.occurred_at, str) and mapping.occurred_at.start.tzinfo is None:
        raise ValueError("occurred_at.start needs an offset")


def _check_field(mapping: Mapping, name: str, field: Field) -> None:
    sources = [bool(field.names), field.constant is not None, field.rank, field.event_id]
    if sum(sources) != 1:
        told = "one of column, columns, constant, rank and event_id"
        raise ValueError(f"{name} needs {told}")
    _check_table(mapping, field.table, field.of)


def _check_table(mapping: Mapping, table: str | None, of: str | None) -> None:
    if table is None:
        return
    if table not in mapping.tables:
        raise ValueError(f"there is no [tables.{table}]")
    for code, value in mapping.tables[table].items():
        if (of is None) == isinstance(value, dict) or (isinstance(value, dict) and of not in value):
            raise ValueError(f"[tables.{table}] does not say {of or 'one value'} for {code!r}")
