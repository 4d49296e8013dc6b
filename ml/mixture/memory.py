"""What is remembered of one customer: country, own items, what followed them, the open order.

The next line and the next basket are both foretold from it. A memory is bounded: beyond ``Limits``
the items bought longest ago are forgotten. One line costs a few dictionary look-ups, however long
the history is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from ml.errors import MlError
from ml.mixture.lines import UNKNOWN
from ml.timing import DAY_MS

FORMAT = 3
ORDER_DECAY = 0.85  # of own counts of lines, from order to order
SLOW_DECAY, FAST_DECAY = 0.9, 0.7  # of own counts of orders, likewise
WINDOW = 10  # last lines of the open order
HEAD = struct.Struct("<BHHHHIIIIIIIqqdddd")
WHOLE, REAL = np.dtype("<i4"), np.dtype("<f8")
WHOLES, REALS = 7, 4  # columns of own items in the bytes, each kind side by side

Value = TypeVar("Value")


class UnreadableMemory(MlError):
    """A memory is read by the code that knows its format."""

    code = "unreadable-memory"
    template = "the memory has format {found}, expected {expected}: fold the customer again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a customer is kept: own items, successors of each, items of the open order."""

    items: int = 1_000
    successors: int = 20
    basket: int = 300


@dataclass(slots=True)
class OwnItem:
    """One of the customer's items: in how many lines (``count``) and orders (``orders``) it stood.

    ``weight`` is the decayed count of its lines, ``slow`` and ``fast`` are those of its orders, all
    as of order ``order``, the last one with it. ``quantities`` sums the logs of its lines. Days
    are those of its first and its last order, counted from 1970.
    """

    count: int
    orders: int
    order: int
    first_day: int
    last_day: int
    weight: float
    slow: float
    fast: float
    quantities: float
    next: dict[int, int]  # what followed it, newest last
    next_total: int


class Memory:
    """The memory of one customer; ``add`` changes it, nothing else does.

    ``country`` is the row of the customer's country in the mixture's frame. ``own`` holds the items
    newest last, ``basket`` those of the open order, ``last`` the items on its last lines, newest
    first.
    """

    __slots__ = (
        "at_ms", "basket", "country", "first_day", "kinds", "last", "last_log_total", "lines",
        "order", "orders", "own", "own_total", "position", "prices", "quantities", "repeats",
        "weight_total",
    )  # fmt: skip

    def __init__(self, country: int = 0) -> None:
        self.country = country
        self.own: dict[int, OwnItem] = {}
        self.own_total = 0
        self.weight_total = 0.0
        self.kinds = 0  # items bought for the first time, the forgotten ones counted again
        self.repeats = 0  # items of orders that an earlier order had, too
        self.first_day = 0
        self.orders = self.lines = self.position = 0
        self.order = self.at_ms = 0
        self.basket: dict[int, None] = {}
        self.last: list[int] = []
        self.prices = self.quantities = 0.0  # sums of logs over the open order
        self.last_log_total = 0.0

    @property
    def previous(self) -> int:
        """The item on the last line."""
        return self.last[0] if self.last else UNKNOWN

    def continues(self, order: int) -> bool:
        """Return whether a line of this order would go on with the open one."""
        return self.lines > 0 and order == self.order != 0

    def add(
        self, item: int, order: int, at_ms: int, logs: tuple[float, float, float], limits: Limits
    ) -> None:
        """Remember one line; ``logs`` are the ``log1p`` of its price, quantity and total."""
        previous = self.previous
        if not self.lines:
            self.first_day = at_ms // DAY_MS
        if not self.continues(order):
            self._open(order)
        if item != UNKNOWN:
            self._follow(previous, item, limits.successors)
            self._own(item, at_ms, logs[1], limits.items)
            _renew(self.basket, item, None, limits.basket)
        self.last = [item, *self.last[: WINDOW - 1]]
        self.lines, self.position, self.at_ms = self.lines + 1, self.position + 1, at_ms
        self.prices += logs[0]
        self.quantities += logs[1]
        self.last_log_total = logs[2]

    def to_bytes(self) -> bytes:
        """Return the memory; equal memories give equal bytes."""
        own = list(self.own.values())
        head = HEAD.pack(
            FORMAT, self.country, len(own), len(self.basket), len(self.last),
            self.kinds, self.repeats, self.first_day, self.orders, self.lines, self.position,
            self.own_total, self.order, self.at_ms, self.weight_total, self.prices,
            self.quantities, self.last_log_total,
        )  # fmt: skip
        whole = [
            *self.own, *(len(i.next) for i in own), *(i.count for i in own),
            *(i.orders for i in own), *(i.order for i in own), *(i.first_day for i in own),
            *(i.last_day for i in own), *self.basket, *self.last,
            *(item for i in own for item in i.next),
            *(count for i in own for count in i.next.values()),
        ]  # fmt: skip
        real = [
            *(i.weight for i in own), *(i.slow for i in own), *(i.fast for i in own),
            *(i.quantities for i in own),
        ]  # fmt: skip
        return head + np.array(whole, WHOLE).tobytes() + np.array(real, REAL).tobytes()

    @staticmethod
    def from_bytes(data: bytes) -> Memory:
        """Return the memory that ``to_bytes`` wrote, equal to the bit.

        Raises:
            UnreadableMemory: it was written in another format.
        """
        if data[0] != FORMAT:
            raise UnreadableMemory(found=data[0], expected=FORMAT)
        _, country, kept, in_basket, in_window, *numbers = HEAD.unpack_from(data)
        memory = Memory(country)
        memory._take_head(*numbers)
        end = len(data) - REALS * REAL.itemsize * kept
        whole = np.frombuffer(data[HEAD.size : end], WHOLE).tolist()
        real = np.frombuffer(data[end:], REAL).tolist()
        rest = whole[WHOLES * kept :]
        memory.basket = dict.fromkeys(rest[:in_basket])
        memory.last = rest[in_basket : in_basket + in_window]
        own = [*_columns(whole[: WHOLES * kept], WHOLES), *_columns(real, REALS)]
        memory._take_own(own, rest[in_basket + in_window :])
        return memory

    def copy(self) -> Memory:
        """Return an equal memory that shares nothing that changes."""
        return Memory.from_bytes(self.to_bytes())

    def _take_own(self, columns: list[list[Any]], next_lines: list[int]) -> None:
        half, start = len(next_lines) // 2, 0
        for item, length, *numbers in zip(*columns, strict=True):
            times = next_lines[half + start : half + start + length]
            following = dict(zip(next_lines[start : start + length], times, strict=True))
            parts: tuple[Any, ...] = (*numbers, following, sum(times))
            self.own[item] = OwnItem(*parts)
            start += length

    def _take_head(
        self, kinds: int, repeats: int, first_day: int, orders: int, lines: int, position: int,
        own_total: int, order: int, at_ms: int, *real: float,
    ) -> None:  # fmt: skip
        self.kinds, self.repeats, self.first_day = kinds, repeats, first_day
        self.orders, self.lines, self.position = orders, lines, position
        self.own_total, self.order, self.at_ms = own_total, order, at_ms
        self.weight_total, self.prices, self.quantities, self.last_log_total = real

    def _open(self, order: int) -> None:
        self.order, self.orders, self.position = order, self.orders + 1, 0
        self.weight_total *= ORDER_DECAY
        self.basket, self.last = {}, []
        self.prices = self.quantities = 0.0

    def _own(self, item: int, at_ms: int, log_quantity: float, kept: int) -> None:
        mine = self.own.pop(item, None)
        if mine is None:
            mine = OwnItem(0, 0, 0, at_ms // DAY_MS, 0, 0.0, 0.0, 0.0, 0.0, {}, 0)
            self.kinds += 1
        elif mine.order != self.orders:
            self.repeats += 1
        if mine.order != self.orders:
            self._meet(mine, at_ms // DAY_MS)
        mine.count += 1
        mine.weight += 1.0
        mine.quantities += log_quantity
        self.own[item] = mine
        self.own_total += 1
        self.weight_total += 1.0
        if len(self.own) > kept:
            oldest = self.own.pop(next(iter(self.own)))
            self.own_total -= oldest.count
            self.weight_total -= oldest.weight * ORDER_DECAY ** (self.orders - oldest.order)

    def _meet(self, item: OwnItem, day: int) -> None:
        """Count the open order: once, however many lines of it have the item."""
        passed = self.orders - item.order
        item.weight *= ORDER_DECAY**passed
        item.slow = item.slow * SLOW_DECAY**passed + 1.0
        item.fast = item.fast * FAST_DECAY**passed + 1.0
        item.orders += 1
        item.order, item.last_day = self.orders, day

    def _follow(self, previous: int, item: int, kept: int) -> None:
        before = self.own.get(previous)
        if before is None:
            return
        forgotten = _renew(before.next, item, before.next.get(item, 0) + 1, kept)
        before.next_total += 1 - (forgotten or 0)


def _columns(flat: list[Any], number: int) -> list[list[Any]]:
    """Return the columns, equally long, that stand one after the other."""
    length = len(flat) // number
    return [flat[n * length : (n + 1) * length] for n in range(number)]


def _renew(kept: dict[int, Value], key: int, value: Value, most: int) -> Value | None:
    """Set a value as the newest; return the oldest where that one had to go."""
    kept.pop(key, None)
    kept[key] = value
    return kept.pop(next(iter(kept))) if len(kept) > most else None
