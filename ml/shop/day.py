"""What all customers do on one day: who orders, what, how many, at which price."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.response import hazard_multiplier, quantity_multiplier
from ml.shop.agents import Agents, ground_truth
from ml.shop.config import CATEGORIES, ShopConfig
from ml.shop.draws import SLOTS, Floats, Integers, Purpose, normal_quantile, uniform
from ml.shop.market import (
    SEASONAL_CATEGORY,
    Market,
    christmas,
    demand_factor,
    market_of,
    promotion_depths,
    tier_depths,
)

RECENT = 32  # lines that a customer remembers
MOST_LINES = 100  # of one order
ORDERS_AT_ONCE = 2_000  # bounds the memory of a busy day
TASTE_WEIGHT = 0.45
OCCASION_WEIGHT = 1.0
HABIT_WEIGHT = 0.8
SEASON_WEIGHT = 2.5
QUANTITY_SIGMA = 0.6
WHOLESALE_QUANTITY = 2.2  # added to the log quantity
OPENS_MS, OPEN_MS = 8 * 3_600_000, 12 * 3_600_000  # opens at 8:00, for twelve hours


@dataclass(slots=True)
class Memory:
    """The last lines of every customer: what habit is made of."""

    items: NDArray[np.int16]  # (N, RECENT), -1 where none yet
    written: Integers  # (N,), lines ever written

    @staticmethod
    def empty(customers: int) -> Memory:
        """Return the memory of customers who have bought nothing."""
        return Memory(np.full((customers, RECENT), -1, np.int16), np.zeros(customers, np.int64))

    def copy(self) -> Memory:
        """Return a memory that goes its own way."""
        return Memory(self.items.copy(), self.written.copy())

    def counts(self, who: Integers, items: int) -> Floats:
        """Return how often each item is among the last lines (len(who), items)."""
        recent = self.items[who].astype(np.int64)
        flat = (np.arange(len(who))[:, None] * items + recent)[recent >= 0]
        return np.bincount(flat, minlength=len(who) * items).reshape(len(who), items).astype(float)

    def remember(self, lines: Purchases) -> None:
        """Add the lines of one day's orders, one order a customer at most."""
        slot = (self.written[lines.customer] + lines.line_no) % RECENT
        last = lines.line_no > lines.lines_of_order - RECENT  # older ones would be overwritten
        self.items[lines.customer[last], slot[last]] = lines.item[last]
        np.add.at(self.written, lines.customer, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchases:
    """Order lines of one day, by customer and line; every column has one row for each line."""

    customer: Integers
    time_ms: Integers  # since midnight UTC
    line_no: Integers  # from 1
    lines_of_order: Integers
    item: Integers
    quantity: Integers
    unit_price_cents: Integers
    list_price_cents: Integers

    def __len__(self) -> int:
        return len(self.customer)

    @staticmethod
    def concat(parts: list[Purchases]) -> Purchases:
        """Return the lines of all parts, one after the other."""
        names = Purchases.__slots__
        return Purchases(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """What is the same for all customers on one day."""

    config: ShopConfig
    market: Market
    agents: Agents
    day: int
    promotion: Floats  # (V,)
    base_score: Floats  # (V,)
    demand: float
    future: int

    @staticmethod
    def of(config: ShopConfig, day: int, future: int) -> Today:
        """Return the day of one possible future."""
        market = market_of(config)
        today = config.start.fromordinal(config.start.toordinal() + day)
        season = SEASON_WEIGHT * (christmas(today) - 0.5) * (market.category == SEASONAL_CATEGORY)
        return Today(
            config=config,
            market=market,
            agents=ground_truth(config),
            day=day,
            promotion=promotion_depths(config, day),
            base_score=market.popularity + season,
            demand=demand_factor(config, day),
            future=future,
        )

    def uniform(self, rows: Integers, purpose: Purpose, line_no: Integers | int = 0) -> Floats:
        """Return one number in (0, 1) for each customer, for this day and line."""
        step = self.day * SLOTS + line_no
        return uniform(self.config.seed, rows, step, purpose, future=self.future)


def simulate_day(
    config: ShopConfig, day: int, memory: Memory, depths: Floats, future: int = 0
) -> Purchases:
    """Return the purchases of one day and add them to ``memory``.

    ``depths`` (N,) is the share that an offer takes off everything for each customer, 0 for none.
    """
    today = Today.of(config, day, future)
    who = _who_orders(today, depths)
    parts = [
        _orders(today, memory, part, depths[part])
        for part in np.split(who, range(ORDERS_AT_ONCE, len(who), ORDERS_AT_ONCE))
    ]
    purchases = Purchases.concat(parts)
    memory.remember(purchases)
    return purchases


def _who_orders(today: Today, depths: Floats) -> Integers:
    """At most one order a day; an order in both arms wherever the rates agree."""
    agents = today.agents
    present = (agents.joined_day <= today.day) & (today.day < agents.dropout_day)
    candidates = np.flatnonzero(present)
    rate = today.demand * agents.orders_per_day[candidates]
    lift = hazard_multiplier(agents.elasticity[candidates], depths[candidates])
    drawn = today.uniform(candidates, Purpose.ORDER)
    return candidates[drawn < -np.expm1(-rate * lift)]


def _orders(today: Today, memory: Memory, who: Integers, depths: Floats) -> Purchases:
    weights = _choice_weights(today, memory, who)
    elasticity = today.agents.elasticity[who, None]
    cumulative = np.cumsum(weights * (1 - today.promotion) ** -elasticity, axis=1)
    lines = _line_counts(today, who, cumulative[:, -1])
    order = np.repeat(np.arange(len(who)), lines)
    line_no = np.arange(len(order)) - np.repeat(np.cumsum(lines) - lines, lines) + 1
    item = _items(today, who[order], line_no, order, cumulative)
    wanted, quantity = _quantities(today, who[order], line_no, item, depths[order])
    list_price = today.market.list_price_cents[item]
    off = (1 - today.promotion[item]) * (1 - tier_depths(today.market, item, wanted))
    time_ms = OPENS_MS + np.floor(today.uniform(who, Purpose.HOUR) * OPEN_MS).astype(np.int64)
    return Purchases(
        customer=who[order],
        time_ms=time_ms[order],
        line_no=line_no,
        lines_of_order=lines[order],
        item=item,
        quantity=quantity,
        unit_price_cents=np.maximum(np.rint(list_price * off * (1 - depths[order])), 1).astype(int),
        list_price_cents=list_price,
    )


def _choice_weights(today: Today, memory: Memory, who: Integers) -> Floats:
    """Return each item's share of an order's lines at list prices (len(who), V), rows sum to 1."""
    market, taste = today.market, today.agents.taste[who]
    score = today.base_score + TASTE_WEIGHT * (taste @ market.vector.T)
    occasion = _occasions(today, who, taste)
    score += OCCASION_WEIGHT * (market.category == occasion[:, None])
    score += HABIT_WEIGHT * np.log1p(memory.counts(who, len(market.sku)))
    weights = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _occasions(today: Today, who: Integers, taste: Floats) -> Integers:
    """Return the category that an order is about: what makes its items go together."""
    weights = np.exp(TASTE_WEIGHT * (taste @ today.market.centre.T))
    cumulative = np.cumsum(weights, axis=1)
    drawn = today.uniform(who, Purpose.OCCASION) * cumulative[:, -1]
    return np.asarray(np.minimum((cumulative < drawn[:, None]).sum(axis=1), CATEGORIES - 1))


def _line_counts(today: Today, who: Integers, lift: Floats) -> Integers:
    """Return lines of each order: an exponential number of lines more than one, times ``lift``.

    ``lift`` is what promotions add. The fraction decides by lot about one line more, so that the
    mean is exact.
    """
    size = -np.log(today.uniform(who, Purpose.SIZE))
    wanted = (1 + today.agents.extra_lines[who] * size) * lift
    lot = today.uniform(who, Purpose.SIZE_ROUNDING)
    return np.minimum(np.floor(wanted + lot), MOST_LINES).astype(np.int64)


def _items(
    today: Today, customer: Integers, line_no: Integers, order: Integers, cumulative: Floats
) -> Integers:
    """Return one item for each line, by the inverse of its order's cumulative weights."""
    shares = cumulative / cumulative[:, -1:]
    drawn = today.uniform(customer, Purpose.ITEM, line_no)
    # One search over all orders: order i occupies (i, i + 1] of one rising sequence.
    flat = (shares + np.arange(len(shares))[:, None]).ravel()
    found = np.searchsorted(flat, drawn + order) - order * shares.shape[1]
    return np.asarray(np.clip(found, 0, shares.shape[1] - 1))


def _quantities(
    today: Today, customer: Integers, line_no: Integers, item: Integers, depths: Floats
) -> tuple[Integers, Integers]:
    """Return the quantity wanted without an offer, which sets the tier, and the quantity bought."""
    z = normal_quantile(today.uniform(customer, Purpose.QUANTITY, line_no))
    log_quantity = QUANTITY_SIGMA * z + np.log(today.market.quantity_factor[item] * 1.5)
    log_quantity += WHOLESALE_QUANTITY * today.agents.wholesale[customer]
    wanted = np.exp(np.maximum(log_quantity, 0.0))
    lift = quantity_multiplier(today.agents.elasticity[customer], depths)
    lot = today.uniform(customer, Purpose.QUANTITY_ROUNDING, line_no)
    return np.floor(wanted + lot).astype(np.int64), np.floor(wanted * lift + lot).astype(np.int64)
