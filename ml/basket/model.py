"""The linear listwise model: prior score plus a small learned correction.

Two passes of LambdaRank over the orders, no more: the loss goes on falling after them, the ranking
of later orders hardly gets better (measured on two validation months). What the passes end in
depends on the order of the orders, so the weights are the mean of several shuffles.
Source: Burges 2010, "From RankNet to LambdaRank to LambdaMART"; ours is linear and begins at the
prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ml.basket.chances import CHANCES, fit_chances, inputs_of_chances, logistic
from ml.basket.features import Candidates
from ml.events import Floats, Integers

RANKS = 20  # deeper ones do not count while learning
MOMENTS = (0.9, 0.999)
SMALLEST = 1e-6
LISTED = 10  # items of a list that probabilities are learned from

# Raised where a column of the features is added, moved or means something else.
FEATURES = 1


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
    epochs: int = 2
    shuffles: int = 4
    learning_rate: float = 0.003
    batch: int = 64
    seed: int = 0


@dataclass(frozen=True, slots=True)
class BasketModel:
    """Means, deviations and weights of the features (F,); ``chance`` (4,) turns scores into shares.

    Shapes: F features; C candidates.
    """

    mean: Floats
    deviation: Floats
    weights: Floats
    chance: Floats

    @staticmethod
    def fit(questions: Sequence[Question], config: BasketConfig | None = None) -> BasketModel:
        """Return the model learned from at least one order; equal questions give equal models."""
        chosen = config or BasketConfig()
        mean, deviation = _moments(questions)
        blank = BasketModel(mean, deviation, np.zeros(len(mean)), np.zeros(CHANCES))
        luck = np.random.default_rng(chosen.seed)
        ends = [blank._descended(questions, chosen, luck) for _ in range(chosen.shuffles)]
        ranking = replace(blank, weights=np.mean(ends, axis=0))
        return replace(ranking, chance=_chances(ranking, questions))

    def score(self, candidates: Candidates) -> Floats:
        """Return a score (C,) per candidate; only their order means something."""
        return self._scored(candidates)[0]

    def best(self, candidates: Candidates, number: int = LISTED) -> tuple[Integers, Floats]:
        """Return the places of the candidates with the highest scores, the highest first.

        Beside them stands the probability that each is in the order.
        """
        scores = self.score(candidates)
        places = np.argsort(-scores, kind="stable")[:number]
        return places, logistic(inputs_of_chances(candidates, scores[places]) @ self.chance)

    def as_dict(self) -> dict[str, Any]:
        """Return the model for JSON."""
        columns = {f.name: getattr(self, f.name).tolist() for f in fields(self)}
        return {"features": FEATURES, **columns}

    @staticmethod
    def of(stored: Mapping[str, Any]) -> BasketModel:
        """Return the model that ``as_dict`` wrote.

        Raises:
            ValueError: it was learned from other features, or is not whole.
        """
        columns = {f.name: np.array(stored[f.name], np.float64) for f in fields(BasketModel)}
        model = BasketModel(**columns)
        whole = {len(model.mean), len(model.deviation), len(model.weights)}
        if stored["features"] != FEATURES or len(whole) > 1 or len(model.chance) != CHANCES:
            raise ValueError("the next basket was learned from other features: train again")
        return model

    def slope(self, question: Question) -> Floats:
        """Return in which direction (F,) the weights make the ranking worse."""
        scores, standard = self._scored(question.candidates)
        bought = np.zeros(len(scores), dtype=np.bool_)
        bought[question.bought] = True
        if not bought.any() or bought.all():
            return np.zeros(len(self.weights))
        return _lambdas(scores, bought) @ standard

    def _descended(
        self, questions: Sequence[Question], config: BasketConfig, luck: np.random.Generator
    ) -> Floats:
        """Return the weights after the passes of one shuffle."""
        descent = _Adam(len(self.mean), config.learning_rate)
        for _ in range(config.epochs):
            order = luck.permutation(len(questions))
            for start in range(0, len(order), config.batch):
                batch = order[start : start + config.batch].tolist()
                model = replace(self, weights=descent.weights)
                slope = sum(model.slope(questions[n]) for n in batch) / len(batch)
                descent.step(np.asarray(slope))
        return descent.weights

    def _scored(self, candidates: Candidates) -> tuple[Floats, Floats]:
        """Return the scores (C,) and the standardised features (C, F) that they are made of."""
        standard = (candidates.features - self.mean) / self.deviation
        return np.log1p(candidates.prior) + standard @ self.weights, standard


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


def _chances(model: BasketModel, questions: Sequence[Question]) -> Floats:
    """Learn which share of the listed items was bought; the ranking stays as it is."""
    inputs, bought = [], []
    for question in questions:
        scores = model.score(question.candidates)
        places = np.argsort(-scores, kind="stable")[:LISTED]
        inputs.append(inputs_of_chances(question.candidates, scores[places]))
        bought.append(np.isin(places, question.bought))
    return fit_chances(np.concatenate(inputs), np.concatenate(bought))


def _width(questions: Sequence[Question]) -> int:
    return len(questions[0].candidates.features[0])


def _moments(questions: Sequence[Question]) -> tuple[Floats, Floats]:
    size = _width(questions)
    total, squares, rows = np.zeros(size), np.zeros(size), 0
    for question in questions:
        features = question.candidates.features.astype(np.float64)
        total += features.sum(axis=0)
        squares += np.square(features).sum(axis=0)
        rows += len(features)
    mean = total / rows
    return mean, np.sqrt(np.maximum(squares / rows - np.square(mean), 0)) + SMALLEST
