"""Numbers for (customer, item): what a customer's memory and the market say before an order.

All are known at the beginning of the order's day, except that day itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.basket.known import (
    FAST,
    FIRST_DAY,
    LAST_DAY,
    LAST_ORDER,
    LOG_QUANTITY,
    ORDERS,
    SLOW,
    Known,
    likely,
)
from ml.basket.shelf import Shelf
from ml.events import Floats, Integers
from ml.mixture.memory import FAST_DECAY, SLOW_DECAY

OWN_MOST, LIKELY_MOST = 600, 100

# Columns of the plain numbers: what the market says matters otherwise for items that one has
# bought, lately above all, than for new ones, so these are multiplied.
EVER, LATELY, MARKET = 0, 4, slice(17, 36)

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items that might be bought, with their numbers and the heuristic's score.

    ``owned`` says that the customer has ordered the item before, ``size`` and ``orders`` are logs:
    of the mean size of the customer's orders and of their number.
    Shapes: C candidates; ``items``, ``prior`` and ``owned`` (C,), ``plain`` (C, 49), ``features``
    (C, F).
    """

    items: Integers
    prior: Floats
    owned: NDArray[np.bool_]
    plain: Singles
    size: float
    orders: float

    @property
    def features(self) -> Singles:
        """The plain numbers and their products, made when asked for: they are nearly as many."""
        market = self.plain[:, MARKET]
        products = [market * self.plain[:, [column]] for column in (EVER, LATELY)]
        return np.concatenate([self.plain, *products], axis=1)


def candidates(known: Sequence[Known], shelf: Shelf) -> list[Candidates]:
    """Return each customer's own items, the best sellers of 28 days and what goes with the own.

    The prior is the number of own orders with the item; the best sellers of 28 days decide among
    equals, so it is below 1 for items never bought.
    """
    goes_with = likely(known, shelf.neighbours)
    return [_candidates(one, shelf, row) for one, row in zip(known, goes_with, strict=True)]


def _candidates(known: Known, shelf: Shelf, goes_with: Floats) -> Candidates:
    own = known.items
    if len(own) > OWN_MOST:
        own = own[np.argsort(-known.table[:, LAST_ORDER], kind="stable")[:OWN_MOST]]
    chosen = np.zeros(len(goes_with), np.bool_)
    for part in (own, shelf.popular, _most(goes_with, LIKELY_MOST)):
        chosen[part] = True
    items = np.flatnonzero(chosen)
    rows = known.rows(items)
    prior = rows[:, ORDERS] + shelf.below_one[items]
    columns = _own(rows, known, prior)
    columns |= shelf.columns(items, known.day, known.country)
    columns["goes with"] = np.sqrt(goes_with[items])
    columns |= _together(columns, known)
    plain = np.empty((len(items), len(columns)), np.float32)
    for place, column in enumerate(columns.values()):
        plain[:, place] = column
    owned = rows[:, ORDERS] > 0
    return Candidates(items, prior, owned, plain, known.log_size, known.log_orders)


def _own(rows: Floats, known: Known, prior: Floats) -> dict[str, Floats]:
    count, passed = rows[:, ORDERS], known.orders - rows[:, LAST_ORDER]
    ever = (count > 0).astype(np.float64)
    log_since = np.log1p(np.maximum(known.day - rows[:, LAST_DAY], 0) * ever)
    between = rows[:, LAST_DAY] - rows[:, FIRST_DAY]
    gap = np.where(count > 1, between / np.maximum(count - 1, 1), 0)
    log_gap = np.log1p(gap)
    rank = np.empty(len(prior))
    rank[np.argsort(-prior, kind="stable")] = np.arange(1, len(prior) + 1)
    return {
        "ever": ever,
        "log count": np.log1p(count),
        "share of orders": count / max(known.orders, 1),
        "count, slow decay": np.log1p(rows[:, SLOW] * SLOW_DECAY**passed),
        "count, fast decay": np.log1p(rows[:, FAST] * FAST_DECAY**passed),
        "in last order": ever * (passed == 0),
        "in last 3 orders": ever * (passed < 3),
        "orders since": np.log1p(passed) * ever,
        "days since": log_since,
        "own gap": log_gap,
        "days since / own gap": np.where(gap > 0, log_since - log_gap, 0),
        "more than once": (count > 1).astype(np.float64),
        "own units": rows[:, LOG_QUANTITY],
        "log rank": np.log(rank),
        "1 / rank": 1 / rank,
        "first ten": (rank <= 10).astype(np.float64),
        "prior": np.minimum(prior, 20.0),
    }


def _together(columns: dict[str, Floats], known: Known) -> dict[str, Floats]:
    """Return products with what is the same for all candidates: alone it could change no order."""
    ever, month = columns["ever"], columns["28 days"]
    repeat, orders, size = known.repeat_share, known.log_orders, known.log_size
    waited, pace = known.log_waited, known.pace
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


def _most(scores: Floats, number: int) -> Integers:
    best = np.argpartition(-scores, min(number, len(scores) - 1))[:number]
    return best[scores[best] > 0]
