"""The next item as one object: fitted from events, folded event by event, asked what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np

from ml.events import EventTable, Floats, Integers
from ml.metrics import ItemScores
from ml.mixture.components import Cells, Components, Views
from ml.mixture.fold import Before, Moments, fold_lines
from ml.mixture.frame import Frame, MixtureConfig, Walk, component_names, walk
from ml.mixture.gate import Gate, fit_gate
from ml.mixture.inputs import Singles, Told, gate_inputs
from ml.mixture.lines import UNKNOWN
from ml.mixture.market import Snapshot
from ml.mixture.memory import Memory
from ml.mixture.network import NetworkComponents, NetworkStateMissing
from ml.mixture.panel import VIEWS_PER_BLOCK, Panel, Stop, panel
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

    ``market`` is the one of the cut-off; a newer one, where there is one, foretells better.

    Shapes: B memories, V items of the vocabulary, K components, H hidden of the network.
    """

    frame: Frame
    gate: Gate
    told_gate: Gate
    market: Snapshot
    network: NetworkComponents | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the K components are called."""
        return component_names(self.network)

    def fresh(self, countries: Sequence[str]) -> list[bytes]:
        """Return memories of customers of whom only the country is known, as bytes."""
        return [memory.to_bytes() for memory in self.frame.memories(countries)]

    def fold(self, memories: Sequence[bytes], events: EventTable) -> list[bytes]:
        """Return the memories after ``events``; row b of the memories is customer b of the table.

        Any chunking ends in the same bytes. Only purchases leave a trace.

        Raises:
            EventBeforeClock: an event is older than its customer's last line.
            UnreadableMemory: a memory was written in another format.
        """
        after, lines = list(memories), self.frame.lines(events)
        who = dict.fromkeys(lines.customer.tolist())
        changed = {customer: Memory.from_bytes(after[customer]) for customer in who}
        fold_lines(changed, lines, self.frame.config.limits)
        for customer, memory in changed.items():
            after[customer] = memory.to_bytes()
        return after

    def distribution(
        self,
        memories: Sequence[Memory],
        market: Snapshot,
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
        shares = self._shares(h)
        found = np.empty((len(memories), market.items), np.float32)
        for rows in _blocks(len(memories)):
            views, moments = Views.of(memories[rows]), Moments.of(memories[rows])
            components = Components.of(views, market, tuple(share[rows] for share in shares))
            asked = (told and told.rows(rows),)
            (found[rows],) = self._mixed(components, views, moments, market, asked)
        return found

    def score_looks(
        self, before: Before, item: Integers, market: Snapshot, h: Singles | None = None
    ) -> ItemScores:
        """Return how the items (N,) that came after these looks at memories were expected.

        Untold when they come; ``h`` as in ``distribution``.
        """
        shares = self._shares(h)
        parts: list[ItemScores] = []
        for block in _blocks(len(item)):
            rows = np.arange(block.start, block.stop)
            views, moments = before.views.rows(rows), before.moments.rows(rows)
            components = Components.of(views, market, tuple(share[rows] for share in shares))
            (share,) = self._mixed(components, views, moments, market, (None,))
            parts.append(_ranked(share, item[rows]))
        return _joined(parts, np.arange(len(item)))

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

    def _shares(self, h: Singles | None) -> tuple[Singles, ...]:
        if (self.network is None) != (h is None):
            has = "has no" if self.network is None else "has"
            raise NetworkStateMissing(has=has, given="none" if h is None else "given")
        return self.network.shares(h) if self.network and h is not None else ()

    def _score(self, stop: Stop, way: Walk) -> tuple[ItemScores, ItemScores]:
        network = way.network(stop.place) if way.network else ()
        components = Components.of(stop.views, stop.market, network)
        tellings = (None, stop.told)
        untold, told = self._mixed(components, stop.views, stop.moments, stop.market, tellings)
        return _ranked(untold, stop.lines.item), _ranked(told, stop.lines.item)

    def _mixed(
        self,
        components: Components,
        views: Views,
        moments: Moments,
        market: Snapshot,
        tellings: Sequence[Told | None],
    ) -> Iterator[Singles]:
        mass = components.mass(views.basket)
        inputs = gate_inputs(moments, market, len(self.frame.countries), mass, tellings)
        untold = (told is None for told in tellings)
        for plain, group in groupby(zip(untold, inputs, strict=True), key=itemgetter(0)):
            seen = [columns for _, columns in group]
            gate = self.gate if plain else self.told_gate
            weights, damping = gate.weigh(np.concatenate(seen))  # all at once: a call is dear
            for row in range(0, len(damping), len(moments.at_ms)):
                rows = slice(row, row + len(moments.at_ms))
                yield mixed(components, views.basket, weights[rows], damping[rows])


def mixed(components: Components, basket: Cells, weights: Floats, damping: Floats) -> Singles:
    """Return the mixture (B, V) with the open order damped, each row summing to 1."""
    share = components.mixed(weights)
    share[basket.rows, basket.columns] *= damping.astype(np.float32)[basket.rows]
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
    window, market = learn_from(frame, past, countries, cut_off_ms, shown)
    return Mixture(
        frame=frame,
        gate=fit_gate(window.inputs, window.targets, config.gate)[0],
        told_gate=fit_gate(window.told, window.targets, config.gate)[0],
        market=market,
        network=NetworkComponents(network, frame.vocabulary) if network else None,
    )


def learn_from(
    frame: Frame,
    events: EventTable,
    countries: Sequence[str],
    cut_off_ms: int,
    network: TwinModel | None,
) -> tuple[Panel, Snapshot]:
    """Return the panel of the gate's window, the last ``gate_days`` before the cut-off.

    Beside it stands the market of the cut-off, or of the midnight after it.
    """
    shown = NetworkComponents(network, frame.vocabulary) if network else None
    from_ms = cut_off_ms - frame.config.gate_days * DAY_MS
    way = walk(frame, events, countries, from_ms, shown)
    window = panel(way.stops, len(frame.countries), way.network)
    return window, way.market.before(-(-cut_off_ms // DAY_MS))


def _blocks(rows: int) -> Iterator[slice]:
    for start in range(0, rows, VIEWS_PER_BLOCK):
        yield slice(start, min(start + VIEWS_PER_BLOCK, rows))


def _ranked(share: Singles, item: Integers) -> ItemScores:
    """Return rank, ties against it, and negative log-likelihood; unknown items are misses."""
    own = share[np.arange(len(item)), np.maximum(item, 0)]
    rank = (share >= own[:, None]).sum(axis=1)
    known = item != UNKNOWN
    nll = -np.log(own.astype(np.float64))
    return ItemScores(np.where(known, rank, MISS), np.where(known, nll, np.nan))


def _joined(parts: Sequence[ItemScores], order: Integers) -> ItemScores:
    rank = np.concatenate([np.empty(0, np.int64), *(part.rank for part in parts)])
    nll = np.concatenate([np.empty(0), *(part.nll for part in parts)])
    return ItemScores(rank[order], nll[order])
