"""A file of purchase lines, read through a mapping, for the evaluation protocols."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from events.files import open_rows
from events.mapping import Field, HoursSince, Mapping, as_field, named_mapping
from ml.protocols.data import Lines

PURCHASE = "item_purchased"
ROWS_AT_ONCE = 100_000


def read_lines(
    path: Path, mapping_name: str, on_part: Callable[[float], None] = lambda done: None
) -> Lines:
    """The purchase lines of a file; ``on_part`` hears which share of it is read.

    Raises:
        UnknownMapping, FileMissing, FileUnsupported, FileDamaged, ColumnsMissing: it is not so.
    """
    mapping = named_mapping(mapping_name)
    file = open_rows(path, mapping.columns())
    parts = []
    for chunk in file.chunks(ROWS_AT_ONCE):
        parts.append(_columns(chunk.table, mapping))
        on_part(chunk.done)
    if not parts:
        parts = [
            _columns(pa.table({name: pa.array([], pa.string()) for name in file.columns}), mapping)
        ]
    whole = pd.concat(parts, ignore_index=True)
    return Lines.of(**{name: whole[name] for name in whole.columns})


def _columns(table: pa.Table, mapping: Mapping) -> pd.DataFrame:
    """The columns that ``Lines.of`` takes, of the rows that are purchases."""
    frame = table.to_pandas()
    fields = {name: as_field(given) for name, given in mapping.data[PURCHASE].items()}
    columns: dict[str, Any] = {
        "customer": _text(frame[mapping.customer.column]),
        "at_ms": _moments(frame, mapping),
        "order": _text(_values(frame, fields["order_id"], mapping)),
        "item": _text(_values(frame, fields["sku"], mapping)),
        "quantity": pd.to_numeric(_values(frame, fields["quantity"], mapping), errors="coerce"),
        "unit_price": pd.to_numeric(_values(frame, fields["unit_price"], mapping), errors="coerce"),
        "country": _text(_values(frame, fields["country"], mapping)).fillna(""),
    }
    return pd.DataFrame(columns)[_purchases(frame, mapping)]


def _values(frame: pd.DataFrame, field: Field, mapping: Mapping) -> pd.Series:
    if field.event_id or field.rank:
        values = pd.Series(np.arange(len(frame)), index=frame.index)
    elif not field.names:
        values = pd.Series([field.constant] * len(frame), index=frame.index, dtype=object)
    else:
        values = frame[field.names[0]]
        for name in field.names[1:]:
            values = values.where(values.notna(), frame[name])
    if field.table is None:
        return values
    return _text(values).map(mapping.tables[field.table])


def _purchases(frame: pd.DataFrame, mapping: Mapping) -> pd.Series:
    rule = mapping.type
    if rule.column is None:
        return pd.Series(rule.constant == PURCHASE, index=frame.index)
    named = frame[rule.column]
    return (named if rule.table is None else named.map(mapping.tables[rule.table])) == PURCHASE


def _moments(frame: pd.DataFrame, mapping: Mapping) -> pd.Series:
    rule = mapping.occurred_at
    if isinstance(rule, HoursSince):
        hours = pd.to_numeric(frame[rule.column], errors="coerce")
        return rule.start.timestamp() * 1000 + hours * 3_600_000
    moments = pd.to_datetime(frame[rule], errors="coerce", format="ISO8601")
    if moments.dt.tz is None:
        moments = moments.dt.tz_localize(
            mapping.timezone, ambiguous="NaT", nonexistent="shift_forward"
        )
    naive = moments.dt.tz_convert("UTC").dt.tz_localize(None)
    return (naive - pd.Timestamp(0)) / pd.Timedelta(milliseconds=1)


def _text(values: pd.Series) -> pd.Series:
    """Whole numbers that a float column holds are written without ``.0``; blanks are missing."""
    if pd.api.types.is_float_dtype(values):
        values = values.astype("Int64")
    text = values.astype("string").str.strip()
    return text.mask(text == "")
