"""Shops whose rhythm is known, as tables of events."""

import numpy as np

from ml.events import EventKind, EventTable
from tests.ml.rhythm.laws import MONDAY

DAY = 86_400_000


def events_of(rows: list[tuple[int, float, int, float]]) -> EventTable:
    """Return the purchases (customer, day after a Monday, order, price), sorted."""
    rows = sorted(rows, key=lambda row: row[:2])
    size = len(rows)
    return EventTable(
        customer=np.array([row[0] for row in rows], np.int64),
        kind=np.full(size, int(EventKind.PURCHASED), np.int8),
        sku=np.full(size, "a", object),
        order=np.array([row[2] for row in rows], np.int64),
        occurred_at_ms=np.array([int((MONDAY + row[1]) * DAY) for row in rows], np.int64),
        quantity=np.ones(size),
        unit_price=np.array([row[3] for row in rows], np.float64),
        country=np.full(size, "GB", object),
        offer_depth=np.zeros(size),
    )


def steady_shop(customers: int, days: int, seed: int, gap: float = 14.0) -> EventTable:
    """Customers who come about every ``gap`` days, which no constant rate can know."""
    luck = np.random.default_rng(seed)
    rows, order = [], 0
    for customer in range(customers):
        day = luck.uniform(0, 40)
        own = gap * luck.uniform(0.7, 1.4)
        while day < days:
            order += 1
            for _ in range(int(luck.integers(1, 5))):
                rows.append((customer, day, order, float(luck.uniform(2, 30))))
            day += max(luck.normal(own, 1.5), 1.0)
    return events_of(rows)


def random_shop(customers: int, days: int, seed: int) -> EventTable:
    """Customers with gamma distributed rates and no habits at all."""
    luck = np.random.default_rng(seed)
    rows, order = [], 0
    for customer in range(customers):
        first = int(luck.integers(0, days - 60))
        rate = luck.gamma(0.8) / 40
        came = np.flatnonzero(luck.random(days - first - 1) < -np.expm1(-rate)) + first + 1
        for day in [first, *came.tolist()]:
            order += 1
            rows.append((customer, day + 0.4, order, float(luck.lognormal(4, 0.5))))
    return events_of(rows)
