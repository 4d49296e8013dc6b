"""What customers are expected to do after a wave, with an offer and without.

The steps after the wave are walked once for each of a few courses of views. The views of a
customer are drawn from the same numbers whatever is offered, and everything else is expectation:
so offering nothing changes nothing, exactly.

Shapes: N customers, R courses, S slots, K offers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ml.events import Floats, Integers
from ml.noise import uniforms
from ml.uplift.fitting import DTYPE
from ml.uplift.history import Standing
from ml.uplift.journal import Offers
from ml.uplift.model import Parameters, ResponseModel
from ml.uplift.panel import NEVER, Holdings
from ml.uplift.purchases import WEEK_STEPS, Records, record

COURSES = 8
VIEW_PURPOSE = 210  # keeps these draws apart from those of rollouts with the same seed


@dataclass(frozen=True, slots=True)
class Expected:
    """What each customer is expected to spend, and the chance that they buy at all (N,)."""

    spend: Floats
    bought: Floats


@dataclass(frozen=True, slots=True)
class Walk:
    """The steps after a wave, under one model. ``patience`` (N, R, S) decides who views when."""

    model: ResponseModel
    holdings: Holdings
    offers: Offers
    steps: int
    patience: Tensor

    @staticmethod
    def of(
        model: ResponseModel, holdings: Holdings, offers: Offers, *, steps: int, seed: int
    ) -> Walk:
        """Return the walk over so many steps, from the holdings before the wave."""
        held = holdings.open_at(0)
        people, slots = held.offer.shape
        return Walk(model, held, offers, steps, _patience(seed, people, slots + 1))

    def expected(self, parameters: Parameters, offer: Integers | None = None) -> Expected:
        """Return what happens when each customer gets ``offer`` (N,), -1 or None for nothing."""
        none = np.full(len(self.holdings.offer), -1)
        held = self.holdings.with_offer(none if offer is None else offer, self.offers)
        with torch.no_grad():
            viewed = self._viewed(parameters, held)
            return _Course(self, parameters, held, viewed).expected()

    def _viewed(self, parameters: Parameters, held: Holdings) -> Tensor:
        """Return the step at which each slot is viewed in each course (N, R, S)."""
        waited = self.model.views.cumulated(parameters.views, held, self.steps)
        drawn = (waited[:, None] <= self.patience[..., None]).sum(dim=-1)
        drawn = torch.where(drawn < self.steps, drawn, NEVER)
        known = torch.from_numpy(held.viewed)[:, None, :]
        return torch.where(known < NEVER, known, drawn)


def _patience(seed: int, customers: int, slots: int) -> Tensor:
    """Return exponential draws (N, R, S), spread evenly over the courses of a customer."""
    people = torch.arange(customers)[:, None]
    slot = torch.arange(slots)
    within = uniforms(seed, people, 0, slot, VIEW_PURPOSE)[:, None, :]
    course = torch.arange(COURSES)[None, :, None]
    shuffle = uniforms(seed, people[:, :, None], course, slot, VIEW_PURPOSE + 1)
    place = shuffle.argsort(dim=1, stable=True)
    return -torch.log1p(-(place + within) / COURSES)


class _Course:
    """The steps one by one: mean spend, and the chance of having bought nothing so far.

    Whoever has bought nothing for long is one who buys less: the chance of no purchase is walked
    with a record of waiting in vain, mean spend with the record of the beginning.
    """

    def __init__(self, walk: Walk, parameters: Parameters, held: Holdings, viewed: Tensor) -> None:
        self.walk, self.parameters, self.viewed = walk, parameters, viewed
        self.offer = torch.from_numpy(held.offer)[:, None]
        self.received = torch.from_numpy(held.received)[:, None]
        self.expires = torch.from_numpy(held.expires)[:, None]
        self.standing: Standing = walk.model.standing

    def expected(self) -> Expected:
        """Return the means over all courses."""
        spend = stayed = torch.zeros(self.viewed.shape[:2], dtype=DTYPE)
        before, vain = self._beginning(), self._beginning()
        worth = self._worth()
        for step in range(self.walk.steps):
            strength = self._strength(step)
            chance = -torch.expm1(-self._rate(step, before.records(), strength))
            spend = spend + chance * torch.where(strength > 0, worth[1], worth[0])
            before.come(chance)
            waited = self._rate(step, vain.records(), strength)
            stayed = stayed + waited
            vain.wait(-torch.expm1(-waited), strength > 0)
        bought = -torch.expm1(-stayed)
        return Expected(spend.mean(dim=1).numpy(), bought.mean(dim=1).numpy())

    def _beginning(self) -> _Record:
        return _Record(self.standing)

    def _worth(self) -> tuple[Tensor, Tensor]:
        found = self.walk.model.pays.means(
            self.parameters.amounts, self.standing.paid, self.standing.excess
        )
        return found[0][:, None], found[1][:, None]

    def _strength(self, step: int) -> Tensor:
        works = (self.viewed <= step) & (self.expires >= step)
        return self.walk.model.buys.strength(
            self.parameters.purchases,
            torch.where(works, self.offer, -1),
            torch.where(works, step - self.viewed, 0).to(DTYPE),
            torch.where(works, step - self.received, 0).to(DTYPE),
        )

    def _rate(self, step: int, records: Records, strength: Tensor) -> Tensor:
        weeks = torch.tensor(step / WEEK_STEPS, dtype=DTYPE)
        rates = self.walk.model.buys.log_rates(self.parameters.purchases, weeks, records)
        return torch.exp(rates[0]) + torch.exp(rates[1]) * strength


class _Record:
    """The record of customers, (N, 1) or (N, R), as the steps go on."""

    def __init__(self, standing: Standing) -> None:
        self.idle = [part[:, None] for part in standing.idle]
        self.moved = [part[:, None] for part in standing.moved]
        self.latest = list(standing.latest[:, None, :].unbind(dim=-1))

    def records(self) -> Records:
        """Return it as the rates read it."""
        recent = torch.zeros_like(self.latest[-1])
        for bought in self.latest:
            recent = recent + bought
        return Records(record(*self.idle), record(*self.moved), recent)

    def come(self, chance: Tensor) -> None:
        """A step passes in which customers buy with a chance; what is expected of them stays."""
        self.latest = [*self.latest[1:], chance]

    def wait(self, chance: Tensor, moved: Tensor) -> None:
        """A step passes in which nobody buys, though it was expected with a chance."""
        self.latest = [*self.latest[1:], torch.zeros_like(self.latest[0])]
        self.idle = [self.idle[0], self.idle[1] + chance * ~moved]
        self.moved = [self.moved[0], self.moved[1] + chance * moved]
