"""How often customers buy: at a rate of their own, and at a further one while an offer works.

In a step a customer buys with chance ``1 - exp(-(base + response))``. Both rates are exponentials
of traits; the response is there only while a viewed offer is open. Where several are, the
strongest counts whole and the others by the share that overlap leaves: 1 would be a sum, 0 says
that a further offer adds nothing.

Shapes: N customers, S slots, T steps, A cells (customer x step) in which an offer works, M offers
at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ml.events import Integers
from ml.uplift.fitting import DTYPE, Prior, happened, picked
from ml.uplift.panel import STEP_HOURS, Holdings, Panel

WEEK_STEPS = 168 / STEP_HOURS
SMALL_RATE = -3.0  # as a logarithm
RECENT_STEPS = 4  # a day
EVIDENCE = 1.0  # purchases that the traits of a customer are worth beside what they did


@dataclass(frozen=True, slots=True)
class Working:
    """The cells in which offers work, and which ones (A, M); ``offer`` -1 pads."""

    cell: Tensor
    offer: Tensor
    since_viewed: Tensor
    since_received: Tensor

    def before(self, column: int, columns: int) -> Working:
        """Return the cells of the first columns of a table, numbered as if it had no others."""
        customer, step = self.cell // columns, self.cell % columns
        kept = step < column
        cell = customer * column + step
        return Working(
            cell[kept], self.offer[kept], self.since_viewed[kept], self.since_received[kept]
        )


def working(panel: Panel) -> Working:
    """Return every cell of a panel in which a viewed offer is open."""
    held, steps = panel.holdings, panel.steps
    begin = np.maximum(held.viewed, panel.first)
    end = np.minimum(held.expires, -1)
    customer, slot = np.nonzero((held.offer >= 0) & (begin <= end))
    begin, length = begin[customer, slot], (end - begin + 1)[customer, slot]
    pair = np.repeat(np.arange(len(length)), length)
    step = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + begin[pair]
    cell = customer[pair] * len(steps) + (step - panel.first)
    return _by_cell(cell, step, held, customer[pair], slot[pair])


def _by_cell(
    cell: Integers, step: Integers, held: Holdings, customer: Integers, slot: Integers
) -> Working:
    order = np.argsort(cell, kind="stable")
    cell, step, customer, slot = (column[order] for column in (cell, step, customer, slot))
    cells, row = np.unique(cell, return_inverse=True)
    place = np.arange(len(cell)) - np.searchsorted(cell, cells)[row]
    size = len(cells), int(place.max(initial=0)) + 1
    offer = np.full(size, -1)
    ages = np.zeros((2, *size))
    offer[row, place] = held.offer[customer, slot]
    ages[0, row, place] = step - held.viewed[customer, slot]
    ages[1, row, place] = step - held.received[customer, slot]
    return Working(*(torch.from_numpy(a) for a in (cells, offer, ages[0], ages[1])))


@dataclass(frozen=True, slots=True)
class Records:
    """How customers did against what their traits made expect: (N, T) or (N, R).

    Logarithms of bought over expected, drawn towards 0 by ``EVIDENCE``: ``idle`` while no offer
    worked, ``moved`` while one did. ``recent`` counts purchases of the last day.
    """

    idle: Tensor
    moved: Tensor
    recent: Tensor

    def columns(self, before: int) -> Records:
        """Return the records of the first steps."""
        return Records(*(r[:, :before] for r in (self.idle, self.moved, self.recent)))


def record(bought: Tensor, expected: Tensor) -> Tensor:
    """Return the log ratio, drawn towards 0."""
    return torch.log((EVIDENCE + bought) / (EVIDENCE + expected))


@dataclass(frozen=True, slots=True)
class PurchaseModel:
    """The rates, out of traits of customers (N, F) and of offers (K, G)."""

    customers: Tensor
    offers: Tensor

    @property
    def prior(self) -> Prior:
        """Return what is believed of the parameters before anything is seen."""
        traits, terms = self.customers.shape[1], self.offers.shape[1]
        sizes = {"offer": terms, "ages": 3, "overlap": 1}
        spread = {"offer": 0.5, "ages": 1.0, "overlap": 0.5}
        for rate in ("base", "response"):
            sizes |= {rate: traits, f"{rate}_record": 3, f"{rate}_trend": 1}
            spread |= {rate: 2.0, f"{rate}_record": 1.0, f"{rate}_trend": 0.1}
        return Prior.of(sizes, spread, {"overlap": 0.5})

    def start(self) -> Tensor:
        """Return parameters from which the search may begin: both rates are small."""
        found = self.prior.mean.clone()
        for rate in ("base", "response"):
            self.prior.split(found)[rate][0] = SMALL_RATE
        return found

    def log_likelihood(
        self, parameters: Tensor, bought: Tensor, weeks: Tensor, records: Records, at: Working
    ) -> Tensor:
        """Return one value for each customer and step (N, T)."""
        base, response = self.log_rates(parameters, weeks, records)
        rate = torch.exp(base).reshape(-1)
        added = torch.exp(picked(response.reshape(-1), at.cell)) * self.strength(
            parameters, at.offer, at.since_viewed, at.since_received
        )
        rate = rate.index_add(0, at.cell, added)
        return happened(bought, rate.reshape(bought.shape))

    def log_rates(
        self, parameters: Tensor, weeks: Tensor, records: Records
    ) -> tuple[Tensor, Tensor]:
        """Return logs of the base rate and of the response to an offer of strength 1."""
        of = self.prior.split(parameters)
        found = []
        for part in ("base", "response"):
            own, by = self.customers @ of[part], of[f"{part}_record"]
            own = own[:, None]
            so_far = by[0] * records.idle + by[1] * records.moved + by[2] * records.recent
            found.append(own + so_far + of[f"{part}_trend"] * weeks)
        return found[0], found[1]

    def strength(
        self, parameters: Tensor, offer: Tensor, since_viewed: Tensor, since_received: Tensor
    ) -> Tensor:
        """Return how strongly offers work together, the last axis joined; 0 where there is none."""
        of = self.prior.split(parameters)
        fresh = torch.exp(-since_received / RECENT_STEPS)
        by_age = (of["ages"][0] * since_viewed + of["ages"][1] * since_received) / WEEK_STEPS
        ages = by_age + of["ages"][2] * fresh
        terms = picked(self.offers @ of["offer"], offer.clamp(min=0))
        alone = torch.exp(terms + ages) * (offer >= 0)
        strongest = alone.amax(dim=-1)
        others = alone.sum(dim=-1) - strongest
        return torch.clamp(strongest + of["overlap"] * others, min=0.0)


def weeks_of(steps: Integers) -> Tensor:
    """Return steps as weeks after the wave."""
    return torch.from_numpy(steps / WEEK_STEPS).to(DTYPE)
