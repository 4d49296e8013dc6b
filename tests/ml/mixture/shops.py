"""Small shops and mixtures for the tests of the mixture."""

import numpy as np
import torch
from hypothesis import strategies as st

from ml.events import EventTable
from ml.mixture.frame import Frame, MixtureConfig, component_names
from ml.mixture.gate import Gate, GateConfig
from ml.mixture.inputs import inputs_of_gate
from ml.mixture.lines import Lines
from ml.mixture.market import MarketConfig
from ml.mixture.memory import Limits
from ml.mixture.model import Mixture
from ml.mixture.network import NetworkComponents
from ml.mixture.tables import Table
from tests.ml.histories import COUNTRIES, DAY, ITEMS, MINUTE, OPENING_MS, Line, lines, table

VOCABULARY = {sku: row for row, sku in enumerate(ITEMS)}
SMALL = MixtureConfig(
    limits=Limits(items=6, successors=3, basket=5),
    market=MarketConfig(items=len(ITEMS), successors=9, neighbours=6),
    gate=GateConfig(hidden=8, epochs=3),
)


def mixture(
    seed: int = 0, config: MixtureConfig = SMALL, network: NetworkComponents | None = None
) -> Mixture:
    """Return a mixture of 20 items whose gates are random and say something of every input."""
    frame = Frame(ITEMS, COUNTRIES, config)
    gates = [_gate(frame, seed, told, len(component_names(network))) for told in (False, True)]
    market = frame.market(frame.lines(days("abac|ab", "cd|ab"))).before(OPENING_MS // DAY + 5)
    return Mixture(frame=frame, gate=gates[0], told_gate=gates[1], market=market, network=network)


def _gate(frame: Frame, seed: int, told: bool, components: int) -> Gate:
    size = inputs_of_gate(components, len(frame.countries), told=told)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        gate = Gate(size, components, frame.config.gate)
        for weights in gate.parameters():
            torch.nn.init.uniform_(weights, -0.5, 0.5)
    return gate.eval()


@st.composite
def busy_lines(draw: st.DrawFn, longest: int = 14) -> list[Line]:
    """Return one customer's purchases over about ten days: few items, so that they meet again."""
    at_ms, order, made = OPENING_MS, 1, []
    for _ in range(draw(st.integers(0, longest))):
        if draw(st.booleans()):
            at_ms += draw(st.integers(0, 3 * 24 * 60)) * MINUTE
            order += 1
        sku = f"item-{draw(st.integers(0, 7))}" if draw(st.integers(0, 9)) else "never sold"
        made.append(Line(at_ms, sku, order, quantity=draw(st.integers(1, 9))))
    return made


busy = st.lists(busy_lines(), min_size=1, max_size=4)
mixed_histories = st.one_of(busy, st.lists(lines(longest=14), min_size=1, max_size=4))


def countries(customers: int) -> list[str]:
    """Return a country for each customer, a rare one among them."""
    return [(*COUNTRIES, "Malta")[n % 3] for n in range(customers)]


def bought(made: list[list[Line]]) -> Lines:
    """Return the purchase lines of histories."""
    return Lines.of(table(made), VOCABULARY)


def days(*orders: str, first_day: int = OPENING_MS // DAY) -> EventTable:
    """Return one customer per word group: ``"abc|ad"`` buys abc on the first day, ad on the next.

    Letters are items: a is item-0.
    """
    histories = []
    for number, customer in enumerate(orders):
        made = []
        for day, order in enumerate(customer.split("|")):
            at_ms = (first_day + day) * DAY + 600 * MINUTE
            made += [Line(at_ms, f"item-{ord(x) - 97}", 100 * number + day + 1) for x in order]
        histories.append(made)
    return table(histories)


def number(table: Table, row: int, column: int) -> float:
    """Return what stands in a table at a row and a column; 0 where nothing does."""
    _, columns, values = table.gathered(np.array([row]))
    return float(values[columns == column].sum())


def share_of(shares: np.ndarray, letter: str) -> float:
    """Return the number at a letter's item in one row."""
    return float(shares[ord(letter) - 97])
