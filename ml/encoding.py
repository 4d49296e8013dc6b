"""From events to columns of numbers: dictionaries, and what was known at each moment.

Everything is computed from the events and from the clock and last order that the states carry in,
so that any chunking of a history gives the same numbers exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ml.errors import EventBeforeClock
from ml.events import PURCHASED, RETURNED, EventTable, Floats, Integers, Objects
from ml.rhythm.statistics import Purchases
from ml.states import TwinStates
from ml.timing import DAY_MS

OTHER_COUNTRY = 0

Number = TypeVar("Number", np.int64, np.float64)


class ItemIndex(dict[str, int]):
    """Item codes to rows; a code that is not known gets one of the hashed buckets."""

    def __init__(self, items: Sequence[str], buckets: int) -> None:
        super().__init__({sku: row for row, sku in enumerate(items)})
        self.known, self.buckets = len(items), buckets
        self[""] = self.known + buckets

    def __missing__(self, sku: str) -> int:
        return self.known + crc32(sku.encode()) % self.buckets


class CountryIndex(dict[str, int]):
    """Country names to rows; rare and unknown ones share row 0."""

    def __missing__(self, country: str) -> int:
        return OTHER_COUNTRY


@dataclass(frozen=True)  # without slots: its look-ups are made once
class Dictionaries:
    """Which items and countries have a row of their own.

    Item rows: ``items`` in order, then ``buckets`` for unknown ones, then one for "no item".
    """

    items: tuple[str, ...]
    countries: tuple[str, ...]
    buckets: int = 16

    @property
    def item_rows(self) -> int:
        """The number of rows of the item table."""
        return len(self.items) + self.buckets + 1

    @property
    def no_item(self) -> int:
        """The row of events without an item."""
        return len(self.items) + self.buckets

    def item_index(self) -> ItemIndex:
        """Return the look-up of item codes."""
        return self._item_index

    def country_index(self) -> CountryIndex:
        """Return the look-up of countries; row 0 is ``other``."""
        return self._country_index

    @cached_property
    def _item_index(self) -> ItemIndex:
        return ItemIndex(self.items, self.buckets)

    @cached_property
    def _country_index(self) -> CountryIndex:
        return CountryIndex({name: row for row, name in enumerate(self.countries, start=1)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Encoded events, one row each; the keyword arguments of ``TwinModel.encode_step``.

    ``gap_days`` is 0 at the first event. ``total`` is signed: negative for returns. ``orders`` and
    ``mean_gap_days`` (between their starts, 0 before the second) count this event in.
    """

    item: Integers
    kind: Integers
    country: Integers
    gap_days: Floats
    total: Floats
    quantity: Floats
    same_order: NDArray[np.bool_]
    occurred_at_ms: Integers
    offer_depth: Floats
    orders: Integers
    mean_gap_days: Floats

    def __len__(self) -> int:
        return len(self.item)

    def rows(self, index: NDArray[Any]) -> Columns:
        """Return the rows of an index."""
        return Columns(**{name: getattr(self, name)[index] for name in COLUMNS})


COLUMNS = tuple(f.name for f in fields(Columns))


def look_up(index: dict[str, int], names: Objects | Iterable[str]) -> Integers:
    """Return the row of every name."""
    listed = names.tolist() if isinstance(names, np.ndarray) else list(names)
    return np.fromiter(map(index.__getitem__, listed), np.int64, len(listed))


def encode(
    events: EventTable,
    states: TwinStates,
    dictionaries: Dictionaries,
    orders: Orders | None = None,
) -> Columns:
    """Return the columns of ``events`` that follow on ``states``, of which h and c are not read.

    ``orders`` are those of the events, for a caller who has them.

    Raises:
        EventBeforeClock: an event is older than its customer's clock.
    """
    total = np.where(events.kind == RETURNED, -1.0, 1.0) * line_totals(events)
    orders, who = orders or Orders.of(events, states), events.customer
    gaps = states.gaps_n[who] + _running(orders.repeat.astype(np.int64), orders.start)
    gaps_ms = states.gaps_sum_ms[who] + _running(orders.gap_ms, orders.start)
    return Columns(
        item=look_up(dictionaries.item_index(), events.sku),
        kind=events.kind.astype(np.int64),
        country=look_up(dictionaries.country_index(), events.country),
        gap_days=gap_days(events, states.clock_ms),
        total=total,
        quantity=events.quantity.astype(np.float64),
        same_order=orders.same,
        occurred_at_ms=events.occurred_at_ms,
        offer_depth=events.offer_depth.astype(np.float64),
        orders=states.orders[who] + _running(orders.opened.astype(np.int64), orders.start),
        mean_gap_days=gaps_ms / np.maximum(gaps, 1) / DAY_MS,
    )


def line_totals(events: EventTable) -> Floats:
    """Return quantity times price."""
    return np.asarray(events.quantity * events.unit_price, dtype=np.float64)


def first_rows(events: EventTable) -> NDArray[np.bool_]:
    """Return where a customer's rows begin."""
    first = np.ones(len(events), dtype=np.bool_)
    first[1:] = events.customer[1:] != events.customer[:-1]
    return first


def gap_days(events: EventTable, clock_ms: Integers) -> Floats:
    """Return the days since the customer's previous event, 0 at the first ever.

    Raises:
        EventBeforeClock: a customer's first row is older than the customer's clock.
    """
    first = first_rows(events)
    before = np.empty(len(events), dtype=np.int64)
    before[1:] = events.occurred_at_ms[:-1]
    before[first] = clock_ms[events.customer[first]]
    before = np.where(before == 0, events.occurred_at_ms, before)
    late = np.flatnonzero(before > events.occurred_at_ms)
    if late.size:
        row = int(late[0])
        raise EventBeforeClock(
            customer=int(events.customer[row]),
            occurred_at_ms=int(events.occurred_at_ms[row]),
            clock_ms=int(before[row]),
        )
    return (events.occurred_at_ms - before) / DAY_MS


def previous_where(events: EventTable, condition: NDArray[np.bool_]) -> Integers:
    """Return the last earlier row of the same customer at which the condition holds, or -1."""
    return _previous(condition, _starts(events))


def remember(states: TwinStates, events: EventTable, orders: Orders | None = None) -> TwinStates:
    """Return the states with clock, last order and counts after ``events``; h and c unchanged.

    ``orders`` are those of the events, for a caller who has them.
    """
    if not len(events):
        return states
    purchased = events.kind == PURCHASED
    orders = orders or Orders.of(events, states)
    opened, repeat = orders.opened, orders.repeat
    sums = _Sums(events.customer, len(states))
    units = np.rint(events.quantity).astype(np.int64)
    first = sums.total(np.where(opened & ~repeat, events.occurred_at_ms, 0))
    last_order_ms = sums.last(events.occurred_at_ms, opened, states.last_order_ms)
    return states.replaced(
        clock_ms=sums.last(events.occurred_at_ms, np.ones_like(opened), states.clock_ms),
        last_order=sums.last(events.order, purchased, states.last_order),
        orders=states.orders + sums.total(opened.astype(np.int64)),
        lines=states.lines + sums.total(purchased.astype(np.int64)),
        returns=states.returns + sums.total((events.kind == RETURNED).astype(np.int64)),
        units=states.units + sums.total(np.where(purchased, units, 0)),
        **Purchases.of(states).folded(events).columns(),
        first_order_ms=np.where(states.orders > 0, states.first_order_ms, first),
        last_order_ms=last_order_ms,
        gaps_n=states.gaps_n + sums.total(repeat.astype(np.int64)),
        gaps_sum_ms=states.gaps_sum_ms + sums.total(orders.gap_ms),
    )


def running(events: EventTable, values: NDArray[Number]) -> NDArray[Number]:
    """Return the sum of the customer's values up to and including each row."""
    return _running(values, _starts(events))


def _running(values: NDArray[Number], start: Integers) -> NDArray[Number]:
    total = values.cumsum()
    return np.asarray(total - (total - values)[start])


def _starts(events: EventTable) -> Integers:
    """Return for each row the first one of its customer."""
    return np.maximum.accumulate(np.where(first_rows(events), np.arange(len(events)), 0))


def _previous(condition: NDArray[np.bool_], start: Integers) -> Integers:
    rows = np.arange(len(start))
    before = np.full(len(start), -1)
    before[1:] = np.maximum.accumulate(np.where(condition, rows, -1))[:-1]
    return np.where(before >= start, before, -1)


@dataclass(frozen=True, slots=True)
class Orders:
    """Which rows open an order, which of those are not the first, and how long after it (ms).

    ``same`` are purchases that belong to the order of the customer's previous one. ``start`` is the
    first row of each row's customer.
    """

    start: Integers
    same: NDArray[np.bool_]
    opened: NDArray[np.bool_]
    repeat: NDArray[np.bool_]
    gap_ms: Integers

    @staticmethod
    def of(events: EventTable, states: TwinStates) -> Orders:
        """Return the orders of events that follow on the states."""
        start, who, purchased = _starts(events), events.customer, events.kind == PURCHASED
        last = _carried_on(_previous(purchased, start), events.order, states.last_order[who])
        same = purchased & (events.order == last) & (events.order != 0)
        opened = purchased & ~same
        previous = _previous(opened, start)
        before = _carried_on(previous, events.occurred_at_ms, states.last_order_ms[who])
        repeat = opened & ((previous >= 0) | (states.orders[who] > 0))
        gap_ms = np.where(repeat, events.occurred_at_ms - before, 0)
        return Orders(start, same, opened, repeat, gap_ms)


def _carried_on(previous: Integers, values: Integers, carried: Integers) -> Integers:
    """Return the values at previous rows, and what was carried in where there is none (-1)."""
    return np.where(previous >= 0, values[np.maximum(previous, 0)], carried)


class _Sums:
    """Exact integer sums and last values by customer."""

    def __init__(self, customer: Integers, customers: int) -> None:
        self.customer, self.customers = customer, customers

    def total(self, values: Integers) -> Integers:
        result = np.zeros(self.customers, dtype=np.int64)
        np.add.at(result, self.customer, values)
        return result

    def last(self, values: Integers, where: NDArray[np.bool_], default: Integers) -> Integers:
        result = default.copy()
        result[self.customer[where]] = values[where]  # numpy keeps the last of equal indices
        return result
