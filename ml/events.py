"""The table of events: columns of equal length, grouped by customer, in fold order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from ml.errors import UnequalColumns, UnorderedEvents

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Objects = NDArray[np.object_]


class EventKind(IntEnum):
    """What an event did, as far as the model tells events apart."""

    PURCHASED = 1
    RETURNED = 2
    REGISTERED = 3
    OTHER = 4


# As plain numbers: numpy looks for its own attributes on an enum member, which takes long.
PURCHASED, RETURNED = int(EventKind.PURCHASED), int(EventKind.RETURNED)


def order_key(order_id: str) -> int:
    """Return the signed 64-bit key of an order id; never 0, which means "no order"."""
    digest = blake2b(order_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True) or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTable:
    """Events of many customers: rows by customer, then by time.

    ``customer`` is a row number into the states or countries beside the table; customers without
    events simply do not occur. ``quantity`` is positive for returns too. Prices are per unit.
    """

    customer: Integers
    kind: NDArray[np.int8]
    sku: Objects
    order: Integers
    occurred_at_ms: Integers
    quantity: Floats
    unit_price: Floats
    country: Objects
    offer_depth: Floats

    def __post_init__(self) -> None:
        expected = len(self.customer)
        for name in COLUMNS:
            length = len(getattr(self, name))
            if length != expected:
                raise UnequalColumns(column=name, length=length, expected=expected)
        who, at_ms = self.customer, self.occurred_at_ms
        back = (who[1:] == who[:-1]) & (at_ms[1:] < at_ms[:-1])
        wrong = np.flatnonzero(back | (who[1:] < who[:-1]))
        if wrong.size:
            raise UnorderedEvents(row=int(wrong[0]) + 1)

    def __len__(self) -> int:
        return len(self.customer)

    def rows(self, index: NDArray[np.bool_] | Integers) -> EventTable:
        """Return the rows of a mask or of an ordered index; customers keep their numbers."""
        return EventTable(**{name: getattr(self, name)[index] for name in COLUMNS})

    def select(self, customers: Sequence[int] | Integers) -> EventTable:
        """Return the events of these customers, renumbered 0, 1, ... in the order given."""
        wanted = np.asarray(customers, dtype=np.int64)
        starts = np.searchsorted(self.customer, wanted, side="left")
        lengths = np.searchsorted(self.customer, wanted, side="right") - starts
        rows = ranges(starts, lengths)
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        customer = np.repeat(np.arange(len(wanted), dtype=np.int64), lengths)
        return EventTable(**{**columns, "customer": customer})

    @staticmethod
    def concat(tables: Sequence[EventTable]) -> EventTable:
        """Return one table; a customer's rows of a later table follow those of an earlier one."""
        columns = {
            name: np.concatenate([getattr(table, name) for table in tables]) for name in COLUMNS
        }
        by_customer = np.argsort(columns["customer"], kind="stable")
        return EventTable(**{name: column[by_customer] for name, column in columns.items()})

    @staticmethod
    def empty() -> EventTable:
        """Return a table without rows."""
        kinds = {"kind": np.int8, "sku": object, "country": object}
        floats = {"quantity", "unit_price", "offer_depth"}
        return EventTable(
            **{
                name: np.empty(0, kinds.get(name, np.float64 if name in floats else np.int64))
                for name in COLUMNS
            }
        )


COLUMNS = tuple(f.name for f in fields(EventTable))


def ranges(starts: Integers, lengths: Integers) -> Integers:
    """Return ``start, start + 1, ...`` for every pair, one range after the other."""
    offsets = np.repeat(starts - (lengths.cumsum() - lengths), lengths)
    return (offsets + np.arange(len(offsets))).astype(np.int64, copy=False)
