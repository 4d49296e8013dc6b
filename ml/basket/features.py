"""Numbers for (customer, item): what a customer's memory and the market say before an order.

All are known at the beginning of the order's day, except that day itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.basket.market import Market
from ml.basket.memory import (
    COUNT,
    DECAYS,
    FAST,
    FIRST_DAY,
    LAST_DAY,
    LAST_ORDER,
    SLOW,
    UNITS,
    CustomerMemory,
    Floats,
    Integers,
)

OWN_MOST, POPULAR_MOST, LIKELY_MOST = 600, 200, 100
HISTORY_DECAY, LEAST_WEIGHT = 0.8, 0.05


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items that might be bought, with their numbers and the heuristic's score.

    Shapes: C candidates; ``items`` (C,), ``prior`` (C,), ``features`` (C, F).
    """

    items: Integers
    prior: Floats
    features: Floats


def candidates(memory: CustomerMemory, market: Market, day: int, country: int) -> Candidates:
    """Return the own items, the best sellers of 28 days and what goes with the own ones.

    The prior is the number of own orders with the item; the best sellers of 28 days decide among
    equals, so it is below 1 for items never bought.
    """
    popular = market.windows[2]
    goes_with = _goes_with(memory, market)
    own = memory.items
    if len(own) > OWN_MOST:
        own = own[np.argsort(-memory.known[:, LAST_ORDER], kind="stable")[:OWN_MOST]]
    items = np.unique(
        np.concatenate([own, _most(popular, POPULAR_MOST), _most(goes_with, LIKELY_MOST)])
    )
    items = items[market.ever[items] > 0]
    place = np.array([memory.place.get(i, -1) for i in items.tolist()], dtype=np.int64)
    rows = np.where(place[:, None] >= 0, memory.table[np.maximum(place, 0)], 0.0)
    prior = rows[:, COUNT] + popular[items] / (popular.max() + 1)
    columns = {
        **_own(rows, memory, day, prior),
        **_market(items, market, day, country),
        "goes with": np.sqrt(goes_with[items]),
    }
    columns |= _together(columns, memory, rows, day)
    return Candidates(items, prior, np.stack(list(columns.values()), axis=1))


def _own(rows: Floats, memory: CustomerMemory, day: int, prior: Floats) -> dict[str, Floats]:
    count = rows[:, COUNT]
    ever = (count > 0).astype(np.float64)
    passed = memory.orders - rows[:, LAST_ORDER]
    slow, fast = (rows[:, c] * d**passed for c, d in zip((SLOW, FAST), DECAYS, strict=True))
    since = (day - rows[:, LAST_DAY]) * ever
    gap = np.where(
        count > 1, (rows[:, LAST_DAY] - rows[:, FIRST_DAY]) / np.maximum(count - 1, 1), 0
    )
    rank = np.empty(len(prior))
    rank[np.argsort(-prior, kind="stable")] = np.arange(1, len(prior) + 1)
    return {
        "ever": ever,
        "log count": np.log1p(count),
        "share of orders": count / max(memory.orders, 1),
        "count, slow decay": np.log1p(slow),
        "count, fast decay": np.log1p(fast),
        "in last order": ever * (passed == 0),
        "in last 3 orders": ever * (passed < 3),
        "orders since": np.log1p(passed) * ever,
        "days since": np.log1p(since),
        "own gap": np.log1p(gap),
        "days since / own gap": np.where(gap > 0, np.log1p(since) - np.log1p(gap), 0),
        "more than once": (count > 1).astype(np.float64),
        "own units": np.log1p(rows[:, UNITS] / np.maximum(count, 1)),
        "log rank": np.log(rank),
        "1 / rank": 1 / rank,
        "first ten": (rank <= 10).astype(np.float64),
        "prior": np.minimum(prior, 20.0),
    }


def _market(items: Integers, market: Market, day: int, country: int) -> dict[str, Floats]:
    week, fortnight, month, quarter = (np.log1p(w[items]) for w in market.windows)
    ever, orders = market.ever[items], np.maximum(market.ever[items], 1)
    local = market.by_country.get(country)
    here = np.zeros(len(items)) if local is None else local[items]
    sold = 0.0 if local is None else float(local.sum())
    repeats = market.repeats[items]
    gap = np.log1p(market.gap_days[items] / np.maximum(repeats, 1))
    age = np.log1p(day - market.first_day[items])
    everywhere = ever / max(float(market.ever.sum()), 1)
    return {
        "7 days": week,
        "14 days": fortnight,
        "28 days": month,
        "90 days": quarter,
        "all days": np.log1p(ever),
        "trend 7 / 28": week - month,
        "trend 14 / 28": fortnight - month,
        "trend 28 / 90": month - quarter,
        "trend 28 / all": month - np.log1p(ever),
        "log share of 28 days": np.log(market.windows[2][items] + 1)
        - np.log(market.windows[2].sum() + 1),
        "repeat share": repeats / orders,
        "buyers": np.log1p(market.buyers[items]),
        "item gap": gap,
        "age": age,
        "price": np.log1p(market.prices[items] / orders),
        "units": np.log1p(market.units[items] / orders),
        "country": np.log1p(here) * (sold > 0),
        "country / all": np.log(
            (here + 20 * everywhere) / (sold * everywhere + 20 * everywhere + 1e-9) + 0.05
        ),
    }


def _together(
    columns: dict[str, Floats], memory: CustomerMemory, rows: Floats, day: int
) -> dict[str, Floats]:
    """Return products with what is the same for all candidates: alone it could change no order."""
    ever, month = columns["ever"], columns["28 days"]
    repeat = memory.repeats / max(memory.lines, 1)
    orders, size = (
        np.log(max(memory.orders, 1)),
        np.log(max(memory.lines / max(memory.orders, 1), 1)),
    )
    waited = np.log1p(day - memory.last_day)
    typical = (memory.last_day - memory.first_day) / max(memory.orders - 1, 1)
    pace = waited - np.log1p(typical) if memory.orders > 1 else 0.0
    return {
        "ever x repeats": ever * repeat,
        "28 days x repeats": month * repeat,
        "share x repeats": columns["share of orders"] * repeat,
        "ever x orders": ever * orders,
        "28 days x orders": month * orders,
        "log count x orders": columns["log count"] * orders,
        "ever x size": ever * size,
        "28 days x size": month * size,
        "ever x waited": ever * waited,
        "last order x waited": columns["in last order"] * waited,
        "last order x pace": columns["in last order"] * pace,
        "goes with x orders": columns["goes with"] * orders,
        "item gap - days since": ever * np.abs(columns["item gap"] - columns["days since"]),
    }


def _goes_with(memory: CustomerMemory, market: Market) -> Floats:
    """Return how well each item (V,) goes with the customer's orders, later ones counting more."""
    if market.likeness is None or not memory.place:
        return np.zeros(market.size)
    weight = HISTORY_DECAY ** (memory.orders - memory.known[:, LAST_ORDER])
    heavy = np.flatnonzero(weight > LEAST_WEIGHT)
    heavy = heavy[np.argsort(-weight[heavy], kind="stable")[:OWN_MOST]]
    return market.goes_with(memory.items[heavy], weight[heavy])


def _most(scores: Floats, number: int) -> Integers:
    best = np.argpartition(-scores, min(number, len(scores) - 1))[:number]
    return best[scores[best] > 0]
