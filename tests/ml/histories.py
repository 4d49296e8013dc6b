"""Small shops for the tests of the mathematics: histories, tables, models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

from ml.encoding import Dictionaries
from ml.events import EventKind, EventTable
from ml.twin import TwinConfig, TwinModel

MINUTE = 60_000
DAY = 86_400_000
OPENING_MS = 1_300_000_000_000  # a Sunday morning in March 2011
ITEMS = tuple(f"item-{n}" for n in range(20))
COUNTRIES = ("France", "United Kingdom")


@dataclass(frozen=True)
class Line:
    """One event of one customer."""

    at_ms: int
    sku: str = "item-0"
    order: int = 1
    kind: int = EventKind.PURCHASED
    quantity: float = 1
    unit_price: float = 2.5
    country: str = "France"
    offer_depth: float = 0.0


def table(histories: Sequence[Sequence[Line]]) -> EventTable:
    """Return the events of customers 0, 1, ..."""
    rows = [(customer, line) for customer, lines in enumerate(histories) for line in lines]

    def column(name: str, dtype: type) -> np.ndarray:
        values = np.empty(len(rows), dtype)
        values[:] = [getattr(line, name) for _, line in rows]
        return values

    return EventTable(
        customer=np.array([customer for customer, _ in rows], dtype=np.int64),
        kind=column("kind", np.int8),
        sku=column("sku", object),
        order=column("order", np.int64),
        occurred_at_ms=column("at_ms", np.int64),
        quantity=column("quantity", np.float64),
        unit_price=column("unit_price", np.float64),
        country=column("country", object),
        offer_depth=column("offer_depth", np.float64),
    )


def small_model(seed: int = 0, core: str = "lstm") -> TwinModel:
    """Return a model of 20 items with weights large enough to make differences visible.

    A core that looks back sees few enough events for the tests' histories to outgrow it.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = TwinConfig(
            core=core, item_dim=8, target_dim=4, kind_dim=2, country_dim=3, hidden=12, context=4
        )
        model = TwinModel(config, Dictionaries(ITEMS, COUNTRIES, buckets=4))
        for weights in model.parameters():
            torch.nn.init.uniform_(weights, -0.6, 0.6)
        model.item_price.uniform_(1, 9)
    return model.eval()


@st.composite
def lines(draw: st.DrawFn, longest: int = 9) -> list[Line]:
    """Return one customer's history: orders of several lines, returns, visits, unknown items."""
    at_ms, order, made = OPENING_MS, 1, []
    for _ in range(draw(st.integers(0, longest))):
        kind = draw(st.sampled_from((1, 1, 1, 1, 2, 3, 4)))
        if kind != EventKind.PURCHASED or draw(st.booleans()):
            at_ms += draw(st.integers(0, 40 * 24 * 60)) * MINUTE
            order += 1
        bought = kind in (EventKind.PURCHASED, EventKind.RETURNED)
        made.append(
            Line(
                at_ms=at_ms,
                kind=kind,
                sku=f"item-{draw(st.integers(0, 24))}" if bought else "",
                order=order if bought else 0,
                quantity=draw(st.integers(1, 400)) if bought else 0,
                unit_price=draw(st.integers(0, 9_999)) / 100 if bought else 0,
                country=draw(st.sampled_from((*COUNTRIES, "Malta", ""))),
                offer_depth=draw(st.sampled_from((0.0, 0.2))),
            )
        )
    return made


histories = st.lists(lines(), min_size=1, max_size=5)


def habits(customers: int = 60, orders: int = 8, seed: int = 1) -> tuple[EventTable, list[str]]:
    """Return customers who walk through the items in order, a few lines a week, and countries.

    The next item is (last item + 1) modulo 20, so a model that learns beats popularity by far.
    """
    rng = np.random.default_rng(seed)
    made = []
    for customer in range(customers):
        at_ms, item, rows = OPENING_MS + customer * MINUTE, int(rng.integers(20)), []
        for order in range(orders):
            for _ in range(int(rng.integers(2, 6))):
                quantity = float(rng.integers(1, 5))
                rows.append(
                    Line(at_ms, f"item-{item}", order + 1, quantity=quantity, unit_price=item + 1)
                )
                item = (item + 1) % 20
            at_ms += int(rng.integers(4, 11)) * DAY
        made.append(rows)
    return table(made), [COUNTRIES[customer % 2] for customer in range(customers)]
