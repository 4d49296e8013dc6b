"""What is remembered of one customer: own items, what followed them, the open order, scores.

A memory is bounded: beyond ``Limits`` the items bought longest ago are forgotten. One line costs a
few dictionary look-ups, however long the history is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from ml.errors import MlError
from ml.events import Floats
from ml.mixture.lines import UNKNOWN

FORMAT = 1
ORDER_DECAY = 0.85  # of own counts, from order to order
SCORE_DECAYS = np.array([[0.85], [0.98]])  # of scores, from line to line: open order, customer
WINDOW = 10  # last lines of the open order
HEAD = struct.Struct("<BBHHHIIIIIqqdddd")
WHOLE = np.dtype("<i4")

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
    """One of the customer's items. ``weight`` is its decayed count as of order ``order``."""

    count: int
    weight: float
    order: int
    next: dict[int, int]  # what followed it, newest last
    next_total: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a memory says about one item, the moment before a line."""

    own: int
    own_total: int
    weight: float
    weight_total: float
    next: int
    next_total: int


class Memory:
    """The memory of one customer; ``add`` and ``score`` change it, nothing else does.

    ``own`` holds the items newest last, ``basket`` those of the open order, ``last`` the items on
    its last lines, newest first. ``scores`` (2, K) are decayed sums of the log-probabilities that
    the K components gave to each line, in the open order (its first line left out) and over all of
    the customer's lines; ``score_weights`` (2, 1) are what the sums would be had each been 1.
    """

    __slots__ = (
        "at_ms", "basket", "kinds", "last", "last_log_total", "lines", "order", "orders", "own",
        "own_total", "position", "prices", "quantities", "score_weights", "scores", "weight_total",
    )  # fmt: skip

    def __init__(self, components: int) -> None:
        self.own: dict[int, OwnItem] = {}
        self.own_total = 0
        self.weight_total = 0.0
        self.kinds = 0  # items bought for the first time, the forgotten ones counted again
        self.orders = self.lines = self.position = 0
        self.order = self.at_ms = 0
        self.basket: dict[int, None] = {}
        self.last: list[int] = []
        self.prices = self.quantities = 0.0  # sums of logs over the open order
        self.last_log_total = 0.0
        self.scores = np.zeros((2, components))
        self.score_weights = np.zeros((2, 1))

    @property
    def previous(self) -> int:
        """The item on the last line."""
        return self.last[0] if self.last else UNKNOWN

    def continues(self, order: int) -> bool:
        """Return whether a line of this order would go on with the open one."""
        return self.lines > 0 and order == self.order != 0

    def read(self, item: int) -> Reading:
        """Return what is remembered of an item, as of now."""
        mine, before = self.own.get(item), self.own.get(self.previous)
        return Reading(
            mine.count if mine else 0,
            self.own_total,
            self._weight(mine) if mine else 0.0,
            self.weight_total,
            before.next.get(item, 0) if before else 0,
            before.next_total if before else 0,
        )

    def add(
        self, item: int, order: int, at_ms: int, logs: tuple[float, float, float], limits: Limits
    ) -> None:
        """Remember one line; ``logs`` are the ``log1p`` of its price, quantity and total."""
        previous = self.previous
        if not self.continues(order):
            self._open(order)
        if item != UNKNOWN:
            self._follow(previous, item, limits.successors)
            self._own(item, limits.items)
            _renew(self.basket, item, None, limits.basket)
        self.last = [item, *self.last[: WINDOW - 1]]
        self.lines, self.position, self.at_ms = self.lines + 1, self.position + 1, at_ms
        self.prices += logs[0]
        self.quantities += logs[1]
        self.last_log_total = logs[2]

    def score(self, log_p: Floats | None, opening: bool) -> None:
        """Remember how well the K components had expected a line; ``None`` for an unknown item.

        Lines are scored in the order in which they were added, at once or later.
        """
        first = 1 if opening else 0  # an order's opening says nothing about how its lines run
        if opening:
            self.scores[0], self.score_weights[0] = 0.0, 0.0
        if log_p is not None:
            decays = SCORE_DECAYS[first:]
            self.scores[first:] = self.scores[first:] * decays + log_p
            self.score_weights[first:] = self.score_weights[first:] * decays + 1.0

    def to_bytes(self) -> bytes:
        """Return the memory; equal memories give equal bytes."""
        own = list(self.own.values())
        head = HEAD.pack(
            FORMAT, self.scores.shape[1], len(own), len(self.basket), len(self.last),
            self.kinds, self.orders, self.lines, self.position, self.own_total, self.order,
            self.at_ms, self.weight_total, self.prices, self.quantities, self.last_log_total,
        )  # fmt: skip
        whole = [
            *self.own, *(i.count for i in own), *(i.order for i in own),
            *(len(i.next) for i in own), *self.basket, *self.last,
            *(item for i in own for item in i.next),
            *(count for i in own for count in i.next.values()),
        ]  # fmt: skip
        real = np.concatenate(
            [[i.weight for i in own], self.scores.ravel(), self.score_weights.ravel()]
        )
        return head + np.array(whole, WHOLE).tobytes() + real.astype("<f8").tobytes()

    @staticmethod
    def from_bytes(data: bytes) -> Memory:
        """Return the memory that ``to_bytes`` wrote, equal to the bit.

        Raises:
            UnreadableMemory: it was written in another format.
        """
        if data[0] != FORMAT:
            raise UnreadableMemory(found=data[0], expected=FORMAT)
        _, components, kept, in_basket, in_window, *numbers = HEAD.unpack_from(data)
        memory = Memory(components)
        memory._take_head(*numbers)
        reals = kept + 2 * components + 2
        whole = np.frombuffer(data[HEAD.size : len(data) - 8 * reals], WHOLE).tolist()
        real = np.frombuffer(data[len(data) - 8 * reals :], "<f8").astype(np.float64)
        own, rest = whole[: 4 * kept], whole[4 * kept :]
        memory.basket = dict.fromkeys(rest[:in_basket])
        memory.last = rest[in_basket : in_basket + in_window]
        memory._take_own(own, rest[in_basket + in_window :], real[:kept].tolist())
        memory.scores = real[kept:-2].reshape(2, components).copy()
        memory.score_weights = real[-2:].reshape(2, 1).copy()
        return memory

    def copy(self) -> Memory:
        """Return an equal memory that shares nothing that changes."""
        return Memory.from_bytes(self.to_bytes())

    def _take_own(self, columns: list[int], next_lines: list[int], weights: list[float]) -> None:
        kept, half, start = len(weights), len(next_lines) // 2, 0
        items, counts, orders, lengths = (columns[n * kept : (n + 1) * kept] for n in range(4))
        for item, count, weight, order, length in zip(
            items, counts, weights, orders, lengths, strict=True
        ):
            times = next_lines[half + start : half + start + length]
            following = dict(zip(next_lines[start : start + length], times, strict=True))
            self.own[item] = OwnItem(count, weight, order, following, sum(times))
            start += length

    def _take_head(
        self, kinds: int, orders: int, lines: int, position: int, own_total: int, order: int,
        at_ms: int, *real: float,
    ) -> None:  # fmt: skip
        self.kinds, self.orders, self.lines, self.position = kinds, orders, lines, position
        self.own_total, self.order, self.at_ms = own_total, order, at_ms
        self.weight_total, self.prices, self.quantities, self.last_log_total = real

    def _open(self, order: int) -> None:
        self.order, self.orders, self.position = order, self.orders + 1, 0
        self.weight_total *= ORDER_DECAY
        self.basket, self.last = {}, []
        self.prices = self.quantities = 0.0

    def _own(self, item: int, kept: int) -> None:
        mine = self.own.pop(item, None)
        if mine is None:
            mine = OwnItem(0, 0.0, self.orders, {}, 0)
            self.kinds += 1
        mine.weight, mine.order = self._weight(mine) + 1.0, self.orders
        mine.count += 1
        self.own[item] = mine
        self.own_total += 1
        self.weight_total += 1.0
        if len(self.own) > kept:
            oldest = self.own.pop(next(iter(self.own)))
            self.own_total -= oldest.count
            self.weight_total -= self._weight(oldest)

    def _follow(self, previous: int, item: int, kept: int) -> None:
        before = self.own.get(previous)
        if before is None:
            return
        forgotten = _renew(before.next, item, before.next.get(item, 0) + 1, kept)
        before.next_total += 1 - (forgotten or 0)

    def _weight(self, item: OwnItem) -> float:
        return item.weight * ORDER_DECAY ** (self.orders - item.order)


def _renew(kept: dict[int, Value], key: int, value: Value, most: int) -> Value | None:
    """Set a value as the newest; return the oldest where that one had to go."""
    kept.pop(key, None)
    kept[key] = value
    return kept.pop(next(iter(kept))) if len(kept) > most else None
