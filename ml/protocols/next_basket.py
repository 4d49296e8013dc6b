"""Protocol B: what is in a customer's next order?

A target is every order from the split on of a customer with an earlier one. A method ranks the
items that were bought before the split and is judged by its first ten; items that it cannot know
stay in the basket. It sees all earlier orders of the customer, and the day of this one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ml.errors import NothingToPredict
from ml.events import Floats, Integers
from ml.metrics import Bootstrap, Figure
from ml.protocols.data import Lines, Mask
from ml.timing import DAY_MS

LENGTH = 10
METRICS = {"ndcg_10": "nDCG@10", "recall_10": "recall@10", "hit_10": "hit@10",
           "precision_10": "precision@10", "capped_recall_10": "capped recall"}  # fmt: skip
STRATA = {
    "all_orders": "all orders",
    "new_customers": "customers new since the split",
    "second_order": "1 earlier order",
    "third_or_fourth": "2-3 earlier orders",
    "fifth_to_tenth": "4-9 earlier orders",
    "later": "10 and more",
}
RETAIL_PRODUCTS = r"\d{5}[A-Za-z]*"  # Online Retail's; the rest is postage, fees, corrections

Basket = NDArray[np.int64]


@dataclass(frozen=True)
class Baskets:
    """Orders by customer, then time: the distinct items of each.

    ``order`` are their numbers in the lines, ``day`` is counted from 1970, ``earlier`` is how many
    orders of the customer came before.
    Shapes: M orders; ``items`` a list of M ascending arrays of item numbers, ``quantity`` and
    ``price`` (the mean of the order's lines) beside them.
    """

    customer: Integers
    order: Integers
    at_ms: Integers
    country: Integers
    items: tuple[Basket, ...]
    quantity: tuple[Floats, ...]
    price: tuple[Floats, ...]
    item_names: tuple[str, ...]

    @staticmethod
    def of(lines: Lines, products: str = r".*") -> Baskets:
        """Return the orders of the lines whose item's name matches all of ``products``."""
        known = re.compile(products)
        is_product = np.array([known.fullmatch(name) is not None for name in lines.items])
        kept = lines.rows(is_product[lines.item])
        size = len(lines.items)
        pair, inverse, count = np.unique(
            kept.order * size + kept.item, return_inverse=True, return_counts=True
        )
        order, item = pair // size, pair % size
        first = _first_rows(kept.order, order)
        quantity = np.bincount(inverse, kept.quantity)
        price = np.bincount(inverse, kept.unit_price) / count
        cuts = np.flatnonzero(np.diff(order)) + 1
        starts = np.concatenate(([0], cuts)).astype(np.int64) if len(order) else cuts
        rows = first[starts]
        earliest = np.full(int(kept.order.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(earliest, kept.order, kept.at_ms)
        at_ms = earliest[order[starts]]
        place = np.lexsort((rows, at_ms, kept.customer[rows]))

        def parts(values: NDArray[np.float64] | Integers) -> tuple[NDArray[np.float64], ...]:
            split = np.split(values, cuts)
            return tuple(split[n] for n in place)

        return Baskets(
            customer=kept.customer[rows][place], order=order[starts][place], at_ms=at_ms[place],
            country=kept.country[rows][place], items=parts(item),  # type: ignore[arg-type]
            quantity=parts(quantity), price=parts(price), item_names=lines.items,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.customer)

    @cached_property
    def day(self) -> Integers:
        """The day of each order, counted from 1970."""
        return self.at_ms // DAY_MS

    @cached_property
    def earlier(self) -> Integers:
        """How many orders of the same customer came before each."""
        rows = np.arange(len(self))
        first = np.searchsorted(self.customer, self.customer, side="left")
        return np.asarray(rows - first)

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """Ones (M, items) where an order has an item."""
        sizes = [len(items) for items in self.items]
        row = np.repeat(np.arange(len(self)), sizes)
        column = np.concatenate(self.items) if self.items else np.zeros(0, np.int64)
        shape = (len(self), len(self.item_names))
        return sparse.csr_array((np.ones(len(row), np.float32), (row, column)), shape=shape)


@dataclass(frozen=True)
class NextBasket:
    """The task: orders, where to split them, and which are asked for.

    ``targets`` (T,) are rows of orders; ``vocabulary`` (V,) the item numbers that may be ranked.
    """

    baskets: Baskets
    split_ms: int
    targets: Integers
    vocabulary: Integers

    @staticmethod
    def of(baskets: Baskets, split_ms: int, *, until_ms: int | None = None) -> NextBasket:
        """Return the orders of [split_ms, until_ms) whose customer has an earlier one.

        Raises:
            NothingToPredict: there are none, or no order before the split.
        """
        learned = baskets.at_ms < split_ms
        asked = ~learned & (baskets.earlier > 0)
        if until_ms is not None:
            asked &= baskets.at_ms < until_ms
        targets = np.flatnonzero(asked)
        if not learned.any() or not len(targets):
            before = int(learned.sum())
            raise NothingToPredict(split_ms=split_ms, before=before, targets=len(targets))
        vocabulary = np.unique(np.concatenate([baskets.items[m] for m in np.flatnonzero(learned)]))
        return NextBasket(baskets, split_ms, targets, vocabulary)

    @cached_property
    def learned(self) -> Mask:
        """The orders (M,) before the split."""
        return self.baskets.at_ms < self.split_ms

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """Ones (M, V) where an order has an item of the vocabulary."""
        return self.baskets.matrix[:, self.vocabulary]

    @cached_property
    def sizes(self) -> Integers:
        """The sizes (T,) of the baskets asked for, with what no method can know."""
        return np.array([len(self.baskets.items[m]) for m in self.targets])

    def strata(self) -> dict[str, Mask]:
        """Return which targets (T,) belong to each stratum."""
        earlier = self.baskets.earlier[self.targets]
        before = np.unique(self.baskets.customer[self.learned])
        return {
            "all_orders": np.ones(len(self.targets), dtype=np.bool_),
            "new_customers": ~np.isin(self.baskets.customer[self.targets], before),
            "second_order": earlier == 1,
            "third_or_fourth": (earlier >= 2) & (earlier <= 3),
            "fifth_to_tenth": (earlier >= 4) & (earlier <= 9),
            "later": earlier >= 10,
        }


def first_ten(scores: NDArray[np.floating], length: int = LENGTH) -> Integers:
    """Return the columns (T, 10) of the highest scores, best first; -1 where a score is -inf.

    Of equal scores the smaller column comes first.
    """
    length = min(length, scores.shape[1])
    best = np.argsort(-scores, axis=1, kind="stable")[:, :length]
    reached = np.take_along_axis(scores, best, axis=1)
    return np.where(np.isfinite(reached), best, -1)


def values(task: NextBasket, ranked: Integers) -> dict[str, Floats]:
    """Return one value per target and metric for ``ranked`` columns (T, 10) of the vocabulary."""
    wanted = task.matrix[task.targets]
    hit = np.zeros((len(ranked), LENGTH))
    for n, columns in enumerate(ranked):
        row = wanted.indices[wanted.indptr[n] : wanted.indptr[n + 1]]
        hit[n, : len(columns)] = np.isin(columns, row)
    discount = 1 / np.log2(np.arange(2, LENGTH + 2))
    capped = np.minimum(task.sizes, LENGTH)
    hits = hit.sum(axis=1)
    return {
        "ndcg_10": hit @ discount / np.cumsum(discount)[capped - 1],
        "recall_10": hits / task.sizes,
        "hit_10": (hits > 0).astype(np.float64),
        "precision_10": hits / LENGTH,
        "capped_recall_10": hits / capped,
    }


def bootstrap_of(task: NextBasket, *, draws: int = 300, seed: int = 0) -> Bootstrap:
    """Return the resampling of the customers whose orders are asked for."""
    return Bootstrap(task.baskets.customer[task.targets], draws=draws, seed=seed)


def figures(
    task: NextBasket, found: Mapping[str, Floats], bootstrap: Bootstrap
) -> dict[str, dict[str, Figure]]:
    """Return every metric in every stratum with its interval."""
    return {name: bootstrap.figures(found, where) for name, where in task.strata().items()}


def gains(
    found: Mapping[str, Floats], against: Mapping[str, Floats], bootstrap: Bootstrap
) -> dict[str, Figure]:
    """Return by how much each metric is better than another method's, paired."""
    return {name: bootstrap.figure(found[name] - against[name]) for name in METRICS}


def _first_rows(keys: Integers, wanted: Integers) -> Integers:
    """Return for each of ``wanted`` the first row at which ``keys`` has it."""
    first = np.full(int(keys.max(initial=-1)) + 1, -1, dtype=np.int64)
    first[keys[::-1]] = np.arange(len(keys))[::-1]
    return first[wanted]
