"""Protocol B, run: every baseline beside the twin's ranking model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ml.basket.features import Candidates
from ml.basket.history import walk
from ml.basket.memory import Order
from ml.basket.model import BasketConfig, BasketModel, Question
from ml.events import Floats, Integers
from ml.protocols.next_basket import (
    LENGTH,
    METRICS,
    STRATA,
    Baskets,
    NextBasket,
    bootstrap_of,
    figures,
    first_ten,
    gains,
    values,
)
from ml.protocols.next_basket_methods import (
    METHODS,
    REFERENCE,
    Counters,
    Tifu,
    TifuScores,
    tuned_tifu,
)
from ml.protocols.tables import TWIN, ProtocolReport, Section, Stage, flat, quiet, sections_of

WARM_UP_DAYS = 62  # orders of the first days are folded, not learned from: nobody has a past yet
NOTES = (
    "the time of the order is known to all methods; popularity is that of the days before it",
    "items first sold after the split stay in the basket and count as a miss",
)


def run(
    baskets: Baskets,
    *,
    split_ms: int,
    validation_ms: int,
    with_model: bool = True,
    draws: int = 300,
    stage: Stage = quiet,
) -> ProtocolReport:
    """Return the figures of all baselines and of the ranking model.

    Raises:
        NothingToPredict: the split leaves nothing to learn or to ask.
    """
    task = NextBasket.of(baskets, split_ms)
    validation = NextBasket.of(baskets, validation_ms, until_ms=split_ms)
    gain = Section("Next basket: gain over the reference, paired",
                   {f"gain.{metric}": heading for metric, heading in METRICS.items()})  # fmt: skip
    strata = sections_of({k: f"Next basket: {v}" for k, v in STRATA.items()}, METRICS)
    report = ProtocolReport(
        "B", f"Next basket: {len(task.targets):,} orders", (strata[0], gain, *strata[1:]),
        notes=[*NOTES, f"the reference is: {REFERENCE}"],
    )  # fmt: skip
    found = _baselines(task, validation, report, stage)
    if with_model:
        found[f"{TWIN}: prior and linear correction"] = _model(task, stage)
    bootstrap = bootstrap_of(task, draws=draws)
    for name, reached in found.items():
        report.add(name, flat(figures(task, reached, bootstrap)))
        if name != REFERENCE:
            paired = gains(reached, found[REFERENCE], bootstrap)
            report.add(name, {f"gain.{metric}": figure for metric, figure in paired.items()})
    return report


def orders_of(baskets: Baskets) -> tuple[list[Order], Integers]:
    """Return the orders by time, and which row of ``baskets`` each is."""
    rows = np.argsort(baskets.at_ms, kind="stable")
    made = [
        Order(
            customer=int(baskets.customer[m]), day=int(baskets.day[m]),
            country=int(baskets.country[m]), items=baskets.items[m],
            units=baskets.quantity[m], prices=baskets.price[m],
        )
        for m in rows.tolist()
    ]  # fmt: skip
    return made, rows


def rank_by_model(
    task: NextBasket, config: BasketConfig | None = None, stage: Stage = quiet
) -> Integers:
    """Return the first ten columns (T, 10) of the vocabulary, by a model of what came before."""
    orders, rows = orders_of(task.baskets)
    is_target = np.isin(rows, task.targets)
    learned = task.learned[rows]
    warm = np.array([order.day for order in orders]) >= orders[0].day + WARM_UP_DAYS
    column = np.full(len(task.baskets.item_names), -1)
    column[task.vocabulary] = np.arange(len(task.vocabulary))
    questions: list[Question] = []
    ranked = np.full((len(task.baskets), LENGTH), -1)
    model: BasketModel | None = None
    with stage("folding orders", "orders", len(orders)) as advance:
        before = -1
        for n, candidates in walk(orders, len(column), (is_target | (learned & warm)).tolist()):
            advance(n - before)
            before = n
            if learned[n]:
                questions.append(Question.of(candidates, orders[n].items))
                continue
            model = model or _fitted(questions, candidates, config)
            ranked[rows[n]] = _best(model.score(candidates), column[candidates.items])
    return ranked[task.targets]


def _fitted(
    questions: Sequence[Question], candidates: Candidates, config: BasketConfig | None
) -> BasketModel:
    """Return the model of these orders, the prior alone where there are none."""
    if questions:
        return BasketModel.fit(questions, config)
    return BasketModel.untaught(candidates.features.shape[1])


def _best(scores: Floats, columns: Integers) -> Integers:
    """Return the ten columns with the highest scores; -1 is no column of the vocabulary."""
    allowed = np.flatnonzero(columns >= 0)
    best = allowed[np.argsort(-scores[allowed], kind="stable")[:LENGTH]]
    return np.concatenate([columns[best], np.full(LENGTH - len(best), -1)])


def _model(task: NextBasket, stage: Stage) -> dict[str, Floats]:
    return values(task, rank_by_model(task, stage=stage))


def _baselines(
    task: NextBasket, validation: NextBasket, report: ProtocolReport, stage: Stage
) -> dict[str, dict[str, Floats]]:
    counters = Counters(task)
    found: dict[str, dict[str, Floats]] = {}
    with stage("counting rules", "methods", len(METHODS) + 2) as advance:
        for name, method in METHODS.items():
            found[name] = values(task, first_ten(method(counters)))
            advance(1)
        tifu = TifuScores(task)
        settings: Sequence[tuple[str, Tifu]] = (
            ("TIFU-kNN, defaults", Tifu()), ("TIFU-kNN, tuned", tuned_tifu(validation))
        )  # fmt: skip
        for name, chosen in settings:
            found[name] = values(task, first_ten(tifu(chosen)))
            advance(1)
    report.notes.append(f"TIFU-kNN as tuned on the validation window: {settings[1][1]}")
    return found
