"""The linear listwise model: prior score plus a small learned correction.

One pass of LambdaRank over the orders, no more: the loss goes on falling after it, the ranking of
later orders does not get better (measured on the validation window and on the season after it).
Source: Burges 2010, "From RankNet to LambdaRank to LambdaMART"; ours is linear and begins at the
prior.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ml.basket.features import Candidates
from ml.basket.memory import Floats, Integers

RANKS = 20  # deeper ones do not count while learning
MOMENTS = (0.9, 0.999)
SMALLEST = 1e-6


@dataclass(frozen=True, slots=True)
class Question:
    """What was known before an order, and which candidates (C,) were in it."""

    candidates: Candidates
    bought: Integers

    @staticmethod
    def of(candidates: Candidates, items: Integers) -> Question:
        return Question(candidates, np.flatnonzero(np.isin(candidates.items, items)))


@dataclass(frozen=True, slots=True, kw_only=True)
class BasketConfig:
    epochs: int = 1
    learning_rate: float = 0.003
    batch: int = 64
    seed: int = 0


@dataclass(frozen=True, slots=True)
class BasketModel:
    """Means, deviations and weights of the features (F,)."""

    mean: Floats
    deviation: Floats
    weights: Floats

    @staticmethod
    def untaught(features: int) -> BasketModel:
        """Return the prior alone."""
        return BasketModel(np.zeros(features), np.ones(features), np.zeros(features))

    @staticmethod
    def fit(
        questions: Sequence[Question],
        config: BasketConfig | None = None,
        on_question: Callable[[int], None] = lambda done: None,
    ) -> BasketModel:
        """Return the model learned from at least one order; equal questions give equal models."""
        chosen = config or BasketConfig()
        mean, deviation = _moments(questions)
        luck = np.random.default_rng(chosen.seed)
        descent = _Adam(len(mean), chosen.learning_rate)
        for _ in range(chosen.epochs):
            order = luck.permutation(len(questions))
            for start in range(0, len(order), chosen.batch):
                batch = order[start : start + chosen.batch]
                model = BasketModel(mean, deviation, descent.weights)
                slope = sum(model.slope(questions[n]) for n in batch.tolist()) / len(batch)
                descent.step(np.asarray(slope))
                on_question(len(batch))
        return BasketModel(mean, deviation, descent.weights)

    def score(self, candidates: Candidates) -> Floats:
        """Return a score per candidate; only their order means something."""
        return np.log1p(candidates.prior) + self._standard(candidates) @ self.weights

    def slope(self, question: Question) -> Floats:
        """Return in which direction (F,) the weights make the ranking worse."""
        scores = self.score(question.candidates)
        bought = np.zeros(len(scores), dtype=np.bool_)
        bought[question.bought] = True
        if not bought.any() or bought.all():
            return np.zeros(len(self.weights))
        return _lambdas(scores, bought) @ self._standard(question.candidates)

    def _standard(self, candidates: Candidates) -> Floats:
        return np.asarray((candidates.features - self.mean) / self.deviation, dtype=np.float64)


class _Adam:
    """Source: Kingma and Ba 2014, arXiv:1412.6980."""

    def __init__(self, size: int, rate: float) -> None:
        self.weights, self.rate = np.zeros(size), rate
        self.first, self.second, self.steps = np.zeros(size), np.zeros(size), 0

    def step(self, slope: Floats) -> None:
        self.steps += 1
        a, b = MOMENTS
        self.first = a * self.first + (1 - a) * slope
        self.second = b * self.second + (1 - b) * np.square(slope)
        first, second = self.first / (1 - a**self.steps), self.second / (1 - b**self.steps)
        self.weights = self.weights - self.rate * first / (np.sqrt(second) + 1e-8)


def _lambdas(scores: Floats, bought: np.typing.NDArray[np.bool_]) -> Floats:
    """Return how the loss changes with each score (C,): pairs weighted by what a swap costs."""
    rank = np.empty(len(scores), dtype=np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    discount = np.where(rank < RANKS, 1 / np.log2(rank + 2), 0.0)
    ideal = (1 / np.log2(np.arange(2, 2 + min(int(bought.sum()), RANKS)))).sum()
    wanted, others = np.flatnonzero(bought), np.flatnonzero(~bought)
    cost = np.abs(discount[wanted][:, None] - discount[others][None, :]) / ideal
    ahead = np.clip(scores[wanted][:, None] - scores[others][None, :], -30, 30)
    push = cost / (1 + np.exp(ahead))
    found = np.zeros(len(scores))
    found[wanted] = -push.sum(axis=1)
    found[others] = push.sum(axis=0)
    return found


def _moments(questions: Sequence[Question]) -> tuple[Floats, Floats]:
    size = questions[0].candidates.features.shape[1]
    total, squares, rows = np.zeros(size), np.zeros(size), 0
    for question in questions:
        features = question.candidates.features.astype(np.float64)
        total += features.sum(axis=0)
        squares += np.square(features).sum(axis=0)
        rows += len(features)
    mean = total / rows
    return mean, np.sqrt(np.maximum(squares / rows - np.square(mean), 0)) + SMALLEST
