"""The fold: memories over lines, and what memories were just before some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import EventBeforeClock
from ml.events import Floats, Integers
from ml.mixture.components import ViewMaker, Views, window
from ml.mixture.lines import Lines
from ml.mixture.memory import WINDOW, Limits, Memory

MOMENT = (
    "position", "orders", "lines", "kinds", "log_prices", "log_quantities", "last_log_total",
    "own_total", "next_total",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moments:
    """Memories as they were at N moments, as far as a gate looks at them.

    Shapes: ``numbers`` (N, ``MOMENT``), ``at_ms`` (N,) the last line, ``last`` (N, WINDOW),
    ``country`` (N,) rows of the frame.
    """

    numbers: Floats
    at_ms: Integers
    last: Integers
    country: Integers

    @staticmethod
    def of(memories: Sequence[Memory]) -> Moments:
        """Return what memories are now."""
        maker = _MomentMaker()
        for memory in memories:
            maker.add(memory)
        return maker.moments()

    def rows(self, index: NDArray[Any]) -> Moments:
        """Return the moments of a mask or index."""
        return Moments(*(getattr(self, f.name)[index] for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Before:
    """What was known just before the lines asked for; ``continues`` (N,): they went on an order."""

    moments: Moments
    continues: NDArray[np.bool_]
    views: Views


def fold_lines(memories: Mapping[int, Memory], lines: Lines, limits: Limits) -> None:
    """Fold lines into their customers' memories, which change.

    Raises:
        EventBeforeClock: a line is older than the last one of its customer's memory.
    """
    for customer, line in zip(lines.customer.tolist(), _rows(lines), strict=True):
        _fold(memories[customer], customer, line, limits)


def fold_and_look(
    memories: Mapping[int, Memory],
    lines: Lines,
    limits: Limits,
    asked: NDArray[np.bool_],
) -> Before:
    """Fold lines as ``fold_lines`` does; return what was known before those ``asked`` for (N,)."""
    maker, views = _MomentMaker(), ViewMaker()
    continues: list[bool] = []
    rows = zip(lines.customer.tolist(), asked.tolist(), _rows(lines), strict=True)
    for customer, wanted, line in rows:
        memory = memories[customer]
        if wanted:
            maker.add(memory)
            views.add(memory)
            continues.append(memory.continues(line[1]))
        _fold(memory, customer, line, limits)
    return Before(maker.moments(), np.array(continues, np.bool_), views.views())


_Line = tuple[int, int, int, float, float, float]


def _fold(memory: Memory, customer: int, line: _Line, limits: Limits) -> None:
    item, order, at_ms, log_price, log_quantity, log_total = line
    if at_ms < memory.at_ms:
        raise EventBeforeClock(customer=customer, occurred_at_ms=at_ms, clock_ms=memory.at_ms)
    memory.add(item, order, at_ms, (log_price, log_quantity, log_total), limits)


def _rows(lines: Lines) -> zip[_Line]:
    columns = (
        lines.item, lines.order, lines.at_ms, lines.log_price, lines.log_quantity, lines.log_total,
    )  # fmt: skip
    return zip(*(column.tolist() for column in columns), strict=True)


class _MomentMaker:
    """Collects moments one by one."""

    def __init__(self) -> None:
        self.numbers: list[tuple[float, ...]] = []
        self.at_ms: list[int] = []
        self.last: list[list[int]] = []
        self.country: list[int] = []

    def add(self, memory: Memory) -> None:
        before = memory.own.get(memory.previous)
        self.numbers.append(
            (
                memory.position, memory.orders, memory.lines, memory.kinds, memory.prices,
                memory.quantities, memory.last_log_total, memory.own_total,
                before.next_total if before else 0,
            )
        )  # fmt: skip
        self.at_ms.append(memory.at_ms)
        self.last.append(window(memory))
        self.country.append(memory.country)

    def moments(self) -> Moments:
        return Moments(
            np.array(self.numbers, np.float64).reshape(-1, len(MOMENT)),
            np.array(self.at_ms, np.int64),
            np.array(self.last, np.int64).reshape(-1, WINDOW),
            np.array(self.country, np.int64),
        )
