"""The frame of a mixture: its vocabulary, and the walk through whole histories, line by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml.events import EventKind, EventTable, Integers
from ml.mixture.components import NAMES
from ml.mixture.days import day_counts
from ml.mixture.gate import GateConfig
from ml.mixture.inputs import Singles
from ml.mixture.lines import Lines, same_as_before
from ml.mixture.market import MarketConfig, ReplayedMarket
from ml.mixture.memory import Limits, Memory
from ml.mixture.network import NETWORK_NAMES, NetworkComponents
from ml.mixture.panel import NetworkRows, Stop, stops

OTHER_COUNTRY = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureConfig:
    """How a mixture is fitted. The gate learns from the last ``gate_days`` before the cut-off.

    Countries with fewer than ``rare_country`` customers share one row. How many ``items`` and
    ``countries`` the market has is set by the frame.
    """

    gate_days: int = 91
    rare_country: int = 10
    limits: Limits = field(default_factory=Limits)
    gate: GateConfig = field(default_factory=GateConfig)
    market: MarketConfig = field(default_factory=lambda: MarketConfig(items=0))


@dataclass(frozen=True)  # without slots: its look-ups are made once
class Frame:
    """Which items and countries have rows of their own, and all sizes."""

    vocabulary: tuple[str, ...]
    countries: tuple[str, ...]
    config: MixtureConfig

    @staticmethod
    def of(events: EventTable, countries: Sequence[str], config: MixtureConfig) -> Frame:
        """Return the frame of what these events hold."""
        counted = Counter(countries[who] for who in np.unique(events.customer).tolist())
        named = sorted(name for name, n in counted.items() if name and n >= config.rare_country)
        return Frame(vocabulary_of(events), tuple(named), config)

    def lines(self, events: EventTable) -> Lines:
        """Return the purchase lines of a table in this vocabulary."""
        return Lines.of(events, self._item_rows, self._country_rows)

    def market(self, lines: Lines) -> ReplayedMarket:
        """Return the market of all these lines, which are whole histories."""
        items, countries = len(self.vocabulary), len(self.countries)
        config = replace(self.config.market, items=items, countries=countries)
        return ReplayedMarket(config, day_counts(lines, items))

    def country_rows(self, countries: Sequence[str]) -> list[int]:
        """Return the rows of countries; rare and unknown ones share the first."""
        return [self._country_rows.get(name, OTHER_COUNTRY) for name in countries]

    def memories(self, countries: Sequence[str]) -> list[Memory]:
        """Return memories of customers of whom only the country is known."""
        return [Memory(row) for row in self.country_rows(countries)]

    @cached_property
    def _item_rows(self) -> dict[str, int]:
        return {sku: row for row, sku in enumerate(self.vocabulary)}

    @cached_property
    def _country_rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.countries, start=OTHER_COUNTRY + 1)}


def vocabulary_of(events: EventTable) -> tuple[str, ...]:
    """Return the items that were bought, in order."""
    bought = set(events.sku[events.kind == EventKind.PURCHASED].tolist()) - {""}
    return tuple(sorted(bought))


def component_names(network: NetworkComponents | None) -> tuple[str, ...]:
    """Return what the K components of a mixture are called."""
    return NAMES + (NETWORK_NAMES if network else ())


@dataclass(frozen=True, slots=True)
class Walk:
    """A history from its first line on, and the stops before the lines asked for.

    ``network`` are the distributions of the network before lines at given places.
    """

    lines: Lines
    market: ReplayedMarket
    stops: Iterator[Stop]
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
    market, limits = frame.market(lines), frame.config.limits
    asked = asked_from(lines, from_ms)
    memories = dict(enumerate(frame.memories(countries)))
    every = stops(lines, asked, market, memories, limits)
    shares = _network(network, events, countries, lines) if network else None
    return Walk(lines, market, every, shares)


def asked_from(lines: Lines, from_ms: int) -> NDArray[np.bool_]:
    """Return which lines (N,) from a moment on have an earlier line of the same customer."""
    return (lines.at_ms >= from_ms) & same_as_before(lines.customer)


def _network(
    network: NetworkComponents, events: EventTable, countries: Sequence[str], lines: Lines
) -> NetworkRows:
    h = network.states_before(events, countries)[lines.row]

    def rows(place: Integers) -> tuple[Singles, ...]:
        return network.shares(h[place])

    return rows
