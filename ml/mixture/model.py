"""The next item as one object: fitted from events, folded event by event, asked what comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ml.events import EventTable, Floats, Integers
from ml.metrics import ItemScores
from ml.mixture.components import Components, Views
from ml.mixture.fold import Moments, fold_day
from ml.mixture.frame import Frame, MixtureConfig, Walk, component_names, walk
from ml.mixture.gate import Gate, fit_gate
from ml.mixture.inputs import GateInputs, Singles, Told
from ml.mixture.lines import UNKNOWN
from ml.mixture.market import Snapshot, Snapshots
from ml.mixture.memory import Memory
from ml.mixture.network import NetworkComponents, NetworkStateMissing
from ml.mixture.panel import Panel, Stop, panel
from ml.mixture.tables import Matrix
from ml.timing import DAY_MS
from ml.twin import TwinModel

MISS = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Scored:
    """How a mixture did on each line asked for, told and not told when the line comes.

    ``row`` (T,) are rows in the table of events.
    """

    row: Integers
    untold: ItemScores
    told: ItemScores


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """A fitted mixture; immutable. ``told_gate`` knows when the next line comes, ``gate`` does not.

    Shapes: B memories, V items of the vocabulary, K components, H hidden of the network.
    """

    frame: Frame
    gate: Gate
    told_gate: Gate
    network: NetworkComponents | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the K components are called."""
        return component_names(self.network)

    def fresh(self, customers: int) -> list[Memory]:
        """Return memories of customers of whom nothing is known."""
        return [Memory(len(self.names)) for _ in range(customers)]

    def fold(
        self,
        memories: Sequence[Memory],
        events: EventTable,
        market: Snapshots,
        h: Singles | None = None,
    ) -> list[Memory]:
        """Return the memories after ``events``; the arguments are not changed.

        Row b of the memories is customer b of the table. ``h`` (N, H) is the network's state before
        each event, needed where there is a network. Any chunking ends in the same memories exactly.

        Raises:
            EventBeforeClock: an event is older than its customer's last line.
            NetworkStateMissing: there is a network but no ``h``, or the other way round.
        """
        after = [memory.copy() for memory in memories]
        limits = self.frame.config.limits
        network = self._network(h)
        for day, today in self.frame.lines(events).by_day():
            log_p = network.log_p(h[today.row], today.item) if network and h is not None else None
            fold_day(after, today, market.before(day), limits, network_log_p=log_p)
        return after

    def distribution(
        self,
        memories: Sequence[Memory],
        market: Snapshot,
        countries: Sequence[str],
        *,
        told: Told | None = None,
        h: Singles | None = None,
    ) -> Singles:
        """Return the distribution (B, V) of the next item of each memory.

        With ``told`` it is known when the next line comes and whether it continues the open order.
        ``h`` (B, H) is the network's state, needed where there is a network.

        Raises:
            NetworkStateMissing: there is a network but no ``h``, or the other way round.
        """
        views = Views.of(memories, market.items)
        network = self._network(h)
        shares = network.shares(h) if network and h is not None else ()
        components = Components.of(views, market, shares)
        mass, hot = components.mass(views.basket), self.frame.hot(countries)
        inputs = GateInputs.of(Moments.of(memories), market, hot, mass, told)
        gate = self.gate if told is None else self.told_gate
        return mixed(components, views.basket, *gate.weigh(inputs))

    def score(
        self,
        events: EventTable,
        countries: Sequence[str],
        *,
        from_ms: int,
        on_block: Callable[[int], None] = lambda lines: None,
    ) -> Scored:
        """Return how every line from ``from_ms`` on was expected just before it came.

        ``events`` are whole histories. A customer's first line is left out.
        """
        way = walk(self.frame, events, countries, from_ms, self.network)
        rows: list[Integers] = []
        both: list[tuple[ItemScores, ItemScores]] = []
        for stop in way.stops:
            rows.append(way.lines.row[stop.place])
            both.append(self._score(stop, way))
            on_block(len(stop.place))
        row = np.concatenate(rows)
        order = np.argsort(row)
        untold, told = (_joined(list(parts), order) for parts in zip(*both, strict=True))
        return Scored(row[order], untold, told)

    def _network(self, h: Singles | None) -> NetworkComponents | None:
        if (self.network is None) != (h is None):
            has = "has no" if self.network is None else "has"
            raise NetworkStateMissing(has=has, given="none" if h is None else "given")
        return self.network

    def _score(self, stop: Stop, way: Walk) -> tuple[ItemScores, ItemScores]:
        network = way.network(stop.place) if way.network else ()
        components = Components.of(stop.views, stop.market, network)
        mass, hot = components.mass(stop.views.basket), way.hot[stop.lines.customer]
        untold = GateInputs.of(stop.moments, stop.market, hot, mass)
        told = GateInputs.of(stop.moments, stop.market, hot, mass, stop.told)
        shares = (
            mixed(components, stop.views.basket, *gate.weigh(inputs))
            for gate, inputs in ((self.gate, untold), (self.told_gate, told))
        )
        first, second = (_ranked(share, stop.lines.item) for share in shares)
        return first, second


def mixed(components: Components, basket: Matrix, weights: Floats, damping: Floats) -> Singles:
    """Return the mixture (B, V) with the open order damped, each row summing to 1."""
    share = components.mixed(weights)
    rows = np.repeat(np.arange(len(share)), np.diff(basket.indptr))
    share[rows, basket.indices] *= damping.astype(np.float32)[rows]
    share /= share.sum(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    return share


def fit(
    events: EventTable,
    countries: Sequence[str],
    config: MixtureConfig | None = None,
    *,
    cut_off_ms: int,
    network: TwinModel | None = None,
    gate_network: TwinModel | None = None,
) -> Mixture:
    """Learn a mixture from the events before ``cut_off_ms``; row b of ``countries`` is customer b.

    ``network`` becomes part of the mixture. The gate must not learn from lines that a network was
    trained on, or it trusts it too much; so it is shown ``gate_network``, one that was trained on
    what lies before the gate's window. Equal arguments give an equal mixture on one machine with
    one number of threads.
    """
    config = config or MixtureConfig()
    past = events.rows(events.occurred_at_ms < cut_off_ms)
    frame = Frame.of(past, countries, config)
    shown = gate_network or network
    window = learn_from(frame, past, countries, cut_off_ms, shown)
    return Mixture(
        frame=frame,
        gate=fit_gate(window.inputs, window.targets, config.gate)[0],
        told_gate=fit_gate(window.told, window.targets, config.gate)[0],
        network=NetworkComponents(network, frame.vocabulary) if network else None,
    )


def learn_from(
    frame: Frame,
    events: EventTable,
    countries: Sequence[str],
    cut_off_ms: int,
    network: TwinModel | None,
) -> Panel:
    """Return the panel of the gate's window, the last ``gate_days`` before the cut-off."""
    shown = NetworkComponents(network, frame.vocabulary) if network else None
    from_ms = cut_off_ms - frame.config.gate_days * DAY_MS
    way = walk(frame, events, countries, from_ms, shown)
    return panel(way.stops, way.hot, way.network)


def _ranked(share: Singles, item: Integers) -> ItemScores:
    """Return rank, ties against it, and negative log-likelihood; unknown items are misses."""
    own = share[np.arange(len(item)), np.maximum(item, 0)]
    rank = (share >= own[:, None]).sum(axis=1)
    known = item != UNKNOWN
    nll = -np.log(own.astype(np.float64))
    return ItemScores(np.where(known, rank, MISS), np.where(known, nll, np.nan))


def _joined(parts: Sequence[ItemScores], order: Integers) -> ItemScores:
    rank = np.concatenate([part.rank for part in parts])
    nll = np.concatenate([part.nll for part in parts])
    return ItemScores(rank[order], nll[order])
