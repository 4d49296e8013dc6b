"""The mixture of the next item, fitted around a network that is being trained.

The gates are learned before the validation window, measured on it, and kept: only the vocabulary,
the market and the network move on to the cut-off. So what a report says is said of the gates that
are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ml.events import EventKind, EventTable
from ml.mixture.frame import MixtureConfig, vocabulary_of
from ml.mixture.model import Mixture, fit
from ml.mixture.network import NetworkComponents
from ml.mixture.panel import NothingInWindow
from ml.timing import DAY_MS
from ml.twin import TwinModel


def gate_days(events: EventTable, config: MixtureConfig, until_ms: int) -> int:
    """Return how many days before ``until_ms`` a gate learns from: half a short history at most."""
    bought = events.occurred_at_ms[events.kind == EventKind.PURCHASED]
    history = (until_ms - int(bought.min())) // DAY_MS
    return max(min(config.gate_days, history // 2), 1)


def fit_around(
    network: TwinModel,
    gate_network: TwinModel | None,
    events: EventTable,
    countries: Sequence[str],
    config: MixtureConfig,
    *,
    until_ms: int,
) -> Mixture | None:
    """Return a mixture of what was bought before ``until_ms``, the network among its components.

    ``gate_network`` has learned from nothing in the gate's window; without one the network stays
    out, because no gate could learn how far to trust it. None where the window is empty.
    """
    days = gate_days(events, config, until_ms)
    shown = network if gate_network is not None else None
    try:
        return fit(
            events, countries, replace(config, gate_days=days), cut_off_ms=until_ms,
            network=shown, gate_network=gate_network,
        )  # fmt: skip
    except NothingInWindow:
        return None


def moved_on(mixture: Mixture, network: TwinModel, events: EventTable, cut_off_ms: int) -> Mixture:
    """Return the mixture as of the cut-off: its gates, a newer vocabulary, market and network."""
    frame = replace(mixture.frame, vocabulary=vocabulary_of(events))
    market = frame.market(frame.lines(events)).before(-(-cut_off_ms // DAY_MS))
    held = NetworkComponents(network, frame.vocabulary) if mixture.network else None
    return replace(mixture, frame=frame, market=market, network=held)
