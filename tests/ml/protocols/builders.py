"""Small shops for the protocols."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from ml.protocols.data import Lines
from ml.timing import DAY_MS

OPENING_DAY = 15_000  # 2011-01-26, a Wednesday
Row = tuple[str, int, str, str]  # customer, day of the shop, order, item


def day_ms(day: float) -> int:
    return int((OPENING_DAY + day) * DAY_MS)


def shop(rows: Sequence[Row], quantity: float = 1.0, price: float = 2.0) -> Lines:
    """The lines of a shop in the order given, a minute apart within a day."""
    return Lines.of(
        customer=[row[0] for row in rows],
        at_ms=[day_ms(row[1]) + n * 60_000 for n, row in enumerate(rows)],
        order=[row[2] for row in rows],
        item=[row[3] for row in rows],
        quantity=[quantity] * len(rows),
        unit_price=[price] * len(rows),
        country=["GB"] * len(rows),
    )


def baskets(rows: Sequence[tuple[str, int, str]]) -> Lines:
    """One order per (customer, day, items); each letter is an item."""
    return shop(
        [
            (customer, day, f"{customer}-{day}-{n}", item)
            for n, (customer, day, items) in enumerate(rows)
            for item in items
        ]
    )


@st.composite
def shops(draw: st.DrawFn) -> Lines:
    """Random shops of 60 days with lines before and after day 30."""
    rows: list[Row] = [("first", 0, "o", "a"), ("first", 1, "p", "b")]
    for customer in range(draw(st.integers(1, 4))):
        for order in range(draw(st.integers(1, 5))):
            day = draw(st.integers(0, 60))
            for item in draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4)):
                rows.append((f"c{customer}", day, f"c{customer}-{order}", item))
    rows += [("first", 40, "q", "a"), ("first", 41, "r", "c")]
    return shop(rows)


def changed_after(lines: Lines, row: int, seed: int = 0) -> Lines:
    """The same shop with other items on every line of a customer after ``row``."""
    later = (lines.customer == lines.customer[row]) & (np.arange(len(lines)) > row)
    item = lines.item.copy()
    item[later] = np.random.default_rng(seed).integers(0, len(lines.items), int(later.sum()))
    kept = {name: getattr(lines, name) for name in Lines.__slots__}
    return Lines(**{**kept, "item": item})
