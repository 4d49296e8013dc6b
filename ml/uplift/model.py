"""The learned response to offers: fitted on what happened before a moment, many times over.

Every draw refits all parts with exponential weights of customers, so what is not known of the
parameters goes into every forecast. The same seed gives the same draws.

Shapes: N customers, T steps, P parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ml.uplift.amounts import AmountModel
from ml.uplift.fitting import DTYPE, Task, spread_of
from ml.uplift.history import Experience, History, Standing
from ml.uplift.intervals import Estimate
from ml.uplift.journal import Customers, Offers
from ml.uplift.panel import Panel
from ml.uplift.purchases import PurchaseModel
from ml.uplift.traits import customer_traits, offer_traits
from ml.uplift.views import ViewModel

Advance = Callable[[int], None]
BELIEF = "overlap"  # what few events tell: every draw begins from another belief, too


@dataclass(frozen=True, slots=True)
class Parameters:
    """One draw of everything that is learned."""

    views: Tensor
    purchases: Tensor
    amounts: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseModel:
    """What was learned, and where each customer stands when the wave comes.

    ``best`` are the most probable parameters, ``draws`` what they may be as well.
    """

    views: ViewModel
    buys: PurchaseModel
    pays: AmountModel
    best: Parameters
    draws: tuple[Parameters, ...]
    standing: Standing
    together: int  # customer-steps with two or more offers at work that were learned from

    @property
    def overlap(self) -> Estimate:
        """The share of its effect that a further offer keeps: 0 adds nothing, 1 adds up."""
        found = [
            float(self.buys.prior.split(one.purchases)["overlap"])
            for one in (self.best, *self.draws)
        ]
        return Estimate.of(found[0], np.array(found[1:]))


def learn(
    panel: Panel,
    customers: Customers,
    offers: Offers,
    *,
    until: int,
    draws: int,
    seed: int,
    advance: Advance = lambda done: None,
) -> ResponseModel:
    """Return the response learned from the steps before ``until`` (0 is the wave's).

    ``panel`` reaches to the wave: what it holds from ``until`` on is history, not experience.
    """
    traits = torch.from_numpy(customer_traits(customers)).to(DTYPE)
    terms = torch.from_numpy(offer_traits(offers)).to(DTYPE)
    history = History.of(panel, ViewModel(traits, terms), PurchaseModel(traits, terms),
                         AmountModel(traits), until)  # fmt: skip
    tasks = history.tasks(Experience.blank(history))
    first = (tasks[1].fitted(history.buys.start()), tasks[2].fitted(history.pays_start()))
    advance(1)
    experience = Experience.of(history, *first)
    tasks = history.tasks(experience)
    starts = (history.views.prior.mean, first[0], first[1])
    best = [task.fitted(start) for task, start in zip(tasks, starts, strict=True)]
    advance(2)
    refit = _Refit(tasks, best, np.random.default_rng(seed))
    found = []
    for n in range(draws):
        found.append(refit.drawn())
        advance(n + 3)
    return ResponseModel(
        views=history.views, buys=history.buys, pays=history.pays, best=Parameters(*best),
        draws=tuple(found), standing=experience.standing(history),
        together=history.together,
    )  # fmt: skip


class _Refit:
    """Draws parameters: other weights of the customers, and another belief where events are few."""

    def __init__(
        self, tasks: tuple[Task, ...], best: list[Tensor], rng: np.random.Generator
    ) -> None:
        self.tasks, self.best, self.rng = tasks, best, rng
        self.scales = [spread_of(t.curvature(b)) for t, b in zip(tasks, best, strict=True)]

    def drawn(self) -> Parameters:
        weights = torch.from_numpy(self.rng.exponential(size=self.tasks[0].customers))
        weights = weights * len(weights) / weights.sum()
        shift = float(self.rng.standard_normal())
        found = [
            task.refitted(best, scale, weights, task.prior.shifted(BELIEF, shift))
            for task, best, scale in zip(self.tasks, self.best, self.scales, strict=True)
        ]
        return Parameters(*found)
