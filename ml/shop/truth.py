"""The true uplift of an offer: the same customers with and without it, in the same future."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ml.shop.agents import ground_truth
from ml.shop.config import ShopConfig
from ml.shop.day import Memory, Purchases, simulate_day
from ml.shop.draws import Floats, Integers
from ml.shop.errors import BadShop
from ml.shop.offers import Wave, wave_starting


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What each customer bought within the horizon; arrays (N,). Returns are not subtracted."""

    orders: Integers
    lines: Integers
    units: Integers
    revenue_cents: Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplift:
    """One future of all customers, twice: without the offer and with it."""

    control: Totals
    treated: Totals

    @property
    def buyers(self) -> int:
        """Return how many more customers bought anything."""
        return int((self.treated.orders > 0).sum() - (self.control.orders > 0).sum())

    @property
    def orders(self) -> int:
        """Return how many orders the offer added."""
        return int(self.treated.orders.sum() - self.control.orders.sum())

    @property
    def revenue_cents(self) -> int:
        """Return how much revenue the offer added, in cents."""
        return int(self.treated.revenue_cents.sum() - self.control.revenue_cents.sum())


def true_uplift(
    config: ShopConfig,
    *,
    depth: float,
    start_day: int,
    offer_days: int,
    horizon_days: int,
    future: int = 0,
) -> Uplift:
    """Return what an offer to all customers on [start_day, start_day + offer_days) really does.

    Counts the days [start_day, start_day + horizon_days). History up to ``start_day`` is the
    shop's own, its waves included; the shop's waves after it are left out, in both arms. Both arms
    use the same random numbers. ``future`` 0 goes on as the shop itself would; each other number
    is another possible future of the same customers, so a mean over futures is the expected uplift.

    Raises:
        BadShop: the depth is not below 1, or a length is negative.
    """
    lengths = {"start_day": start_day, "offer_days": offer_days, "horizon_days": horizon_days}
    return true_uplifts(config, depth=depth, **lengths, futures=(future,))[0]


def true_uplifts(
    config: ShopConfig,
    *,
    depth: float,
    start_day: int,
    offer_days: int,
    horizon_days: int,
    futures: Iterable[int],
) -> list[Uplift]:
    """Return the same as ``true_uplift`` for each of these futures; the history is walked once.

    Raises:
        BadShop: the depth is not below 1, or a length is negative.
    """
    if not 0 <= depth < 1:
        raise BadShop(field="depth", value=depth, expected="0 to less than 1")
    if min(start_day, offer_days, horizon_days) < 0:
        lengths = (start_day, offer_days, horizon_days)
        raise BadShop(field="start_day, offer_days, horizon_days", value=lengths, expected="0 on")
    memory = memory_at(config, start_day)
    days = range(start_day, start_day + horizon_days)
    offer = range(start_day, start_day + offer_days)

    def uplift(future: int) -> Uplift:
        arms = (_totals(config, memory.copy(), days, offer, off, future) for off in (0.0, depth))
        control, treated = arms
        return Uplift(control=control, treated=treated)

    return [uplift(future) for future in futures]


def memory_at(config: ShopConfig, day: int) -> Memory:
    """Return what the customers remember at the start of ``day``."""
    memory = Memory.empty(config.customers)
    agents = ground_truth(config)
    wave: Wave | None = None
    for past in range(day):
        wave = wave_starting(config, agents, past) or wave
        is_open = wave is not None and past < wave.end_day
        depths = wave.depths(len(agents)) if wave and is_open else np.zeros(len(agents))
        simulate_day(config, past, memory, depths)
    return memory


def _totals(
    config: ShopConfig, memory: Memory, days: range, offer: range, depth: float, future: int
) -> Totals:
    sums = np.zeros((4, config.customers), np.int64)
    for day in days:
        depths: Floats = np.full(config.customers, depth if day in offer else 0.0)
        _add(sums, simulate_day(config, day, memory, depths, future))
    orders, lines, units, revenue = sums
    return Totals(orders=orders, lines=lines, units=units, revenue_cents=revenue)


def _add(sums: Integers, bought: Purchases) -> None:
    first = (bought.line_no == 1).astype(np.int64)
    columns = (first, 1, bought.quantity, bought.quantity * bought.unit_price_cents)
    for total, column in zip(sums, columns, strict=True):
        np.add.at(total, bought.customer, column)
