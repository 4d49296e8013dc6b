"""One pass over a history that stops before lines: what a gate learns from and is judged on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.errors import MlError
from ml.events import Floats, Integers
from ml.mixture.components import Components, Views
from ml.mixture.fold import Before, Moments, fold_and_look
from ml.mixture.gate import GateTargets
from ml.mixture.inputs import Singles, Told, gate_inputs
from ml.mixture.lines import UNKNOWN, Lines, by_value
from ml.mixture.market import Snapshot, Snapshots
from ml.mixture.memory import Limits, Memory

VIEWS_PER_BLOCK = 64  # 25,000 numbers each, with 3,500 items


class NothingInWindow(MlError):
    """A gate learns from lines that have an earlier line of the same customer."""

    code = "nothing-in-window"
    template = (
        "no customer bought a known item for a second time in the gate's window: begin it earlier"
    )


NetworkRows = Callable[[Integers], tuple[Singles, ...]]  # of places in the table of lines


@dataclass(frozen=True, slots=True)
class Stop:
    """Lines of one day, just before each: its memory's views and moment, and the day's market.

    ``place`` (B,) are the lines' places in the whole table.
    """

    place: Integers
    lines: Lines
    market: Snapshot
    views: Views
    moments: Moments
    continues: NDArray[np.bool_]

    @property
    def told(self) -> Told:
        """When each line came."""
        return Told(self.continues, self.lines.at_ms)


def stops(
    lines: Lines,
    asked: NDArray[np.bool_],
    market: Snapshots,
    memories: Mapping[int, Memory],
    limits: Limits,
) -> Iterator[Stop]:
    """Fold all lines into the memories and yield, in blocks of one day, those asked for (N,)."""
    for day, today in by_value(lines.day):
        snapshot = market.before(day)
        part, wanted = lines.rows(today), asked[today]
        before = fold_and_look(memories, part, limits, wanted)
        yield from _blocks(before, part.rows(wanted), today[wanted], snapshot)


def _blocks(before: Before, lines: Lines, place: Integers, market: Snapshot) -> Iterator[Stop]:
    for start in range(0, len(place), VIEWS_PER_BLOCK):
        rows = np.arange(start, min(start + VIEWS_PER_BLOCK, len(place)))
        yield Stop(
            place[rows], lines.rows(rows), market, before.views.rows(rows),
            before.moments.rows(rows), before.continues[rows],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Panel:
    """Known lines, and what gate and components made of the moment before each.

    ``place`` (N,) are places in the table of lines.
    """

    place: Integers
    inputs: Singles
    told: Singles
    targets: GateTargets

    def rows(self, index: NDArray[np.bool_] | Integers) -> Panel:
        """Return the rows of a mask or index."""
        t = self.targets
        targets = GateTargets(t.p[index], t.mass[index], t.damped[index], t.customer[index])
        return Panel(self.place[index], self.inputs[index], self.told[index], targets)


def panel(every: Iterator[Stop], countries: int, network: NetworkRows | None = None) -> Panel:
    """Return the panel of the stops whose item is known and has been sold before their day.

    ``countries`` have a row of their own. An item that nobody had ever bought is left out: a
    model's vocabulary holds no such item when the model is used.

    Raises:
        NothingInWindow: no such stop is left.
    """
    parts = [_part(stop, countries, network) for stop in every]
    if not sum(len(part[0]) for part in parts):
        raise NothingInWindow()
    place, inputs, told, *targets = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Panel(place, inputs, told, GateTargets(*targets))


def _part(
    stop: Stop, countries: int, network: NetworkRows | None
) -> tuple[Integers, Singles, Singles, Floats, Floats, NDArray[np.bool_], Integers]:
    sold = stop.market.popularity[0] > stop.market.popularity[0].min()
    item = stop.lines.item
    kept = np.flatnonzero((item != UNKNOWN) & sold[np.maximum(item, 0)])
    views, moments, item = stop.views.rows(kept), stop.moments.rows(kept), item[kept]
    place = stop.place[kept]
    components = Components.of(views, stop.market, network(place) if network else ())
    told = Told(stop.continues[kept], stop.lines.at_ms[kept])
    mass = components.mass(views.basket)
    untold_inputs, told_inputs = gate_inputs(moments, stop.market, countries, mass, (None, told))
    return (
        place,
        untold_inputs,
        told_inputs,
        components.at(item),
        mass,
        views.basket.holds(item),
        stop.lines.customer[kept],
    )
