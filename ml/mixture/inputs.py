"""What a gate looks at: numbers of a moment, what the market knows of it, when the line comes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.events import Floats, Integers
from ml.mixture.components import SKIP_PLACES
from ml.mixture.fold import MOMENT, Moments
from ml.mixture.market import Snapshot
from ml.timing import DAY_MS

Singles = NDArray[np.float32]

EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0
WEEK_DAYS = 7
LEAST_MASS = 1e-3
HISTORY, SUPPORT, CLOCK, WHEN = 11, 4, 4, 2  # columns of the groups below


@dataclass(frozen=True, slots=True)
class Told:
    """The next line's time, for a gate that is told of it: does it continue the order, and when.

    Shapes: both (N,).
    """

    continues: NDArray[np.bool_]
    at_ms: Integers

    def rows(self, index: slice | Integers) -> Told:
        """Return what is told of some of the moments."""
        return Told(self.continues[index], self.at_ms[index])


def gate_inputs(
    moments: Moments, market: Snapshot, countries: int, mass: Floats, told: Told | None = None
) -> Singles:
    """Return the inputs (N, F) of a gate at these moments.

    ``countries`` have a row of their own, ``mass`` (N, K) is what the components give to the items
    of the open order.
    """
    columns = [
        *_history(moments),
        *_support(moments, market),
        *_clock(moments.at_ms if told is None else told.at_ms),
        *([] if told is None else _when(moments, told)),
        *np.log(mass + LEAST_MASS).T,
    ]
    plain = np.stack(columns, axis=1).astype(np.float32)
    return np.concatenate([plain, _one_hot(moments.country, countries + 1)], axis=1)


def inputs_of_gate(components: int, countries: int, *, told: bool) -> int:
    """Return the number F of inputs; ``countries`` are those with a row of their own."""
    return HISTORY + SUPPORT + CLOCK + (WHEN if told else 0) + components + countries + 1


def _one_hot(rows: Integers, size: int) -> Singles:
    return np.eye(size, dtype=np.float32)[rows]


def _history(moments: Moments) -> list[Floats]:
    """Return position, orders and lines so far, variety, and the level of the open order."""
    of = dict(zip(MOMENT, moments.numbers.T, strict=True))
    position = np.maximum(of["position"], 1)
    usual = of["lines"] / np.maximum(of["orders"], 1)
    return [
        np.log1p(of["position"]),
        (of["position"] <= 1).astype(np.float64),
        np.log1p(of["position"]) - np.log1p(usual),
        np.log1p(of["orders"]),
        np.log1p(of["lines"]),
        of["kinds"] / np.maximum(of["lines"], 1),
        of["log_prices"] / position,
        of["log_quantities"] / position,
        of["last_log_total"],
        np.log1p(of["own_total"]),
        np.log1p(of["next_total"]),
    ]


def _support(moments: Moments, market: Snapshot) -> list[Floats]:
    """Return how much the tables of the market know of the last lines."""
    previous = moments.last[:, 0]
    skips = sum(market.skips.total(moments.last[:, place]) for place in SKIP_PLACES)
    return [
        np.log1p(market.transitions.total(previous)),
        np.log1p(market.recent_transitions.total(previous)),
        np.log1p(skips),
        np.log1p(market.neighbours.total(previous)),
    ]


def _clock(at_ms: Integers) -> list[Floats]:
    hour = 2 * np.pi * (at_ms % DAY_MS) / DAY_MS
    weekday = 2 * np.pi * ((at_ms // DAY_MS + EPOCH_WEEKDAY) % WEEK_DAYS) / WEEK_DAYS
    return [np.sin(hour), np.cos(hour), np.sin(weekday), np.cos(weekday)]


def _when(moments: Moments, told: Told) -> list[Floats]:
    days = (told.at_ms - moments.at_ms) / DAY_MS
    return [told.continues.astype(np.float64), np.log1p(np.where(told.continues, 0.0, days))]
