"""Dotted columns: ``properties.order_id`` is a field of the JSON in ``properties``."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pyarrow as pa

from events.files.chunks import Broken, Piece

WHOLE = "*"  # the whole row as JSON
# Numbers stay as they are written: no digit goes through a float.
DECODER = msgspec.json.Decoder(float_hook=str)
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def is_there(column: str, header: list[str]) -> bool:
    """The column stands in the header, or its first step does and may hold JSON."""
    return column == WHOLE or column in header or column.split(".", 1)[0] in header


def plain_columns(columns: list[str], header: list[str]) -> list[str]:
    """The columns to read from the file, so that all of ``columns`` can be made of them."""
    names = (name if name in header else name.split(".", 1)[0] for name in columns)
    return list(dict.fromkeys(names))


def unfolded(piece: Piece, columns: list[str]) -> Piece:
    """``piece`` with exactly ``columns``; the dotted ones come out of the JSON in their first step.

    A row whose JSON cannot be read is spoilt.
    """
    if piece.table.column_names == columns:
        return piece
    dotted = [name for name in columns if name not in piece.table.column_names]
    made: dict[str, Any] = {
        name: piece.table.column(name) for name in columns if name not in dotted
    }
    spoilt: dict[int, Broken] = dict(piece.spoilt)
    for base in dict.fromkeys(name.split(".", 1)[0] for name in dotted):
        values = list(_decoded(piece.table, base, spoilt))
        for name in dotted:
            if name.split(".", 1)[0] == base:
                read = field_reader(name.split(".", 1)[1])
                made[name] = pa.array([read(value) for value in values], pa.string())
    table = pa.table({name: made[name] for name in columns})
    return Piece(table, piece.done, piece.broken, sorted(spoilt.items(), key=lambda item: item[0]))


def _decoded(table: pa.Table, base: str, spoilt: dict[int, Broken]) -> Iterator[Any]:
    for place, text in enumerate(table.column(base).to_pylist()):
        try:
            yield None if text is None else DECODER.decode(text)
        except UNREADABLE:
            row = {name: table.column(name)[place].as_py() for name in table.column_names}
            told = msgspec.json.encode(row).decode()
            spoilt[place] = Broken(told, f"the JSON in column {base} cannot be read")
            yield None


def field_reader(dotted: str) -> Callable[[Any], str | None]:
    """Reads ``a.b`` out of decoded JSON, as text; None where it is not there."""
    steps = dotted.split(".")

    def read(value: Any) -> str | None:
        for step in steps:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return text_of(value)

    return read


def text_of(value: Any) -> str | None:
    """A decoded value as the text that a CSV file would hold; objects and arrays as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | dict | list):
        return msgspec.json.encode(value).decode()
    return str(value)
