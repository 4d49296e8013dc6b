"""How large an order is: its lines and its value, shrunk to the customer's own history.

Both are log-normal around an expectation of the customer's own: lines per order weigh the own mean
against everybody's (Buehlmann 1967), the value is that of the gamma-gamma model (``counts``).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ml.events import EventKind, EventTable, Floats, Integers
from ml.rhythm.law import real

WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
LEAST_ORDERS = 50
BROADEST = 1.5  # of a logarithm


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeLaw:
    """What is learned from everybody; plain numbers, fit for JSON.

    ``lines`` per order on average, counted like ``weight`` orders of each customer's own;
    ``lines_spread`` and ``value_spread`` are deviations of the logarithm within a customer.
    """

    lines: float
    weight: float
    lines_spread: float
    value_spread: float

    @staticmethod
    def plain() -> SizeLaw:
        """Return a law that has learned nothing."""
        return SizeLaw(lines=4.0, weight=1.0, lines_spread=0.6, value_spread=0.6)

    def as_dict(self) -> dict[str, float]:
        """Return the law for JSON."""
        return asdict(self)

    def expected_lines(self, xp: Any, lines: Any, orders: Any) -> Any:
        """Return the expected lines of the next order after so many lines in so many orders."""
        known = self.weight * self.lines + real(xp, lines)
        return known / (self.weight + real(xp, orders))


def fit_sizes(events: EventTable) -> SizeLaw:
    """Return the law of these purchases; the plain one where there are hardly any."""
    customer, lines, value = _orders(events)
    if len(lines) < LEAST_ORDERS:
        return SizeLaw.plain()
    mean = float(lines.mean())
    rows = np.arange(len(customer))
    begin = np.maximum.accumulate(np.where(np.diff(customer, prepend=-1) != 0, rows, 0))
    earlier = rows - begin
    so_far = np.cumsum(lines) - lines
    known = so_far - so_far[begin]
    again = earlier > 0

    def error(weight: float) -> float:
        expected = (weight * mean + known[again]) / (weight + earlier[again])
        return float((expected - lines[again] * np.log(expected)).mean())  # Poisson deviance

    weight = min(WEIGHTS, key=error) if again.any() else WEIGHTS[-1]
    return SizeLaw(
        lines=mean,
        weight=weight,
        lines_spread=_spread(customer, np.log(lines)),
        value_spread=_spread(customer, np.log(np.maximum(value, 0.01))),
    )


def _orders(events: EventTable) -> tuple[Integers, Floats, Floats]:
    """Return customer, number of lines and value of each order, in the order of their time."""
    bought = events.kind == EventKind.PURCHASED
    customer, order = events.customer[bought], events.order[bought]
    fresh = np.ones(len(order), dtype=np.bool_)
    fresh[1:] = (customer[1:] != customer[:-1]) | (order[1:] != order[:-1]) | (order[1:] == 0)
    number, count = np.cumsum(fresh) - 1, int(fresh.sum())
    total = events.quantity[bought] * events.unit_price[bought]
    return (
        customer[fresh],
        np.bincount(number, minlength=count).astype(np.float64),
        np.bincount(number, total, count).astype(np.float64),
    )


def _spread(customer: Integers, logs: Floats) -> float:
    """Return the deviation within customers, of those with more than one order."""
    _, who, count = np.unique(customer, return_inverse=True, return_counts=True)
    off = logs - (np.bincount(who, logs) / count)[who]
    freedom = int((count - 1).sum())
    return float(np.clip(np.sqrt((off**2).sum() / max(freedom, 1)), 0.0, BROADEST))
