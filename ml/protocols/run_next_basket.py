"""Protocol B, run: every baseline beside what the twins say of the next order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ml.basket.model import BasketModel
from ml.basket.walk import walk
from ml.events import Floats, Integers
from ml.mixture.model import Mixture
from ml.protocols.data import Lines
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
from ml.twin import TwinModel

NOTES = (
    "the time of the order is known to all methods; popularity is that of the days before it",
    "items first sold after the split stay in the basket and count as a miss",
)


def run(
    lines: Lines,
    *,
    split_ms: int,
    validation_ms: int,
    products: str = r".*",
    model: TwinModel | None = None,
    draws: int = 300,
    stage: Stage = quiet,
) -> ProtocolReport:
    """Return the figures of all baselines and, where a model ranks next baskets, of its twins.

    Raises:
        NothingToPredict: the split leaves nothing to learn or to ask.
    """
    baskets = Baskets.of(lines, products)
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
    if model and model.next_item and model.next_basket:
        ranked = rank_by_twins(task, lines, model.next_item, model.next_basket, stage)
        found[TWIN] = values(task, ranked)
    bootstrap = bootstrap_of(task, draws=draws)
    for name, reached in found.items():
        report.add(name, flat(figures(task, reached, bootstrap)))
        if name != REFERENCE:
            paired = gains(reached, found[REFERENCE], bootstrap)
            report.add(name, {f"gain.{metric}": figure for metric, figure in paired.items()})
    return report


def rank_by_twins(
    task: NextBasket, lines: Lines, mixture: Mixture, model: BasketModel, stage: Stage = quiet
) -> Integers:
    """Return the first ten columns (T, 10) of the vocabulary, as the twins ranked them.

    Each is asked just before the order: its memory has folded every earlier line, of products or
    not, and the market is that of the midnight before.
    """
    frame = mixture.frame
    folded = frame.lines(lines.events())
    target = _first_lines(task, folded.order)
    column = _columns_of(task, frame.vocabulary)
    ranked = np.full((len(task.targets), LENGTH), -1)
    with stage("folding orders", "orders", len(target)) as advance:
        market, begin = frame.market(folded), np.array(sorted(target))
        for asked in walk(frame, folded, lines.customer_countries(), market, begin):
            scores = model.score(asked.candidates)
            ranked[target[asked.line]] = _best(scores, column[asked.candidates.items])
            advance(1)
    return ranked


def _first_lines(task: NextBasket, orders: Integers) -> dict[int, int]:
    """Return which target is the order that begins at a line; the twins count orders from 1."""
    numbers, first = np.unique(orders, return_index=True)
    asked = np.searchsorted(numbers, task.baskets.order[task.targets] + 1)
    return {line: target for target, line in enumerate(first[asked].tolist())}


def _columns_of(task: NextBasket, names: Sequence[str]) -> Integers:
    """Return the column of the vocabulary that each name has, -1 where it has none."""
    columns = {task.baskets.item_names[item]: n for n, item in enumerate(task.vocabulary.tolist())}
    return np.array([columns.get(name, -1) for name in names], np.int64)


def _best(scores: Floats, columns: Integers) -> Integers:
    """Return the ten columns with the highest scores; -1 is no column of the vocabulary."""
    allowed = np.flatnonzero(columns >= 0)
    best = allowed[np.argsort(-scores[allowed], kind="stable")[:LENGTH]]
    return np.concatenate([columns[best], np.full(LENGTH - len(best), -1)])


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
