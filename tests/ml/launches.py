"""Launches whose effect is known: customers with rates of their own, treated or held out by lot."""

from dataclasses import dataclass

import numpy as np

from ml.events import EventKind, EventTable
from ml.response import Trial

DAY = 86_400_000
BEGIN_MS = 1_300_060_800_000  # a midnight
FIRST_DAY, EVERY_DAYS, OPEN_DAYS = 60, 28, 14
DEPTHS = (0.1, 0.2, 0.3)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What is true: the two effects, and how much launches differ in the first."""

    hazard: float = 1.0
    quantity: float = 0.5
    spread: float = 0.0
    launches: int = 6
    customers: int = 400
    orders_per_day: float = 0.05
    treated_share: float = 0.5
    same_arms: bool = False  # everybody is in the same arm of every launch
    unlike: float = 0.0  # by how much customers' answers differ, in both effects at once

    def made(self, seed: int) -> tuple[EventTable, list[Trial]]:
        """Return the events of one such shop and its launches."""
        rng = np.random.default_rng(seed)
        rates = rng.gamma(2, self.orders_per_day / 2, self.customers)
        worth = np.exp(rng.normal(3, 0.8, self.customers))
        arms = self._arms(rng)
        depths = rng.choice(DEPTHS, self.launches)
        effects = self.hazard + self.spread * rng.normal(size=self.launches)
        own = self.unlike * rng.normal(size=self.customers)
        parts = [_bought(rng, rates, worth, 0, FIRST_DAY)]
        trials = []
        for n, (depth, treated) in enumerate(zip(depths, arms, strict=True)):
            opens = FIRST_DAY + n * EVERY_DAYS
            dose = np.where(treated, -np.log1p(-depth), 0.0)
            price = np.where(treated, 1 - depth, 1.0)
            more, larger = np.exp((effects[n] + own) * dose), np.exp((self.quantity + own) * dose)
            offered = rates * more, worth * larger * price
            parts.append(_bought(rng, *offered, opens, OPEN_DAYS))
            rest = EVERY_DAYS - OPEN_DAYS
            parts.append(_bought(rng, rates, worth, opens + OPEN_DAYS, rest))
            trials.append(trial(f"launch-{n}", depth, opens, treated))
        return as_events(np.concatenate(parts)), trials

    def _arms(self, rng: np.random.Generator) -> np.ndarray:
        size = (1 if self.same_arms else self.launches, self.customers)
        return np.broadcast_to(rng.random(size) < self.treated_share, (self.launches, size[1]))


def trial(name: str, depth: float, opens: int, treated: np.ndarray) -> Trial:
    """Return a launch to customers 0, 1, ... that is open for two weeks from a day on."""
    return Trial(
        name=name,
        depth=float(depth),
        opens_ms=BEGIN_MS + opens * DAY,
        closes_ms=BEGIN_MS + (opens + OPEN_DAYS) * DAY,
        customer=np.arange(len(treated)),
        treated=np.asarray(treated),
    )


def _bought(rng, rates, worth, first: int, days: int) -> np.ndarray:
    """Return orders as rows of customer, moment and value."""
    who = np.repeat(np.arange(len(rates)), rng.poisson(rates * days))
    at = BEGIN_MS + first * DAY + rng.random(len(who)) * days * DAY
    return np.stack([who, np.floor(at), worth[who] * np.exp(rng.normal(0, 0.6, len(who)))], axis=1)


def as_events(orders: np.ndarray, kind: int = EventKind.PURCHASED) -> EventTable:
    """Return orders of one line each, given as rows of customer, moment and value."""
    orders = orders[np.lexsort((orders[:, 1], orders[:, 0]))]
    count = len(orders)
    return EventTable(
        customer=orders[:, 0].astype(np.int64),
        kind=np.full(count, kind, np.int8),
        sku=np.full(count, "item", object),
        order=np.arange(1, count + 1),
        occurred_at_ms=orders[:, 1].astype(np.int64),
        quantity=np.ones(count),
        unit_price=orders[:, 2],
        country=np.full(count, "", object),
        offer_depth=np.zeros(count),
    )


def merged(*tables: EventTable) -> EventTable:
    """Return the events of all tables as one."""
    columns = {n: np.concatenate([getattr(t, n) for t in tables]) for n in EventTable.__slots__}
    order = np.lexsort((columns["occurred_at_ms"], columns["customer"]))
    return EventTable(**{name: column[order] for name, column in columns.items()})
