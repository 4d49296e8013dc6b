"""When an offer is looked at: the chance in each step, for as long as it is open and unseen.

log(-log(1 - chance)) is a level for the offer's age plus traits of the offer and the customer.
Shapes: N customers, S slots, T steps, E pairs of an open unseen offer and a step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ml.events import Integers
from ml.uplift.fitting import Prior, happened, picked
from ml.uplift.panel import NEVER, Holdings

AGES = (1, 2, 3, 6, 12, 24)  # steps at which a new level begins


@dataclass(frozen=True, slots=True)
class ViewRows:
    """Every step in which an open offer could have been viewed for the first time (E,)."""

    customer: Tensor
    offer: Tensor
    age: Tensor  # a place in the levels
    seen: Tensor


def view_rows(holdings: Holdings, before: int) -> ViewRows:
    """Return the steps before ``before``: those until the view, or the end of the offer."""
    customer, slot = np.nonzero(holdings.offer >= 0)
    received = holdings.received[customer, slot]
    viewed = holdings.viewed[customer, slot]
    last = np.minimum(np.minimum(holdings.expires[customer, slot], viewed), before - 1)
    length = np.maximum(last - received + 1, 0)
    pair = np.repeat(np.arange(len(length)), length)
    age = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    return ViewRows(
        customer=torch.from_numpy(customer[pair]),
        offer=torch.from_numpy(holdings.offer[customer, slot][pair]),
        age=torch.from_numpy(level_of(age)),
        seen=torch.from_numpy((received[pair] + age == viewed[pair]).astype(np.float64)),
    )


def level_of(age: Integers) -> Integers:
    """Return the level of an age in steps."""
    return np.searchsorted(np.array(AGES), age, side="right").astype(np.int64)


@dataclass(frozen=True, slots=True)
class ViewModel:
    """The chance of a first view, out of traits of customers (N, F) and of offers (K, G)."""

    customers: Tensor
    offers: Tensor

    @property
    def prior(self) -> Prior:
        """Return what is believed of the parameters before anything is seen."""
        sizes = {"age": len(AGES) + 1, "customer": self.customers.shape[1] - 1,
                 "offer": self.offers.shape[1]}  # fmt: skip
        spread = {"age": 10.0, "customer": 1.0, "offer": 1.0}
        return Prior.of(sizes, spread, {"age": -2.0})

    def log_likelihood(self, parameters: Tensor, rows: ViewRows) -> Tensor:
        """Return one value for each row (E,)."""
        rate = torch.exp(self._log_rates(parameters, rows.customer, rows.offer, rows.age))
        return happened(rows.seen, rate)

    def _log_rates(
        self, parameters: Tensor, customer: Tensor, offer: Tensor, age: Tensor
    ) -> Tensor:
        of = self.prior.split(parameters)
        by_customer = self.customers[:, 1:] @ of["customer"]  # the constant stands in the ages
        terms = picked(self.offers @ of["offer"], offer.clamp(min=0))
        return picked(of["age"], age) + picked(by_customer, customer) + terms

    def cumulated(self, parameters: Tensor, holdings: Holdings, steps: int) -> Tensor:
        """Return minus the log chance that a slot is still unseen after each step (N, S, T).

        Of the steps 0 to T - 1. Slots that are not open, or were seen before, add nothing.
        """
        ahead = np.arange(steps)
        offer = holdings.offer[:, :, None]
        age = ahead - np.minimum(holdings.received, 0)[:, :, None]
        unseen = (holdings.viewed == NEVER) & (offer[:, :, 0] >= 0)
        waits = unseen[:, :, None] & (ahead <= holdings.expires[:, :, None])
        customer = torch.arange(len(offer))[:, None, None]
        level = torch.from_numpy(level_of(age))
        rate = torch.exp(self._log_rates(parameters, customer, torch.from_numpy(offer), level))
        return torch.cumsum(rate * torch.from_numpy(waits), dim=2)
