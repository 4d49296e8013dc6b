"""What was counted on one day: small, immutable, and all that the market is made of."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ml.events import Integers
from ml.mixture.lines import UNKNOWN, Lines, by_value, same_as_before

SKIPPED = (2, 3, 4, 5)  # how many lines back in the order a skip transition begins


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCounts:
    """Counts of one day over a vocabulary of V items; a pair is the number first * V + second.

    ``transitions`` lead from a customer's line to the next one, into another order too; ``skips``
    from a line to those two to five places later in the same order; ``together`` are the pairs of
    different items of one order, both ways round, and each item with itself.

    Shapes: a name and its ``_n`` are equally long.
    """

    day: int
    items: Integers
    items_n: Integers
    transitions: Integers
    transitions_n: Integers
    skips: Integers
    skips_n: Integers
    together: Integers
    together_n: Integers

    def to_bytes(self) -> bytes:
        """Return the counts as a compressed archive of arrays."""
        return packed({f.name: np.asarray(getattr(self, f.name)) for f in fields(self)})

    @staticmethod
    def from_bytes(data: bytes) -> DayCounts:
        """Return the counts that ``to_bytes`` wrote."""
        columns = {name: column.astype(np.int64) for name, column in unpacked(data).items()}
        return DayCounts(day=int(columns.pop("day")), **columns)


def day_counts(lines: Lines, previous: Integers, items: int) -> Iterator[DayCounts]:
    """Yield the counts of each day on which there were lines, days ascending.

    ``previous`` (N,) is the item on each line's predecessor, see ``previous_items``.
    """
    for day, index in by_value(lines.day):
        yield _counts(day, lines.rows(index), previous[index], items)


def previous_items(lines: Lines, last: Mapping[int, int]) -> Integers:
    """Return the item on the customer's line before each line (N,), ``UNKNOWN`` at the first.

    ``last`` is the item on the last line of customers whose lines begin before these.
    """
    follows = same_as_before(lines.customer)
    previous = np.roll(lines.item, 1)
    opening = np.flatnonzero(~follows)
    previous[opening] = [last.get(int(who), UNKNOWN) for who in lines.customer[opening]]
    return previous


def packed(columns: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Return arrays as one archive; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **columns)
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an archive, equal to the bit."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _counts(day: int, lines: Lines, previous: Integers, items: int) -> DayCounts:
    counted = {
        "items": lines.item[lines.item != UNKNOWN],
        "transitions": _pairs(previous, lines.item, items),
        "skips": _skips(lines, items),
        "together": _together(lines, items),
    }
    columns: dict[str, Integers] = {}
    for name, keys in counted.items():
        columns[name], columns[f"{name}_n"] = np.unique(keys, return_counts=True)
    return DayCounts(day=day, **columns)


def _pairs(first: Integers, second: Integers, items: int) -> Integers:
    known = (first != UNKNOWN) & (second != UNKNOWN)
    return np.asarray(first[known] * items + second[known], dtype=np.int64)


def _skips(lines: Lines, items: int) -> Integers:
    orders = _order_numbers(lines)
    keys = [np.empty(0, np.int64)]
    for steps in SKIPPED:
        later = np.flatnonzero(same_as_before(orders, steps))
        keys.append(_pairs(lines.item[later - steps], lines.item[later], items))
    return np.concatenate(keys)


def _order_numbers(lines: Lines) -> Integers:
    """Return a number for each line that only the lines of its order share."""
    goes_on = same_as_before(lines.order) & (lines.order != 0) & same_as_before(lines.customer)
    return np.asarray(np.cumsum(~goes_on), dtype=np.int64)


def _together(lines: Lines, items: int) -> Integers:
    """Return all pairs of items that share an order on this day."""
    orders = _order_numbers(lines)
    keys = [np.empty(0, np.int64)]
    known = lines.item != UNKNOWN
    for _, index in by_value(orders[known]):
        basket = np.unique(lines.item[known][index])
        keys.append((basket[:, None] * items + basket[None, :]).ravel())
    return np.concatenate(keys)
