"""The walk through whole histories: what was known before each order, never looking ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ml.basket.features import Candidates, candidates
from ml.basket.known import Known
from ml.basket.shelf import Shelf
from ml.events import Integers
from ml.mixture.fold import fold_lines
from ml.mixture.frame import Frame
from ml.mixture.lines import Lines, by_value, same_as_before
from ml.mixture.market import Snapshots
from ml.mixture.memory import Memory


@dataclass(frozen=True, slots=True)
class Asked:
    """What was known of one order: ``line`` is the row of its first line in the table of lines."""

    line: int
    known: Known
    candidates: Candidates


def walk(
    frame: Frame,
    lines: Lines,
    countries: Sequence[str],
    market: Snapshots,
    asked: Integers,
) -> Iterator[Asked]:
    """Yield what was known before each of the lines asked for, by day.

    ``lines`` are whole histories, ``asked`` are rows of them that begin an order. A customer's
    first order is left out: there is nothing to predict it from.
    """
    memories = frame.memories(countries)
    folded = np.searchsorted(lines.customer, np.arange(len(memories)))  # up to which line
    for day, places in by_value(lines.day[asked]):
        shelf = Shelf.of(market.before(day))
        rows = asked[places]
        known: list[Known] = []
        kept: list[int] = []
        for row in rows.tolist():
            customer = int(lines.customer[row])
            memory = memories[customer]
            _catch_up(memory, customer, lines, slice(int(folded[customer]), row), frame)
            folded[customer] = row
            if memory.lines:
                kept.append(row)
                known.append(Known.of(memory, day))
        found = zip(kept, known, candidates(known, shelf), strict=True)
        yield from (Asked(*one) for one in found)


def order_starts(lines: Lines) -> Integers:
    """Return the rows at which an order begins, ascending."""
    goes_on = same_as_before(lines.customer) & same_as_before(lines.order) & (lines.order != 0)
    return np.flatnonzero(~goes_on)


def baskets(lines: Lines, starts: Integers) -> dict[int, Integers]:
    """Return the distinct items of each order by the row at which it begins."""
    return {rows.start: np.unique(lines.item[rows]) for rows in orders(lines, starts)}


def orders(lines: Lines, starts: Integers) -> list[slice]:
    """Return the rows of each order."""
    edges = np.append(starts, len(lines)).tolist()
    return [slice(start, end) for start, end in pairwise(edges)]


def _catch_up(memory: Memory, customer: int, lines: Lines, rows: slice, frame: Frame) -> None:
    if rows.start < rows.stop:
        part = lines.rows(np.arange(rows.start, rows.stop))
        fold_lines({customer: memory}, part, frame.config.limits)
