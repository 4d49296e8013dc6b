"""One pass over a history that stops before lines: what a gate learns from and is judged on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.events import Floats, Integers
from ml.mixture.components import Components, Views
from ml.mixture.fold import Folded, Moments, fold_day
from ml.mixture.gate import GateTargets
from ml.mixture.inputs import GateInputs, Singles, Told
from ml.mixture.lines import UNKNOWN, Lines
from ml.mixture.market import Snapshot, Snapshots
from ml.mixture.memory import Limits, Memory
from ml.mixture.tables import Matrix

VIEWS_PER_BLOCK = 1_024

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
    memories: Sequence[Memory],
    limits: Limits,
    network: Floats | None = None,
) -> Iterator[Stop]:
    """Fold all lines into the memories and yield, in blocks of one day, those asked for (N,).

    ``network`` (N, L) are the log-probabilities of each line under the network.
    """
    place = np.arange(len(lines))
    for day, today in _with_place(lines, place):
        snapshot = market.before(day)
        part = lines.rows(today)
        folded = fold_day(
            memories, part, snapshot, limits, asked=asked[today],
            network_log_p=None if network is None else network[today],
        )  # fmt: skip
        yield from _blocks(folded, part, today, np.flatnonzero(asked[today]), snapshot)


def _with_place(lines: Lines, place: Integers) -> Iterator[tuple[int, Integers]]:
    order = np.argsort(lines.day, kind="stable")
    present, first = np.unique(lines.day[order], return_index=True)
    yield from zip(present.tolist(), np.split(place[order], first[1:]), strict=True)


def _blocks(
    folded: Folded, lines: Lines, today: Integers, asked: Integers, market: Snapshot
) -> Iterator[Stop]:
    for start in range(0, len(asked), VIEWS_PER_BLOCK):
        rows = asked[start : start + VIEWS_PER_BLOCK]
        views = slice(start, start + len(rows))
        yield Stop(
            today[rows], lines.rows(rows), market, folded.views.rows(views),
            folded.moments.rows(rows), folded.continues[rows],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Panel:
    """Known lines, and what gate and components made of the moment before each.

    ``place`` (N,) are places in the table of lines.
    """

    place: Integers
    inputs: GateInputs
    told: GateInputs
    targets: GateTargets

    def rows(self, index: NDArray[np.bool_] | Integers) -> Panel:
        """Return the rows of a mask or index."""
        t = self.targets
        targets = GateTargets(t.p[index], t.mass[index], t.damped[index], t.customer[index])
        return Panel(self.place[index], self.inputs.rows(index), self.told.rows(index), targets)


def panel(every: Iterator[Stop], countries: Singles, network: NetworkRows | None = None) -> Panel:
    """Return the panel of the stops whose item is known and has been sold before their day.

    ``countries`` (B, C) are one-hot rows of all customers. An item that nobody had ever bought is
    left out: a model's vocabulary holds no such item when the model is used.
    """
    parts = [_part(stop, countries, network) for stop in every]
    place, plain, told, p, mass, damped, customer = zip(*parts, strict=True)
    targets = GateTargets(
        np.concatenate(p), np.concatenate(mass), np.concatenate(damped), np.concatenate(customer)
    )
    return Panel(
        np.concatenate(place),
        GateInputs.concat(list(plain)),
        GateInputs.concat(list(told)),
        targets,
    )


def _part(
    stop: Stop, countries: Singles, network: NetworkRows | None
) -> tuple[Integers, GateInputs, GateInputs, Floats, Floats, NDArray[np.bool_], Integers]:
    sold = stop.market.popularity[0] > stop.market.popularity[0].min()
    item = stop.lines.item
    kept = np.flatnonzero((item != UNKNOWN) & sold[np.maximum(item, 0)])
    views, moments, item = stop.views.rows(kept), stop.moments.rows(kept), item[kept]
    place = stop.place[kept]
    components = Components.of(views, stop.market, network(place) if network else ())
    one_hot = countries[stop.lines.customer[kept]]
    told = Told(stop.continues[kept], stop.lines.at_ms[kept])
    mass = components.mass(views.basket)
    return (
        place,
        GateInputs.of(moments, stop.market, one_hot, mass),
        GateInputs.of(moments, stop.market, one_hot, mass, told),
        components.at(item),
        mass,
        _contains(views.basket, item),
        stop.lines.customer[kept],
    )


def _contains(basket: Matrix, item: Integers) -> NDArray[np.bool_]:
    found = basket[np.arange(len(item)), item]
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found).ravel() > 0
