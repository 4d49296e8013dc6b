"""What all customers order: how often each item stands in orders, with whom, and how dear.

Counts of orders, not of lines: an item that stands on two lines of an order counts once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ml.events import Floats
from ml.mixture.days import DayCounts

WINDOWS = (7, 14, 28, 90)
PREFIX = "demand_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Orders per item before one midnight.

    ``windows`` are those of the last 7, 14, 28 and 90 days, ``orders`` all of them. ``repeats``
    came from a customer who had ordered the item before, ``gap_days`` sums the days since then.
    ``log_quantities`` and ``log_prices`` are means over its lines. ``first_day`` is 0 where there
    was no order yet. ``local`` are the orders from each country of the frame, the rare ones first.

    Shapes: ``windows`` (4, V), ``local`` (C + 1, V), all others (V,).
    """

    windows: Floats
    orders: Floats
    repeats: Floats
    gap_days: Floats
    log_quantities: Floats
    log_prices: Floats
    first_day: Floats
    local: Floats

    def columns(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays by name, as a part of an archive."""
        return {PREFIX + f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}

    @staticmethod
    def of_columns(columns: Mapping[str, NDArray[np.generic]]) -> Demand:
        """Return the demand of the arrays that ``columns`` gave."""
        names = [f.name for f in fields(Demand)]
        return Demand(**{name: columns[PREFIX + name].astype(np.float64) for name in names})


class DemandCounter:
    """Counters of all closed days; those of the last 90 are kept one by one.

    Shapes: V items, C countries with a row of their own.
    """

    def __init__(self, items: int, countries: int) -> None:
        self.orders, self.repeats, self.gap_days, self.lines = (np.zeros(items) for _ in range(4))
        self.log_quantities, self.log_prices, self.first_day = (np.zeros(items) for _ in range(3))
        self.local = np.zeros((countries + 1, items))
        self.days: deque[DayCounts] = deque()

    def close(self, day: DayCounts) -> None:
        """Count a day that is over; days come ascending."""
        fresh = day.bought[self.orders[day.bought] == 0]
        self.first_day[fresh] = day.day
        self.orders[day.bought] += day.bought_n
        self.repeats[day.bought] += day.again_n
        self.gap_days[day.bought] += day.gap_days
        self.lines[day.items] += day.items_n
        self.log_quantities[day.items] += day.log_quantities
        self.log_prices[day.items] += day.log_prices
        self.local.ravel()[day.local] += day.local_n
        self.days.append(day.without_pairs())
        while self.days[0].day <= day.day - max(WINDOWS):
            self.days.popleft()

    def before(self, day: int) -> Demand:
        """Return the demand as ``day`` begins; it shares nothing that changes."""
        windows = np.zeros((len(WINDOWS), len(self.orders)))
        for closed in self.days:
            for row, days in enumerate(WINDOWS):
                if closed.day >= day - days:
                    windows[row, closed.bought] += closed.bought_n
        lines = np.maximum(self.lines, 1)
        return Demand(
            windows=windows,
            orders=self.orders.copy(),
            repeats=self.repeats.copy(),
            gap_days=self.gap_days.copy(),
            log_quantities=self.log_quantities / lines,
            log_prices=self.log_prices / lines,
            first_day=self.first_day.copy(),
            local=self.local.copy(),
        )
