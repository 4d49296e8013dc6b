"""Purchase lines of a shop: what the protocols read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ml.errors import UnequalColumns
from ml.events import EventKind, EventTable, Floats, Integers
from ml.timing import DAY_MS

Mask = NDArray[np.bool_]
EACH_LINE = ("customer", "order", "item", "country", "at_ms", "quantity", "unit_price")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Purchase lines by customer, then time, then their place in the file.

    ``customer``, ``order``, ``item`` and ``country`` are numbers from 0; ``items`` and
    ``countries`` name the latter two. Times are milliseconds since 1970.

    Shapes: the columns of ``EACH_LINE`` (N,).
    """

    customer: Integers
    order: Integers
    item: Integers
    country: Integers
    at_ms: Integers
    quantity: Floats
    unit_price: Floats
    items: tuple[str, ...]
    countries: tuple[str, ...]

    @staticmethod
    def of(
        *,
        customer: Any,
        order: Any,
        item: Any,
        at_ms: Any,
        quantity: Any,
        unit_price: Any,
        country: Any = None,
    ) -> Lines:
        """Return the lines of a file's columns, cleaned and in order.

        Left out are lines without customer, order, item or time, and those whose quantity is not
        above 0: returns and cancellations. (In Online Retail these are exactly the invoices that
        start with C.)
        """
        given = {
            "customer": customer, "order": order, "item": item, "at_ms": at_ms,
            "quantity": quantity, "unit_price": unit_price,
            "country": [""] * len(customer) if country is None else country,
        }  # fmt: skip
        frame = _frame(given)
        frame = frame.dropna(subset=["customer", "order", "item", "at_ms"])
        frame = frame[frame["quantity"] > 0]
        frame = frame.sort_values(["customer", "at_ms"], kind="stable")
        codes = {name: pd.factorize(frame[name], sort=True) for name in _NAMED}
        return Lines(
            **{name: np.asarray(numbers, dtype=np.int64) for name, (numbers, _) in codes.items()},
            at_ms=frame["at_ms"].to_numpy(np.int64),
            quantity=frame["quantity"].to_numpy(np.float64),
            unit_price=frame["unit_price"].to_numpy(np.float64),
            items=tuple(map(str, codes["item"][1])),
            countries=tuple(map(str, codes["country"][1])),
        )

    def __post_init__(self) -> None:
        for name in EACH_LINE:
            if len(getattr(self, name)) != len(self.customer):
                raise UnequalColumns(
                    column=name, length=len(getattr(self, name)), expected=len(self.customer)
                )

    def __len__(self) -> int:
        return len(self.customer)

    @property
    def customers(self) -> int:
        """How many customers there are; their numbers are below it."""
        return int(self.customer.max(initial=-1)) + 1

    @property
    def day(self) -> Integers:
        """The day of each line, counted from 1970."""
        return self.at_ms // DAY_MS

    @property
    def total(self) -> Floats:
        """Quantity times price."""
        return self.quantity * self.unit_price

    def rows(self, index: Mask | Integers) -> Lines:
        """Return the lines of a mask or of an ordered index; all numbers stay as they are."""
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        return Lines(**{**kept, **{name: kept[name][index] for name in EACH_LINE}})

    def customer_starts(self) -> Integers:
        """Return for each line the row of its customer's first line."""
        return _starts(self.customer)

    def order_starts(self) -> Integers:
        """Return for each line the row at which its order begins."""
        return _starts(self.customer, self.order)

    def shuffled(self, seed: int) -> Lines:
        """Return the same shop with the lines of each order in random places; times stay.

        What a method gains over this control it gains from how the shop prints its orders.
        """
        start = self.order_starts()
        luck = np.random.default_rng(seed).random(len(self))
        return self.rows(np.lexsort((luck, start))).with_times(self.at_ms)

    def with_times(self, at_ms: Integers) -> Lines:
        """Return the same lines at other times."""
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        return Lines(**{**kept, "at_ms": at_ms})

    def events(self) -> EventTable:
        """Return the lines as the table that a twin folds."""
        return EventTable(
            customer=self.customer,
            kind=np.full(len(self), EventKind.PURCHASED, np.int8),
            sku=_named(self.items, self.item),
            order=self.order + 1,  # 0 is "no order"
            occurred_at_ms=self.at_ms,
            quantity=self.quantity,
            unit_price=self.unit_price,
            country=_named(self.countries, self.country),
            offer_depth=np.zeros(len(self)),
        )

    def customer_countries(self) -> list[str]:
        """Return the country of each customer's first line; "" where a customer has none."""
        names = [""] * self.customers
        first = np.flatnonzero(self.customer_starts() == np.arange(len(self)))
        for row in first.tolist():
            names[self.customer[row]] = self.countries[self.country[row]]
        return names


_NAMED = ("customer", "order", "item", "country")


def moment_ms(text: str) -> int:
    """Return the milliseconds since 1970 of an ISO 8601 date or time; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


def day_of(text: str) -> int:
    """Return the day of an ISO 8601 date, counted from 1970."""
    return moment_ms(text) // DAY_MS


def segments(keys: Integers) -> list[slice]:
    """Return the runs of equal keys, in order."""
    if not len(keys):
        return []
    cuts = np.flatnonzero(np.diff(keys)) + 1
    edges = [0, *cuts.tolist(), len(keys)]
    return [slice(a, b) for a, b in pairwise(edges)]


def _frame(given: dict[str, Any]) -> pd.DataFrame:
    frame = pd.DataFrame(given)
    if pd.api.types.is_numeric_dtype(frame["customer"]):
        return frame
    frame["customer"] = frame["customer"].replace("", None)
    return frame


def _starts(*keys: Integers) -> Integers:
    rows = np.arange(len(keys[0]))
    if not len(rows):
        return rows
    fresh = np.ones(len(rows), dtype=np.bool_)
    fresh[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.maximum.accumulate(np.where(fresh, rows, 0))


def _named(names: tuple[str, ...], codes: Integers) -> NDArray[np.object_]:
    table = np.empty(len(names), dtype=object)
    table[:] = names
    return np.asarray(table[codes], dtype=object)
