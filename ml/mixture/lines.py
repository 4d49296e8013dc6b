"""Purchase lines as columns of numbers: what the market counts and the memories fold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.encoding import line_totals
from ml.events import PURCHASED, EventTable, Floats, Integers
from ml.timing import DAY_MS

UNKNOWN = -1  # an item without a row of its own
NOWHERE: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Purchase lines of many customers, each customer's in the order in which they happened.

    ``row`` is the line's row in the table of events, ``item`` its row in the vocabulary or
    ``UNKNOWN``. ``country`` is the row of the country that it was bought from, 0 for those without
    one of their own. ``day`` counts from 1970, in UTC.

    Shapes: all (N,).
    """

    row: Integers
    customer: Integers
    item: Integers
    country: Integers
    order: Integers
    at_ms: Integers
    day: Integers
    log_price: Floats
    log_quantity: Floats
    log_total: Floats

    def __len__(self) -> int:
        return len(self.row)

    @staticmethod
    def of(
        events: EventTable, vocabulary: Mapping[str, int], countries: Mapping[str, int] = NOWHERE
    ) -> Lines:
        """Return the purchases of a table; events of any other kind leave no trace."""
        row = np.flatnonzero(events.kind == PURCHASED)
        bought = events.rows(row)
        items = (vocabulary.get(sku, UNKNOWN) for sku in bought.sku.tolist())
        rows = (countries.get(name, 0) for name in bought.country.tolist())
        return Lines(
            row=row,
            customer=bought.customer,
            item=np.fromiter(items, np.int64, len(row)),
            country=np.fromiter(rows, np.int64, len(row)),
            order=bought.order,
            at_ms=bought.occurred_at_ms,
            day=bought.occurred_at_ms // DAY_MS,
            log_price=np.log1p(np.maximum(bought.unit_price, 0.0)),
            log_quantity=np.log1p(np.maximum(bought.quantity, 0.0)),
            log_total=np.log1p(np.maximum(line_totals(bought), 0.0)),
        )

    def rows(self, index: NDArray[Any]) -> Lines:
        """Return the lines of a mask or of an index that keeps each customer's order."""
        return Lines(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def by_day(self) -> Iterator[tuple[int, Lines]]:
        """Yield the lines of each day, days ascending, customers in the order of the table."""
        for day, index in by_value(self.day):
            yield day, self.rows(index)


def by_value(values: Integers) -> Iterator[tuple[int, Integers]]:
    """Yield each value, ascending, with the places where it stands."""
    if not len(values):
        return
    order = np.argsort(values, kind="stable")
    present, first = np.unique(values[order], return_index=True)
    yield from zip(present.tolist(), np.split(order, first[1:]), strict=True)


def same_as_before(column: Integers, steps: int = 1) -> NDArray[np.bool_]:
    """Return where the value ``steps`` rows before is the same; False in the first rows."""
    same = np.zeros(len(column), dtype=np.bool_)
    same[steps:] = column[steps:] == column[:-steps]
    return same
