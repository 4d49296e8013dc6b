"""The three files of a rewards-app test: what customers did, who they are, what was offered.

Read as Parquet, as CSV of the same columns or as the lines of JSON that were published, by the end
of the name: ``.parquet``, ``.csv``, ``.json``, ``.jsonl``, the last three also with ``.gz``.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from campaigns.backtest.errors import (
    ColumnsMissing,
    FileNotReadable,
    UnknownCustomers,
    UnknownOffers,
    ValueNotUnderstood,
)
from ml.uplift.journal import CHANNELS, KINDS, TYPES, Customers, Journal, Offers

HOURS_PER_DAY = 24
FIRST_DAY = pd.Timestamp("2013-01-01")  # days of membership are counted from some day
AGE_MISSING = 118  # what the publisher writes for "not told"
EVENT_COLUMNS = ("person", "event", "time")
PROFILE_COLUMNS = ("id", "age", "gender", "income", "became_member_on")
OFFER_COLUMNS = ("id", "offer_type", "reward", "difficulty", "duration", "channels")
SHOWN = 3  # of many offending ids


def read_offers(path: Path) -> Offers:
    """Return the offers of a portfolio file, by id.

    Raises:
        FileNotReadable, ColumnsMissing, ValueNotUnderstood: the file is not of this form.
    """
    frame = _table(path, OFFER_COLUMNS).sort_values("id", kind="stable")
    kinds = [str(kind) for kind in frame["offer_type"]]
    unknown = sorted(set(kinds) - set(TYPES))
    if unknown:
        raise ValueNotUnderstood(
            path=path, column="offer_type", value=unknown[0], expected=" or ".join(TYPES)
        )
    channels = [set(_words(value)) for value in frame["channels"]]
    return Offers(
        ids=tuple(map(str, frame["id"])),
        type=np.array([TYPES.index(kind) for kind in kinds], dtype=np.int64),
        reward=_at_least_0(frame, "reward", path),
        difficulty=_at_least_0(frame, "difficulty", path),
        hours=_at_least_0(frame, "duration", path) * HOURS_PER_DAY,
        channels=np.array([[name in told for name in CHANNELS] for told in channels], np.float64),
    )


def read_customers(path: Path) -> Customers:
    """Return the customers of a profile file, by id; what they did not tell is nan.

    Raises:
        FileNotReadable, ColumnsMissing, ValueNotUnderstood: the file is not of this form.
    """
    frame = _table(path, PROFILE_COLUMNS).drop_duplicates("id").sort_values("id", kind="stable")
    age = _numbers(frame, "age", path)
    since = pd.to_datetime(
        frame["became_member_on"].astype("string"), format="%Y%m%d", errors="coerce"
    )
    if since.isna().any():
        bad = frame["became_member_on"][since.isna()].iloc[0]
        raise ValueNotUnderstood(
            path=path, column="became_member_on", value=bad, expected="a day like 20170212"
        )
    gender = frame["gender"].astype("string").fillna("")
    return Customers(
        ids=tuple(map(str, frame["id"])),
        age=np.where(age == AGE_MISSING, np.nan, age),
        income=_numbers(frame, "income", path),
        female=np.asarray(gender == "F", dtype=np.float64),
        male=np.asarray(gender == "M", dtype=np.float64),
        member_days=np.asarray((since - FIRST_DAY).dt.days, dtype=np.float64),
    )


def read_journal(path: Path, customers: Customers, offers: Offers) -> Journal:
    """Return the events of a transcript file, by hour, then customer.

    Raises:
        UnknownCustomers, UnknownOffers: an event names one that the other files do not have.
        FileNotReadable, ColumnsMissing, ValueNotUnderstood: the file is not of this form.
    """
    frame = _with_details(_table(path, EVENT_COLUMNS), path)
    frame = frame[frame["event"].isin(list(KINDS))]
    offer = _codes(frame["offer_id"], offers.ids)
    customer = _codes(frame["person"], customers.ids)
    bought = (frame["event"] == "transaction").to_numpy()
    _check_known(frame["person"], customer < 0, UnknownCustomers, path)
    _check_known(frame["offer_id"], (offer < 0) & ~bought, UnknownOffers, path)
    amount = np.zeros(len(frame))
    amount[bought] = _at_least_0(frame[bought], "amount", path)
    hour = _at_least_0(frame, "time", path).astype(np.int64)
    kind = np.array([KINDS[str(event)] for event in frame["event"]], dtype=np.int64)
    return Journal.of(customer=customer, hour=hour, kind=kind, offer=offer, amount=amount)


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the rows of a file that has these columns."""
    try:
        frame = _read(path)
    except (OSError, ValueError, UnicodeDecodeError) as problem:
        raise FileNotReadable(path=path, reason=str(problem).splitlines()[0]) from problem
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ColumnsMissing(path=path, missing=", ".join(missing), found=", ".join(frame.columns))
    if not len(frame):
        raise FileNotReadable(path=path, reason="it has no rows")
    return frame


def _read(path: Path) -> pd.DataFrame:
    ending = "".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:]).lower()
    if ending == ".parquet":
        return pd.read_parquet(path)
    if ending in (".csv", ".csv.gz"):
        return pd.read_csv(path, dtype={"became_member_on": "Int64"})
    if ending in (".json", ".jsonl", ".json.gz", ".jsonl.gz"):
        return pd.read_json(path, lines=True, dtype=False, precise_float=True)
    raise ValueError(f"the name ends in {ending or 'nothing'}, expected .parquet, .csv or .json")


def _with_details(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the events with ``offer_id`` and ``amount``, out of ``value`` where they are there."""
    if {"offer_id", "amount"} <= set(frame.columns):
        return frame
    if "value" not in frame.columns:
        raise ColumnsMissing(path=path, missing="value", found=", ".join(frame.columns))
    told = [_details(value, path) for value in frame["value"]]
    offer = pd.Series([one.get("offer id", one.get("offer_id")) for one in told], frame.index)
    amount = pd.Series([one.get("amount") for one in told], frame.index)
    return frame.assign(offer_id=offer, amount=amount)


def _details(value: Any, path: Path) -> dict[str, Any]:
    """Return the object of ``value``: as it is, as JSON text or as Python prints it."""
    if isinstance(value, dict):
        return value
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(str(value))
        except (ValueError, SyntaxError):
            continue
        if isinstance(found, dict):
            return found
    raise ValueNotUnderstood(
        path=path, column="value", value=value, expected='an object like {"amount": 4.5}'
    )


def _words(value: Any) -> list[str]:
    """Return the words of a list, however it was written down."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [str(one) for one in value]
    return re.findall(r"[a-z]+", str(value))


def _numbers(frame: pd.DataFrame, column: str, path: Path) -> Any:
    try:
        return pd.to_numeric(frame[column]).to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError) as problem:
        raise ValueNotUnderstood(
            path=path, column=column, value=str(problem), expected="numbers"
        ) from problem


def _at_least_0(frame: pd.DataFrame, column: str, path: Path) -> Any:
    values = _numbers(frame, column, path)
    bad = values[~(np.isfinite(values) & (values >= 0))]
    if len(bad):
        raise ValueNotUnderstood(
            path=path, column=column, value=float(bad[0]), expected="a number of at least 0"
        )
    return values


def _codes(column: pd.Series[Any], ids: tuple[str, ...]) -> Any:
    """Return the place of each id in ``ids``; -1 where it is not among them."""
    return pd.Index(list(ids)).get_indexer(pd.Index(column.astype("object")))


def _check_known(column: pd.Series[Any], unknown: Any, error: Any, path: Path) -> None:
    if unknown.any():
        ids = sorted({str(one) for one in column[unknown]})
        raise error(path=path, count=len(ids), examples=", ".join(ids[:SHOWN]))
