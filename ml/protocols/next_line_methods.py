"""The baselines of protocol A: mixtures whose weights were found on the validation window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ml.events import Floats, Integers
from ml.metrics import ItemScores
from ml.protocols.data import Lines
from ml.protocols.next_line import NextLine, Singles, Tell, score
from ml.protocols.next_line_parts import (
    BasketNeighbours,
    OpenOrder,
    Own,
    OwnTransitions,
    Part,
    Popularity,
    Recent,
    Transitions,
)

FLOOR = 0.001  # share of popularity in every method, so that nothing is ruled out
DAMPING = 0.05  # of items that the open order has already
VALIDATION_TARGETS = 12_000
EM_STEPS = 200

MIXES: dict[str, tuple[str, ...]] = {
    "global popularity": ("popularity",),
    "recent popularity, 28 days": ("recent",),
    "own frequency + popularity": ("own", "popularity"),
    "Markov + popularity": ("markov", "popularity"),
    "item-kNN + popularity": ("knn", "popularity"),
    "item-kNN + own + popularity": ("knn", "own", "popularity"),
    "Markov + own + popularity": ("markov", "own", "popularity"),
    "mix of six": ("knn", "recent", "markov", "own", "own_markov", "popularity"),
}
MASKED = "mix of six, open order damped"


@dataclass(frozen=True, slots=True)
class Measured:
    """What each baseline reached, and the weights of its parts."""

    scores: dict[str, ItemScores]
    weights: dict[str, dict[str, float]]


def parts_of(task: NextLine) -> dict[str, Part]:
    """Return the six parts, fitted on what lies before the split."""
    popularity = Popularity(task)
    return {
        "popularity": popularity,
        "recent": Recent(task),
        "own": Own(task, popularity),
        "markov": Transitions(task, popularity),
        "knn": BasketNeighbours(task, popularity),
        "own_markov": OwnTransitions(task, popularity),
    }


def fit_weights(
    lines: Lines, *, validation_ms: int, split_ms: int, sample: int = VALIDATION_TARGETS
) -> dict[str, dict[str, float]]:
    """Return for each mix the weights under which the validation window is likeliest.

    Statistics are of what lies before the window; a sample of its targets (seed 0) is asked for.
    """
    task = NextLine.of(lines, validation_ms, until_ms=split_ms, sample=sample)
    reached = _at_the_targets(task, parts_of(task))
    return {
        name: dict(zip(mix, em(np.stack([reached[p] for p in mix], axis=1)), strict=True))
        for name, mix in MIXES.items()
    }


def em(likelihoods: Floats, steps: int = EM_STEPS) -> list[float]:
    """Return the weights (K,) of the likeliest mixture of K parts; each row (N, K) is a target."""
    weights = np.full(likelihoods.shape[1], 1 / likelihoods.shape[1])
    for _ in range(steps):
        given = likelihoods * weights
        weights = (given / given.sum(axis=1, keepdims=True)).mean(axis=0)
    return [float(w) for w in weights]


def score_all(
    task: NextLine, weights: dict[str, dict[str, float]], on_block: Tell = lambda targets: None
) -> dict[str, ItemScores]:
    """Return how every mix did, and the mix of six with the open order damped.

    ``on_block`` hears of each block of targets after all methods have scored it.
    """
    shared = _Shared(parts_of(task))
    methods: dict[str, Callable[[Integers], Singles]] = {
        name: _Mix(shared, mix) for name, mix in weights.items()
    }
    methods[MASKED] = damped(methods["mix of six"], task)
    return score_together(task, methods, on_block)


def score_together(
    task: NextLine,
    methods: dict[str, Callable[[Integers], Singles]],
    on_block: Tell = lambda targets: None,
) -> dict[str, ItemScores]:
    """Return the scores of several methods, block by block, so that they can share their work."""
    parts: dict[str, list[ItemScores]] = {name: [] for name in methods}
    for block in _blocks(task):
        for name, method in methods.items():
            parts[name].append(score(block, method))
        on_block(len(block.targets))
    return {name: _joined(scores) for name, scores in parts.items()}


def damped(predict: Callable[[Integers], Singles], task: NextLine) -> Callable[[Integers], Singles]:
    """Return the method with the items of the open order made rarer, the rest likelier."""
    opened = OpenOrder(task)

    def predicted(rows: Integers) -> Singles:
        share = predict(rows).copy()
        inside = opened(rows).tocoo()
        share[inside.coords] *= np.float32(DAMPING)
        share /= share.sum(axis=1, keepdims=True)
        return share

    return predicted


class _Shared:
    """The parts, each computed once per block."""

    def __init__(self, parts: dict[str, Part]) -> None:
        self.parts = parts
        self.block: Integers | None = None
        self.made: dict[str, Singles] = {}

    def get(self, name: str, rows: Integers) -> Singles:
        if self.block is None or not np.array_equal(self.block, rows):
            self.block, self.made = rows, {}
        if name not in self.made:
            self.made[name] = self.parts[name](rows)
        return self.made[name]


class _Mix:
    """A weighted sum of parts with the floor of popularity."""

    def __init__(self, shared: _Shared, weights: dict[str, float]) -> None:
        self.shared = shared
        self.weights = {name: (1 - FLOOR) * weight for name, weight in weights.items()}
        self.weights["popularity"] = self.weights.get("popularity", 0.0) + FLOOR

    def __call__(self, rows: Integers) -> Singles:
        weighted = (
            np.float32(weight) * self.shared.get(name, rows)
            for name, weight in self.weights.items()
        )
        return np.asarray(sum(weighted))


def _at_the_targets(task: NextLine, parts: dict[str, Part]) -> dict[str, Floats]:
    """Return what each part said of what happened, the floor included, where it is known."""
    scores = score_together(task, dict(parts))
    floor = FLOOR * np.exp(-scores["popularity"].nll)
    return {
        name: ((1 - FLOOR) * np.exp(-found.nll) + floor)[task.known]
        for name, found in scores.items()
    }


def _blocks(task: NextLine, rows: int = 256) -> Sequence[NextLine]:
    return [
        NextLine(task.lines, task.split_ms, task.item, task.vocabulary, task.targets[a : a + rows])
        for a in range(0, len(task.targets), rows)
    ]


def _joined(scores: list[ItemScores]) -> ItemScores:
    return ItemScores(
        np.concatenate([part.rank for part in scores]),
        np.concatenate([part.nll for part in scores]),
    )
