"""Offered minus not offered: foreseen and measured, for all offers, each type and each offer.

Shapes: N customers, R draws of parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ml.events import Floats, Integers
from ml.uplift.forecast import Expected
from ml.uplift.intervals import Draws, Estimate
from ml.uplift.journal import TYPES, Journal, Offers, Outcome, outcome_between
from ml.uplift.metrics import Mask, Trial, mean_difference

OUTCOMES = ("spend", "bought")
LUCK_PER_DRAW = 400  # of chance in what customers do, for each draw of parameters
Level = Literal["all", "type", "offer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Offered minus not offered, the mean for each customer: foreseen and measured.

    ``predicted`` holds the measured difference in nine of ten cases if the model is right: what is
    not known of the parameters, and the luck of so many customers. ``effect`` is what the offers
    caused among those who got them; its interval knows no luck.
    """

    level: Level
    subject: str
    outcome: str
    offered: int
    others: int
    predicted: Estimate
    effect: Estimate
    measured: Estimate

    @property
    def off_by(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted.value / self.measured.value - 1 if self.measured.value else np.nan

    @property
    def held(self) -> bool:
        """Whether the measured difference lies in the interval of the predicted one."""
        return self.predicted.holds(self.measured.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A wave with the offers made in it (N,), -1 for none.

    ``given`` is what was expected with them and ``nothing`` without, the best parameters first,
    then each draw. ``spread`` is the variance of spend between customers, over its mean.
    """

    offers: Offers
    offered: Integers
    given: tuple[Expected, ...]
    nothing: tuple[Expected, ...]
    measured: Outcome
    spread: float
    draws: Draws
    seed: int

    def rows(self) -> tuple[Compared, ...]:
        """Return the rows of every outcome, for each group that anybody is in."""
        luck = np.random.default_rng([self.seed, 1])
        return tuple(
            self._row(level, subject, outcome, group, luck)
            for outcome in OUTCOMES
            for level, subject, group in self._groups()
            if group.any()
        )

    def _groups(self) -> Iterator[tuple[Level, str, Mask]]:
        made = self.offered >= 0
        yield "all", "all offers", made
        kind = np.where(made, self.offers.type[self.offered], -1)
        for n, name in enumerate(TYPES):
            yield "type", name, kind == n
        for n, name in enumerate(self.offers.names):
            yield "offer", name, self.offered == n

    def _row(
        self, level: Level, subject: str, outcome: str, group: Mask, luck: np.random.Generator
    ) -> Compared:
        others = self.offered < 0
        given, without, idle = (
            np.array([getattr(expected, outcome)[who].mean() for expected in of])
            for of, who in ((self.given, group), (self.given, others), (self.nothing, group))
        )
        arms = ((given[0], group.sum()), (without[0], others.sum()))
        error = np.sqrt(sum(self._variance(outcome, mean) / count for mean, count in arms))
        foreseen = given - without
        noise = luck.standard_normal((len(foreseen) - 1, LUCK_PER_DRAW)) * error
        trial = Trial(group, getattr(self.measured, outcome))
        return Compared(
            level=level, subject=subject, outcome=outcome,
            offered=int(group.sum()), others=int(others.sum()),
            predicted=Estimate.of(float(foreseen[0]), (foreseen[1:, None] + noise).ravel()),
            effect=Estimate.of(float(given[0] - idle[0]), given[1:] - idle[1:]),
            measured=mean_difference(trial, self.draws, group | others),
        )  # fmt: skip

    def _variance(self, outcome: str, mean: float) -> float:
        """Return the variance between customers of a group with this mean."""
        return self.spread * mean if outcome == "spend" else mean * (1 - mean)


def spend_spread(known: Journal, customers: int, window: int) -> float:
    """Return the variance of customers' spend over its mean, in earlier windows as long."""
    starts = range(0, max(known.end - window, 0) + 1, window)
    past = [outcome_between(known, customers, s, s + window).spend for s in starts]
    mean = sum(_mean(spend) for spend in past)
    return sum(float(spend.var()) for spend in past) / mean if mean else 0.0


def _mean(values: Floats) -> float:
    return float(values.mean())
