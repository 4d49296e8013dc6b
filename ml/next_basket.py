"""The model of the next basket, learned and measured beside the mixture of the next item.

Both read the same memories and the same market. The weights are learned before the validation
window, measured on it, and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ml.basket.model import LISTED, BasketConfig, BasketModel, Question
from ml.basket.walk import Asked, baskets, order_starts, orders, walk
from ml.events import EventTable, Floats, Integers
from ml.metrics import Bootstrap
from ml.mixture.lines import Lines
from ml.mixture.model import Mixture

WARM_UP_DAYS = 62  # nobody has a past yet: these orders are folded, not learned from
QUESTIONS_MOST = 20_000  # the newest ones; each takes some 100 kB while a model learns
REFERENCE = "personal_and_recent"
# The prior is a whole number of own orders and, below 1, how well an item sold lately.
RULES: dict[str, Callable[[Floats], Floats]] = {
    REFERENCE: lambda prior: prior,
    "best_sellers": lambda prior: np.modf(prior)[0],
}
DISCOUNT: Floats = 1 / np.log2(np.arange(2, LISTED + 2))


def fit_beside(
    mixture: Mixture,
    events: EventTable,
    countries: Sequence[str],
    *,
    until_ms: int,
    config: BasketConfig | None = None,
) -> BasketModel | None:
    """Return the model of the orders before ``until_ms``; None where nobody ordered twice."""
    lines = mixture.frame.lines(events.rows(events.occurred_at_ms < until_ms))
    starts = order_starts(lines)
    bought = baskets(lines, starts)
    questions = [
        Question.of(asked.candidates, bought[asked.line])
        for asked in _walked(mixture, lines, countries, _worth_learning(lines, starts))
    ]
    answered = [question for question in questions if len(question.bought)]
    return BasketModel.fit(answered, config) if answered else None


def measured(
    model: BasketModel,
    mixture: Mixture,
    events: EventTable,
    countries: Sequence[str],
    *,
    from_ms: int,
    draws: int = 300,
    seed: int = 0,
) -> dict[str, Any]:
    """Return how well the orders from ``from_ms`` on were foretold, beside the rules.

    ``events`` are whole histories. A customer's first order is left out; an item that the mixture
    does not know stays in its basket and counts as a miss.
    """
    lines = mixture.frame.lines(events)
    starts = order_starts(lines)
    bought, sizes = baskets(lines, starts), _sizes(events, lines, starts)
    asked = list(_walked(mixture, lines, countries, starts[lines.at_ms[starts] >= from_ms]))
    if not asked:
        return {}
    size = np.array([sizes[one.line] for one in asked])
    lists = [model.best(one.candidates) for one in asked]
    found = {"model": _judged([places for places, _ in lists], asked, bought, size)}
    for name, rule in RULES.items():
        ranked = [_first(rule(one.candidates.prior)) for one in asked]
        found[name] = _judged(ranked, asked, bought, size)
    bootstrap = Bootstrap(lines.customer[[one.line for one in asked]], draws=draws, seed=seed)
    foretold = np.array([float(chances.sum()) for _, chances in lists])
    return {
        "targets": len(asked),
        "all_orders": {name: bootstrap.figures(values) for name, values in found.items()},
        "gain": {
            metric: bootstrap.figure(value - found[REFERENCE][metric])
            for metric, value in found["model"].items()
        },
        "hits_of_ten": {
            "foretold": bootstrap.figure(foretold),
            "found": bootstrap.figure(found["model"]["recall_10"] * size),
        },
    }


def _walked(
    mixture: Mixture, lines: Lines, countries: Sequence[str], asked: Integers
) -> Iterator[Asked]:
    return walk(mixture.frame, lines, countries, mixture.frame.market(lines), asked)


def _worth_learning(lines: Lines, starts: Integers) -> Integers:
    """Return the newest orders after the warm-up, a quarter of a short history at most."""
    days = lines.day[starts]
    if not len(days):
        return starts
    history = int(days.max() - days.min())
    later = starts[days >= days.min() + min(WARM_UP_DAYS, history // 4)]
    newest = np.argsort(-lines.at_ms[later], kind="stable")[:QUESTIONS_MOST]
    return np.sort(later[newest])


def _first(scores: Floats) -> Integers:
    return np.argsort(-scores, kind="stable")[:LISTED]


def _judged(
    ranked: Sequence[Integers],
    asked: Sequence[Asked],
    bought: Mapping[int, Integers],
    size: Integers,
) -> dict[str, Floats]:
    """Return one value per order (T,) and metric for lists of places among the candidates."""
    hit = np.zeros((len(asked), LISTED))
    for row, (places, one) in enumerate(zip(ranked, asked, strict=True)):
        hit[row, : len(places)] = np.isin(one.candidates.items[places], bought[one.line])
    return {
        "ndcg_10": hit @ DISCOUNT / np.cumsum(DISCOUNT)[np.minimum(size, LISTED) - 1],
        "recall_10": hit.sum(axis=1) / size,
        "hit_10": hit.any(axis=1).astype(np.float64),
    }


def _sizes(events: EventTable, lines: Lines, starts: Integers) -> dict[int, int]:
    """Return how many distinct items each order has, those without a row among them."""
    names = np.unique(events.sku[lines.row].astype(str), return_inverse=True)[1]
    return {rows.start: len(set(names[rows].tolist())) for rows in orders(lines, starts)}
