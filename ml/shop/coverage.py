"""How often a forecast's interval holds the truth, on synthetic shops whose truth is known.

Every run is a shop of its own: its past is shown to the forecast, which learns response and rhythm
from it and nothing else, and one more offer to everybody is forecast by the rollout that
simulations use. Its true uplift is that of the same customers in the same shop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ml.events import EventKind, Floats, Integers
from ml.response import (
    ElasticityEstimate,
    ElasticityResponse,
    LearnedResponse,
    Response,
    estimate_elasticity,
    learn_response,
)
from ml.rhythm.model import Rhythm
from ml.rollout import RolloutOutcome, RolloutPlan, Scenario, rollout
from ml.shop.config import ShopConfig
from ml.shop.coverage_history import History, history_of
from ml.shop.coverage_network import network
from ml.shop.coverage_waves import mean_of_waves
from ml.shop.truth import Uplift, true_uplifts

MEASURES = ("orders", "buyers", "revenue")
LEARNED, ELASTICITY, WAVES = "learned", "elasticity", "mean of earlier waves"
LEAST_LINES_PER_WEEK = 4.0  # the items of a small shop sell less often than a simulation asks for


class Bounded(Protocol):
    """Means with the ends of their intervals, one for each scenario."""

    @property
    def mean(self) -> Floats: ...
    @property
    def low(self) -> Floats: ...
    @property
    def high(self) -> Floats: ...


IntervalOf = Callable[[Integers], Bounded]  # of (scenarios, replicates)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Which offer is forecast in which kind of shop, and how carefully. Fields as in the shop's."""

    customers: int = 500
    days: int = 252  # of history: the forecast begins on 13 September, before the Christmas season
    items: int = 24
    wave_every_days: int = 42
    wave_share: float = 1.0
    lines_per_order: float = 2.5  # few: a rollout takes as long as it draws lines
    elasticity_mean: float = 1.8  # 0: a placebo, an offer that customers do not answer to
    depth: float = 0.2
    offer_days: int = 14
    horizon_days: int = 28
    replicates: int = 40
    futures: int = 10  # whose mean is the expected uplift

    def shop(self, seed: int) -> ShopConfig:
        """Return the shop of one run; it ends where the forecast begins."""
        return ShopConfig(
            customers=self.customers,
            days=self.days,
            seed=seed,
            items=self.items,
            wave_every_days=self.wave_every_days,
            wave_share=self.wave_share,
            lines_per_order=self.lines_per_order,
            elasticity_mean=self.elasticity_mean,
            offer_days=self.offer_days,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The forecast of one measure by one method."""

    mean: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies in the interval."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One shop: by method and measure what was forecast, and by measure what is true.

    ``expected`` is the mean over possible futures, ``realised`` what happened in the shop's own.
    ``nothing`` are the forecasts of an offer of depth 0.
    """

    seed: int
    forecasts: dict[str, dict[str, Forecast]]
    nothing: dict[str, Forecast]
    expected: dict[str, float]
    realised: dict[str, float]


def one_run(task: Task, seed: int, interval: IntervalOf, *, learned_only: bool = False) -> Run:
    """Return forecasts and truth of the shop with this seed.

    Raises:
        NoOffersToLearnFrom: the shop is too small for what is asked of it.
    """
    shop = task.shop(seed)
    history = history_of(shop)
    audience = np.unique(history.events.customer)
    outcomes = _outcomes(task, history, audience, seed, learned_only=learned_only)
    forecasts = {
        name: {measure: _forecast(outcome, measure, 1, interval) for measure in MEASURES}
        for name, outcome in outcomes.items()
    }
    nothing = {m: _forecast(outcomes[LEARNED], m, 2, interval) for m in MEASURES}
    rule = mean_of_waves(history, len(audience), task.horizon_days)
    forecasts[WAVES] = {
        measure: Forecast(mean=mean, low=low, high=high)
        for measure, (mean, low, high) in rule.items()
    }
    futures = true_uplifts(
        shop, depth=task.depth, start_day=task.days, offer_days=task.offer_days,
        horizon_days=task.horizon_days, futures=range(task.futures + 1),
    )  # fmt: skip
    truths = [_true(uplift, audience) for uplift in futures]
    expected = {m: float(np.mean([truth[m] for truth in truths[1:]])) for m in MEASURES}
    return Run(
        seed=seed, forecasts=forecasts, nothing=nothing, expected=expected, realised=truths[0]
    )


def _outcomes(
    task: Task, history: History, audience: Integers, seed: int, *, learned_only: bool
) -> dict[str, RolloutOutcome]:
    """Return what the twins do under the response of each method, depth and depth 0."""
    model = network(task.items)
    model.rhythm = Rhythm.fit(history.events, cut_off_ms=history.end_ms)
    states = model.advance(model.initial_state(history.countries), history.events).take(audience)
    countries = [history.countries[customer] for customer in audience]
    plan = RolloutPlan(
        scenarios=(Scenario(task.depth), Scenario(0.0)), horizon_days=task.horizon_days,
        offer_days=task.offer_days, replicates=task.replicates, seed=seed, start_ms=history.end_ms,
    )  # fmt: skip
    responses = _responses(history, model.rhythm, learned_only=learned_only)
    return {
        name: rollout(model, states, audience, countries, plan, response)
        for name, response in responses.items()
    }


def _responses(history: History, rhythm: Rhythm, *, learned_only: bool) -> dict[str, Response]:
    learned = LearnedResponse(estimate=learn_response(history.events, history.trials, rhythm))
    responses: dict[str, Response] = {LEARNED: learned}
    if not learned_only:
        responses[ELASTICITY] = ElasticityResponse(estimate=_elasticity(history))
    return responses


def _elasticity(history: History) -> ElasticityEstimate:
    bought = history.events.kind == EventKind.PURCHASED
    lines = history.events.rows(bought)
    return estimate_elasticity(
        sku=lines.sku, occurred_at_ms=lines.occurred_at_ms, quantity=lines.quantity,
        unit_price=lines.unit_price, offer_depth=history.depth_of_lines()[bought],
        least_lines_per_week=LEAST_LINES_PER_WEEK,
    )  # fmt: skip


def _forecast(outcome: RolloutOutcome, measure: str, arm: int, interval: IntervalOf) -> Forecast:
    values = outcome.revenue_cents / 100 if measure == "revenue" else getattr(outcome, measure)
    found = interval((values[arm] - values[0])[None, :])
    return Forecast(mean=float(found.mean[0]), low=float(found.low[0]), high=float(found.high[0]))


def _true(uplift: Uplift, audience: Integers) -> dict[str, float]:
    """Return what the offer brought among the customers that the forecast was made for."""
    arms = (uplift.treated, uplift.control)
    orders, revenue = (
        np.subtract(*(getattr(arm, name)[audience].sum() for arm in arms))
        for name in ("orders", "revenue_cents")
    )
    buyers = np.subtract(*((arm.orders[audience] > 0).sum() for arm in arms))
    return {"orders": float(orders), "buyers": float(buyers), "revenue": float(revenue) / 100}
