"""The frame of a mixture: its vocabulary, and the walk through whole histories, line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ml.events import EventKind, EventTable, Integers
from ml.mixture.components import NAMES
from ml.mixture.days import day_counts, previous_items
from ml.mixture.gate import GateConfig
from ml.mixture.inputs import Singles, one_hot
from ml.mixture.lines import Lines, same_as_before
from ml.mixture.market import MarketConfig, ReplayedMarket
from ml.mixture.memory import Limits, Memory
from ml.mixture.network import NETWORK_NAMES, NetworkComponents
from ml.mixture.panel import NetworkRows, Stop, stops

OTHER_COUNTRY = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureConfig:
    """How a mixture is fitted. The gate learns from the last ``gate_days`` before the cut-off.

    Countries with fewer than ``rare_country`` customers share one row. How many ``items`` the
    market has is set by the vocabulary.
    """

    gate_days: int = 91
    rare_country: int = 10
    limits: Limits = field(default_factory=Limits)
    gate: GateConfig = field(default_factory=GateConfig)
    market: MarketConfig = field(default_factory=lambda: MarketConfig(items=0))


@dataclass(frozen=True, slots=True)
class Frame:
    """Which items and countries have rows of their own, and all sizes."""

    vocabulary: tuple[str, ...]
    countries: tuple[str, ...]
    config: MixtureConfig

    @staticmethod
    def of(events: EventTable, countries: Sequence[str], config: MixtureConfig) -> Frame:
        """Return the frame of what these events hold."""
        bought = set(events.sku[events.kind == EventKind.PURCHASED].tolist()) - {""}
        counted = Counter(countries[who] for who in np.unique(events.customer).tolist())
        named = sorted(name for name, n in counted.items() if name and n >= config.rare_country)
        return Frame(tuple(sorted(bought)), tuple(named), config)

    def lines(self, events: EventTable) -> Lines:
        """Return the purchase lines of a table in this vocabulary."""
        return Lines.of(events, {sku: row for row, sku in enumerate(self.vocabulary)})

    def market(self, lines: Lines, last: Mapping[int, int] | None = None) -> ReplayedMarket:
        """Return the market of all these lines; ``last`` as in ``days.previous_items``."""
        items = len(self.vocabulary)
        days = day_counts(lines, previous_items(lines, last or {}), items)
        return ReplayedMarket(replace(self.config.market, items=items), days)

    def hot(self, countries: Sequence[str]) -> Singles:
        """Return one-hot rows (B, C) of countries; rare and unknown ones share the first."""
        rows = {name: row for row, name in enumerate(self.countries, start=1)}
        known = np.array([rows.get(name, OTHER_COUNTRY) for name in countries], np.int64)
        return one_hot(known, len(self.countries) + 1)


def component_names(network: NetworkComponents | None) -> tuple[str, ...]:
    """Return what the K components of a mixture are called."""
    return NAMES + (NETWORK_NAMES if network else ())


@dataclass(frozen=True, slots=True)
class Walk:
    """A history from its first line on, and the stops before the lines asked for.

    ``hot`` are the customers' one-hot countries, ``network`` the distributions of the network
    before lines at given places.
    """

    lines: Lines
    stops: Iterator[Stop]
    hot: Singles
    network: NetworkRows | None


def walk(
    frame: Frame,
    events: EventTable,
    countries: Sequence[str],
    from_ms: int,
    network: NetworkComponents | None = None,
) -> Walk:
    """Return the walk through whole histories that stops before each line from ``from_ms`` on.

    A customer's first line of all is left out: there is nothing to predict it from.
    """
    lines = frame.lines(events)
    memories = [Memory(len(component_names(network))) for _ in countries]
    log_p, rows = None, None
    if network:
        rows, log_p = _network(network, events, countries, lines)
    market, limits = frame.market(lines), frame.config.limits
    every = stops(lines, asked_from(lines, from_ms), market, memories, limits, log_p)
    return Walk(lines, every, frame.hot(countries), rows)


def asked_from(lines: Lines, from_ms: int) -> NDArray[np.bool_]:
    """Return which lines (N,) from a moment on have an earlier line of the same customer."""
    return (lines.at_ms >= from_ms) & same_as_before(lines.customer)


def _network(
    network: NetworkComponents, events: EventTable, countries: Sequence[str], lines: Lines
) -> tuple[NetworkRows, NDArray[np.float64]]:
    h = network.states_before(events, countries)[lines.row]

    def rows(place: Integers) -> tuple[Singles, ...]:
        return network.shares(h[place])

    return rows, network.log_p(h, lines.item)
