"""What a gate looks at: numbers of a moment, what the market knows of it, when the line comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
COUNTED = ("position", "orders", "lines", "own_total", "next_total")
COUNTED_PLACES = [MOMENT.index(name) for name in COUNTED]
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
    moments: Moments,
    market: Snapshot,
    countries: int,
    mass: Floats,
    tellings: Sequence[Told | None] = (None,),
) -> list[Singles]:
    """Return the inputs (N, F) of a gate at these moments, for each telling.

    ``countries`` have a row of their own, ``mass`` (N, K) is what the components give to the items
    of the open order.
    """
    known = _joined([*_history(moments), *_support(moments, market)])
    masses = np.log(mass + LEAST_MASS).astype(np.float32)
    home = (moments.country[:, None] == np.arange(countries + 1)).astype(np.float32)
    return [
        np.concatenate([known, _joined(_told(moments, told)), masses, home], axis=1)
        for told in tellings
    ]


def inputs_of_gate(components: int, countries: int, *, told: bool) -> int:
    """Return the number F of inputs; ``countries`` are those with a row of their own."""
    return HISTORY + SUPPORT + CLOCK + (WHEN if told else 0) + components + countries + 1


def _joined(columns: Sequence[NDArray[Any]]) -> Singles:
    """Return the columns side by side; ``np.stack`` takes several times as long for one row."""
    joined = np.empty((len(columns[0]), len(columns)), np.float32)
    for place, column in enumerate(columns):
        joined[:, place] = column
    return joined


def _history(moments: Moments) -> list[NDArray[Any]]:
    """Return position, orders and lines so far, variety, and the level of the open order."""
    of = dict(zip(MOMENT, moments.numbers.T, strict=True))
    log_of = dict(zip(COUNTED, np.log1p(moments.numbers[:, COUNTED_PLACES]).T, strict=True))
    position = np.maximum(of["position"], 1)
    usual = of["lines"] / np.maximum(of["orders"], 1)
    return [
        log_of["position"],
        of["position"] <= 1,
        log_of["position"] - np.log1p(usual),
        log_of["orders"],
        log_of["lines"],
        of["kinds"] / np.maximum(of["lines"], 1),
        of["log_prices"] / position,
        of["log_quantities"] / position,
        of["last_log_total"],
        log_of["own_total"],
        log_of["next_total"],
    ]


def _support(moments: Moments, market: Snapshot) -> list[Floats]:
    """Return how much the tables of the market know of the last lines."""
    previous = moments.last[:, 0]
    skips = market.skips.total(moments.last[:, SKIP_PLACES]).sum(axis=1)
    return [
        np.log1p(market.transitions.total(previous)),
        np.log1p(market.recent_transitions.total(previous)),
        np.log1p(skips),
        np.log1p(market.neighbours.total(previous)),
    ]


def _told(moments: Moments, told: Told | None) -> list[Floats]:
    """Return the time of the last line; where it is told, that of the next one, and how far off."""
    if told is None:
        return _clock(moments.at_ms)
    return [*_clock(told.at_ms), *_when(moments, told)]


def _clock(at_ms: Integers) -> list[Floats]:
    hour = 2 * np.pi * (at_ms % DAY_MS) / DAY_MS
    weekday = 2 * np.pi * ((at_ms // DAY_MS + EPOCH_WEEKDAY) % WEEK_DAYS) / WEEK_DAYS
    return [np.sin(hour), np.cos(hour), np.sin(weekday), np.cos(weekday)]


def _when(moments: Moments, told: Told) -> list[Floats]:
    days = (told.at_ms - moments.at_ms) / DAY_MS
    return [told.continues.astype(np.float64), np.log1p(np.where(told.continues, 0.0, days))]
