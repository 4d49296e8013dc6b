"""What was counted on one day: small, immutable, and all that the market is made of."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.events import Floats, Integers
from ml.mixture.lines import UNKNOWN, Lines, by_value, same_as_before

SKIPPED = (2, 3, 4, 5)  # how many lines back in the order a skip transition begins
NEVER, SAME_ORDER = -1, -2  # instead of the days since the customer last ordered an item
REAL = ("log_quantities", "log_prices")  # all other counts are whole
NOTHING = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCounts:
    """Counts of one day over a vocabulary of V items; a pair is the number first * V + second.

    ``transitions`` lead from a customer's line to the next one, into another order too; ``skips``
    from a line to those two to five places later in the same order; ``together`` are the pairs of
    different items of one order, both ways round, and each item with itself. ``log_quantities``
    and ``log_prices`` are sums over the lines of each of ``items``. Of ``bought``, items on the
    first line of an order with them, ``again_n`` are how many orders came from a customer who had
    ordered the item before, ``gap_days`` how many days lay between. ``local`` are their orders by
    country, the number row * V + item.

    Shapes: a name, its ``_n`` and the sums are equally long.
    """

    day: int
    items: Integers
    items_n: Integers
    log_quantities: Floats
    log_prices: Floats
    bought: Integers
    bought_n: Integers
    again_n: Integers
    gap_days: Integers
    local: Integers
    local_n: Integers
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
        columns: dict[str, Any] = {
            name: column.astype(np.float64 if name in REAL else np.int64)
            for name, column in unpacked(data).items()
        }
        return DayCounts(day=int(columns.pop("day")), **columns)

    def without_pairs(self) -> DayCounts:
        """Return the counts of single items alone, which are small."""
        return replace(
            self, transitions=NOTHING, transitions_n=NOTHING, skips=NOTHING, skips_n=NOTHING,
            together=NOTHING, together_n=NOTHING,
        )  # fmt: skip


def day_counts(lines: Lines, items: int) -> Iterator[DayCounts]:
    """Yield the counts of each day on which there were lines, days ascending.

    ``lines`` are whole histories: what a line repeats lies in its customer's past.
    """
    previous, passed = previous_items(lines), days_passed(lines)
    for day, index in by_value(lines.day):
        today = lines.rows(index)
        pairs = _pair_counts(today, previous[index], items)
        yield DayCounts(day=day, **pairs, **_item_counts(today, passed[index], items))


def previous_items(lines: Lines) -> Integers:
    """Return the item on the customer's line before each line (N,), ``UNKNOWN`` at the first."""
    return np.where(same_as_before(lines.customer), np.roll(lines.item, 1), UNKNOWN)


def days_passed(lines: Lines) -> Integers:
    """Return the days (N,) since the customer last ordered each line's item.

    ``NEVER`` where it is the first time, ``SAME_ORDER`` where the open order has it already.
    """
    orders = _order_numbers(lines)
    place = np.lexsort((lines.item, lines.customer))  # stable: lines of an item stay in order
    same = same_as_before(lines.customer[place]) & same_as_before(lines.item[place])
    since = np.diff(lines.day[place], prepend=0)
    found = np.where(same, since, NEVER)
    found[same & same_as_before(orders[place])] = SAME_ORDER
    passed = np.empty(len(lines), np.int64)
    passed[place] = found
    return passed


def packed(columns: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Return arrays as one archive; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **columns)
    return buffer.getvalue()


def unpacked(data: bytes) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of an archive, equal to the bit."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _item_counts(lines: Lines, passed: Integers, items: int) -> dict[str, Any]:
    known = lines.item != UNKNOWN
    item, place, times = np.unique(lines.item[known], return_inverse=True, return_counts=True)
    met = known & (passed != SAME_ORDER)
    bought, met_place, met_n = np.unique(lines.item[met], return_inverse=True, return_counts=True)
    again, size = passed[met] != NEVER, len(bought)
    local, local_n = np.unique(lines.country[met] * items + lines.item[met], return_counts=True)
    return {
        "items": item,
        "items_n": times,
        "log_quantities": _sums(place, lines.log_quantity[known], len(item)),
        "log_prices": _sums(place, lines.log_price[known], len(item)),
        "bought": bought,
        "bought_n": met_n,
        "again_n": np.bincount(met_place[again], minlength=size),
        "gap_days": _sums(met_place[again], passed[met][again], size).astype(np.int64),
        "local": local,
        "local_n": local_n,
    }


def _sums(place: Integers, values: Floats | Integers, size: int) -> Floats:
    """Return the sums (size,) of the values at each place, as real numbers even of nothing."""
    return np.bincount(place, values, size).astype(np.float64)


def _pair_counts(lines: Lines, previous: Integers, items: int) -> dict[str, Any]:
    counted = {
        "transitions": _pairs(previous, lines.item, items),
        "skips": _skips(lines, items),
        "together": _together(lines, items),
    }
    columns: dict[str, Integers] = {}
    for name, keys in counted.items():
        columns[name], columns[f"{name}_n"] = np.unique(keys, return_counts=True)
    return columns


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
