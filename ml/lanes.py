"""The order in which histories are learned: parallel lanes, each reading one customer at a time.

A long history is cut into windows; the state at the end of one window, without its gradient, is
where the next one starts. So the core learns from the states that it meets in the fold.
Source: session-parallel batches, Hidasi et al. 2016, arXiv:1511.06939; here lanes keep windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.events import Integers

LONG_WINDOWS = 12  # histories longer than this many windows begin first, so no epoch ends with one


@dataclass(frozen=True, slots=True)
class LaneBatch:
    """One window of every lane: rows ``starts`` to ``starts + lengths``; ``fresh`` ones begin."""

    lane: Integers
    history: Integers
    starts: Integers
    lengths: Integers
    fresh: NDArray[np.bool_]


def lane_batches(
    starts: Integers, lengths: Integers, *, window: int, lanes: int, rng: np.random.Generator
) -> Iterator[LaneBatch]:
    """Yield windows until every row of every history was read once, in order within a history.

    Histories come in random order. The first window of a long one has a random length, so that the
    cuts fall elsewhere in every epoch.
    """
    queue = _queue(lengths, window, rng)[::-1].tolist()
    history = np.full(lanes, -1, dtype=np.int64)
    done = np.zeros(lanes, dtype=np.int64)
    while True:
        for lane in np.flatnonzero(history < 0)[: len(queue)].tolist():
            history[lane], done[lane] = queue.pop(), 0
        lane = np.flatnonzero(history >= 0)
        if not lane.size:
            return
        current, read = history[lane], done[lane]
        limit = np.where(read == 0, _first_window(lengths[current], window, rng), window)
        size = np.minimum(lengths[current] - read, limit)
        yield LaneBatch(lane, current, starts[current] + read, size, read == 0)
        done[lane] = read + size
        history[lane[done[lane] == lengths[current]]] = -1


def _queue(lengths: Integers, window: int, rng: np.random.Generator) -> Integers:
    shuffled = rng.permutation(len(lengths))
    long = lengths[shuffled] > LONG_WINDOWS * window
    return np.concatenate((shuffled[long], shuffled[~long]))


def _first_window(lengths: Integers, window: int, rng: np.random.Generator) -> Integers:
    drawn = rng.integers(1, window, len(lengths), endpoint=True)
    return np.where(lengths > window, drawn, window)
