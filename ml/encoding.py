"""From events to columns of numbers: dictionaries, and what was known at each moment.

Everything is computed from the events and from the clock and last order that the states carry in,
so that any chunking of a history gives the same numbers exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ml.errors import EventBeforeClock
from ml.events import EventKind, EventTable, Floats, Integers, Objects
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


@dataclass(frozen=True, slots=True)
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
        return ItemIndex(self.items, self.buckets)

    def country_index(self) -> CountryIndex:
        """Return the look-up of countries; row 0 is ``other``."""
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
        return Columns(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def look_up(index: dict[str, int], names: Objects | Iterable[str]) -> Integers:
    """Return the row of every name."""
    listed = names.tolist() if isinstance(names, np.ndarray) else list(names)
    return np.fromiter(map(index.__getitem__, listed), np.int64, len(listed))


def encode(events: EventTable, states: TwinStates, dictionaries: Dictionaries) -> Columns:
    """Return the columns of ``events`` that follow on ``states``, of which h and c are not read.

    Raises:
        EventBeforeClock: an event is older than its customer's clock.
    """
    total = np.where(events.kind == EventKind.RETURNED, -1.0, 1.0) * line_totals(events)
    orders = _Orders.of(events, states)
    gaps = states.gaps_n[events.customer] + running(events, orders.repeat.astype(np.int64))
    gaps_ms = states.gaps_sum_ms[events.customer] + running(events, orders.gap_ms)
    return Columns(
        item=look_up(dictionaries.item_index(), events.sku),
        kind=events.kind.astype(np.int64),
        country=look_up(dictionaries.country_index(), events.country),
        gap_days=gap_days(events, states.clock_ms),
        total=total,
        quantity=events.quantity.astype(np.float64),
        same_order=continues_order(events, states.last_order),
        occurred_at_ms=events.occurred_at_ms,
        offer_depth=events.offer_depth.astype(np.float64),
        orders=states.orders[events.customer] + running(events, orders.opened.astype(np.int64)),
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


def order_before(events: EventTable, last_order: Integers) -> Integers:
    """Return the order of the customer's previous purchase before each row, 0 where none."""
    previous = previous_where(events, events.kind == EventKind.PURCHASED)
    carried = last_order[events.customer]
    return np.where(previous >= 0, events.order[np.maximum(previous, 0)], carried)


def continues_order(events: EventTable, last_order: Integers) -> NDArray[np.bool_]:
    """Return which purchases belong to the order of the customer's previous purchase."""
    purchased = events.kind == EventKind.PURCHASED
    same = events.order == order_before(events, last_order)
    return np.asarray(purchased & same & (events.order != 0))


def previous_where(events: EventTable, condition: NDArray[np.bool_]) -> Integers:
    """Return the last earlier row of the same customer at which the condition holds, or -1."""
    rows = np.arange(len(events))
    latest = np.maximum.accumulate(np.where(condition, rows, -1)) if len(rows) else rows
    before = np.concatenate(([-1], latest[:-1])) if len(rows) else rows
    start = np.maximum.accumulate(np.where(first_rows(events), rows, 0)) if len(rows) else rows
    return np.asarray(np.where(before >= start, before, -1), dtype=np.int64)


def remember(states: TwinStates, events: EventTable) -> TwinStates:
    """Return the states with clock, last order and counts after ``events``; h and c unchanged."""
    if not len(events):
        return states
    purchased = events.kind == EventKind.PURCHASED
    orders = _Orders.of(events, states)
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
        returns=states.returns + sums.total((events.kind == EventKind.RETURNED).astype(np.int64)),
        units=states.units + sums.total(np.where(purchased, units, 0)),
        **Purchases.of(states).folded(events).columns(),
        first_order_ms=np.where(states.orders > 0, states.first_order_ms, first),
        last_order_ms=last_order_ms,
        gaps_n=states.gaps_n + sums.total(repeat.astype(np.int64)),
        gaps_sum_ms=states.gaps_sum_ms + sums.total(orders.gap_ms),
    )


def running(events: EventTable, values: NDArray[Number]) -> NDArray[Number]:
    """Return the sum of the customer's values up to and including each row."""
    total = np.cumsum(values)
    start = np.maximum.accumulate(np.where(first_rows(events), np.arange(len(events)), 0))
    return np.asarray(total - (total - values)[start] if len(events) else total)


@dataclass(frozen=True, slots=True)
class _Orders:
    """Which rows open an order, which of those are not the first, and how long after it (ms)."""

    opened: NDArray[np.bool_]
    repeat: NDArray[np.bool_]
    gap_ms: Integers

    @staticmethod
    def of(events: EventTable, states: TwinStates) -> _Orders:
        purchased = events.kind == EventKind.PURCHASED
        opened = purchased & ~continues_order(events, states.last_order)
        previous = previous_where(events, opened)
        carried = states.last_order_ms[events.customer]
        before = np.where(previous >= 0, events.occurred_at_ms[np.maximum(previous, 0)], carried)
        repeat = opened & ((previous >= 0) | (states.orders[events.customer] > 0))
        return _Orders(opened, repeat, np.where(repeat, events.occurred_at_ms - before, 0))


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
