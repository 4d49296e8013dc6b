"""The fold: memories over lines, day by day, each against the snapshot of the midnight before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.errors import EventBeforeClock
from ml.events import Floats, Integers
from ml.mixture.components import ViewMaker, Views, item_probabilities, window
from ml.mixture.lines import UNKNOWN, Lines
from ml.mixture.market import Snapshot
from ml.mixture.memory import WINDOW, Limits, Memory, Reading

MOMENT = (
    "position", "orders", "lines", "kinds", "log_prices", "log_quantities", "last_log_total",
    "own_total", "next_total",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moments:
    """Memories as they were at N moments, as far as a gate looks at them.

    Shapes: ``numbers`` (N, ``MOMENT``), ``at_ms`` (N,) the last line, ``last`` (N, WINDOW),
    ``scores`` (N, 2, K), ``score_weights`` (N, 2).
    """

    numbers: Floats
    at_ms: Integers
    last: Integers
    scores: Floats
    score_weights: Floats

    @staticmethod
    def of(memories: Sequence[Memory]) -> Moments:
        """Return what memories are now."""
        maker = _MomentMaker()
        for memory in memories:
            maker.add(memory)
        return maker.moments(
            [m.scores.copy() for m in memories], [m.score_weights[:, 0].copy() for m in memories]
        )

    def rows(self, index: NDArray[Any]) -> Moments:
        """Return the moments of a mask or index."""
        return Moments(*(getattr(self, f.name)[index] for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Folded:
    """The lines of a day and what was known just before each.

    ``log_p`` (N, K) is what the components gave to each line, 0 where its item is unknown;
    ``continues`` (N,) whether it went on with the open order. ``views`` are of the lines asked for.
    """

    moments: Moments
    log_p: Floats
    continues: NDArray[np.bool_]
    views: Views


def fold_day(
    memories: Sequence[Memory],
    lines: Lines,
    market: Snapshot,
    limits: Limits,
    *,
    asked: NDArray[np.bool_] | None = None,
    network_log_p: Floats | None = None,
) -> Folded:
    """Fold lines that all fall on the snapshot's day into the memories, which change.

    ``lines.customer`` are places among the memories. ``network_log_p`` (N, L) is what the network's
    distributions gave to each line, where the memories keep their scores too.

    Raises:
        EventBeforeClock: a line is older than the last one of its customer's memory.
    """
    maker, views = _MomentMaker(), ViewMaker()
    readings: list[Reading] = []
    continues: list[bool] = []
    wanted = [False] * len(lines) if asked is None else asked.tolist()
    for n, (customer, item, order, at_ms, *logs) in enumerate(_rows(lines)):
        memory = memories[customer]
        if at_ms < memory.at_ms:
            raise EventBeforeClock(customer=customer, occurred_at_ms=at_ms, clock_ms=memory.at_ms)
        maker.add(memory)
        if wanted[n]:
            views.add(memory)
        readings.append(memory.read(item))
        continues.append(memory.continues(order))
        memory.add(item, order, at_ms, (logs[0], logs[1], logs[2]), limits)
    log_p = _log_p(lines, np.array(maker.last).reshape(-1, WINDOW), readings, market)
    if network_log_p is not None:
        log_p = np.concatenate([log_p, network_log_p], axis=1)
    moments = maker.moments(*_score(memories, lines, log_p, continues))
    return Folded(moments, log_p, np.array(continues, np.bool_), views.views(market.items))


def _rows(lines: Lines) -> zip[tuple[int, int, int, int, float, float, float]]:
    columns = (
        lines.customer, lines.item, lines.order, lines.at_ms, lines.log_price, lines.log_quantity,
        lines.log_total,
    )  # fmt: skip
    return zip(*(column.tolist() for column in columns), strict=True)


def _log_p(lines: Lines, last: Integers, readings: Sequence[Reading], market: Snapshot) -> Floats:
    known = lines.item != UNKNOWN
    chosen = [
        reading for reading, is_known in zip(readings, known.tolist(), strict=True) if is_known
    ]
    p = item_probabilities(lines.item[known], last[known], chosen, market)
    log_p = np.zeros((len(lines), p.shape[1]))
    log_p[known] = np.log(p)
    return log_p


def _score(
    memories: Sequence[Memory], lines: Lines, log_p: Floats, continues: Sequence[bool]
) -> tuple[list[Floats], list[Floats]]:
    """Let the memories score the lines; return the scores and their weights before each."""
    scores: list[Floats] = []
    weights: list[Floats] = []
    known = (lines.item != UNKNOWN).tolist()
    for n, customer in enumerate(lines.customer.tolist()):
        memory = memories[customer]
        scores.append(memory.scores.copy())
        weights.append(memory.score_weights[:, 0].copy())
        memory.score(log_p[n] if known[n] else None, not continues[n])
    return scores, weights


class _MomentMaker:
    """Collects moments one by one."""

    def __init__(self) -> None:
        self.numbers: list[tuple[float, ...]] = []
        self.at_ms: list[int] = []
        self.last: list[list[int]] = []

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

    def moments(self, scores: Sequence[Floats], weights: Sequence[Floats]) -> Moments:
        return Moments(
            np.array(self.numbers, np.float64).reshape(-1, len(MOMENT)),
            np.array(self.at_ms, np.int64),
            np.array(self.last, np.int64).reshape(-1, WINDOW),
            np.stack(scores) if scores else np.zeros((0, 2, 0)),
            np.stack(weights) if weights else np.zeros((0, 2)),
        )
