"""What the customers meet: items with prices, promotions by week, weekdays and seasons."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from ml.shop.config import CATEGORIES, ShopConfig
from ml.shop.draws import Floats, Integers, Purpose, normal, uniform

DIMENSIONS = 8
SEASONAL_CATEGORY = 0  # sells mostly before Christmas
WEEKDAYS = (1.05, 1.15, 1.15, 1.25, 1.05, 0.50, 0.85)  # Monday to Sunday, mean 1
CHRISTMAS_PEAK = (12, 5)
PROMOTION_DEPTHS = np.array([0.10, 0.20, 0.30])
TIERS = ((48, 0.20), (12, 0.10))  # from this quantity on, this share off: largest first
PROMOTED_ITEMS = 0.6
TIERED_ITEMS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The items of a shop.

    Shapes: V items, K taste dimensions; ``vector`` (V, K), ``centre`` (categories, K), rest (V,).
    """

    sku: tuple[str, ...]
    category: Integers
    centre: Floats
    vector: Floats
    popularity: Floats  # log weight in every choice
    list_price_cents: Integers
    quantity_factor: Floats
    tiered: np.ndarray[tuple[int], np.dtype[np.bool_]]
    promoted: np.ndarray[tuple[int], np.dtype[np.bool_]]


@lru_cache(maxsize=8)
def market_of(config: ShopConfig) -> Market:
    """Return the items; they depend on the seed and on their own number only."""
    seed, items = config.seed, np.arange(config.items)
    centre = _vectors(seed, CATEGORIES, Purpose.CATEGORY_CENTRE)
    category = items % CATEGORIES
    own = _vectors(seed, config.items, Purpose.ITEM_VECTOR)
    pounds = np.exp(1.0 + 0.7 * normal(seed, items, 0, Purpose.ITEM_PRICE))
    return Market(
        sku=tuple(f"S{item + 1:05d}" for item in items),
        category=category,
        centre=centre,
        vector=0.8 * centre[category] + 0.6 * own,
        popularity=0.6 * normal(seed, items, 0, Purpose.ITEM_POPULARITY),
        list_price_cents=np.maximum(np.rint(100 * pounds), 20).astype(np.int64),
        quantity_factor=np.exp(0.4 * normal(seed, items, 0, Purpose.ITEM_QUANTITY)),
        tiered=uniform(seed, items, 0, Purpose.ITEM_TIERED) < TIERED_ITEMS,
        promoted=uniform(seed, items, 0, Purpose.ITEM_PROMOTED) < PROMOTED_ITEMS,
    )


def _vectors(seed: int, count: int, purpose: Purpose) -> Floats:
    rows = np.repeat(np.arange(count), DIMENSIONS)
    steps = np.tile(np.arange(DIMENSIONS), count)
    return normal(seed, rows, steps, purpose).reshape(count, DIMENSIONS)


def promotion_depths(config: ShopConfig, day: int) -> Floats:
    """Return the share off each list price in the week of ``day``, whatever the demand."""
    week = (config.start.toordinal() + day - 1) // 7  # day 1 of the proleptic calendar is a Monday
    items = np.arange(config.items)
    on = uniform(config.seed, items, week, Purpose.PROMOTION) < config.promotion_share
    which = uniform(config.seed, items, week, Purpose.PROMOTION_DEPTH)
    depth = PROMOTION_DEPTHS[(which * len(PROMOTION_DEPTHS)).astype(np.int64)]
    return np.where(on & market_of(config).promoted, depth, 0.0)


def demand_factor(config: ShopConfig, day: int) -> float:
    """Return weekday factor times season: what multiplies every customer's rate on ``day``."""
    today = config.start + timedelta(days=day)
    yearly = 1 + 0.10 * np.cos(2 * np.pi * (today.timetuple().tm_yday - 330) / 365.25)
    return float(WEEKDAYS[today.weekday()] * (yearly + 0.8 * christmas(today)))


def christmas(today: date) -> float:
    """Return how near the Christmas peak is: 1 on 5 December, falling like a bell, 18 days wide."""
    peaks = [date(today.year + step, *CHRISTMAS_PEAK) for step in (-1, 0)]
    away = min(abs((today - peak).days) for peak in peaks)
    return float(np.exp(-0.5 * (away / 18) ** 2))


def tier_depths(market: Market, item: Integers, quantity: Integers) -> Floats:
    """Return the share off for buying many of a tiered item."""
    depth = np.zeros(len(item))
    for least, share in reversed(TIERS):
        depth = np.where(quantity >= least, share, depth)
    return np.where(market.tiered[item], depth, 0.0)
