"""How much a purchase is worth, by who buys and what they paid before.

Shapes: N customers, M purchases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ml.events import Floats
from ml.uplift.fitting import Prior, picked

COMMON = 0.99  # purchases up to this quantile are foreseen by customer; what is above, on average
MARGIN = 2.0  # times that quantile: where the rare ones begin
EVIDENCE = 1.0  # purchases that the traits of a customer are worth beside what they paid


@dataclass(frozen=True, slots=True)
class Purchases:
    """What single purchases came to, at most ``most`` each; ``excess`` is the mean beyond that."""

    customer: Tensor
    step: Tensor
    amount: Tensor
    moved: Tensor  # 1 while an offer worked
    excess: float
    most: float


def purchases_of(bought: Floats, spend: Floats, moved: Floats) -> Purchases:
    """Return the purchases of some first steps; ``moved`` is 1 where an offer worked; (N, T)."""
    customer, step = np.nonzero(bought)
    amount = spend[customer, step]
    most = MARGIN * float(np.quantile(amount, COMMON)) if len(amount) else 0.0
    common = np.minimum(amount, most)
    return Purchases(
        customer=torch.from_numpy(customer),
        step=torch.from_numpy(step),
        amount=torch.from_numpy(common),
        moved=torch.from_numpy(moved[customer, step]),
        excess=float((amount - common).mean()) if len(amount) else 0.0,
        most=most,
    )


@dataclass(frozen=True, slots=True)
class AmountModel:
    """The mean of a purchase: exponential of traits (N, F) and of whether an offer works."""

    customers: Tensor

    @property
    def prior(self) -> Prior:
        """Return what is believed of the parameters before anything is seen."""
        sizes = {"customer": self.customers.shape[1], "record": 1, "moved": 1}
        return Prior.of(sizes, {"customer": 3.0, "record": 1.0, "moved": 0.2}, {})

    def log_likelihood(self, parameters: Tensor, sold: Purchases, record: Tensor) -> Tensor:
        """Return one value for each purchase (M,): a Poisson's, whose totals come out right.

        ``record`` (M,) is what the customer paid before; see ``records``.
        """
        mean = self.prior.split(parameters)
        of = picked(self.customers @ mean["customer"], sold.customer)
        log_mean = of + mean["record"] * record + mean["moved"] * sold.moved
        scale = sold.amount.mean()  # a purchase counts as one, in whatever currency
        return (sold.amount * log_mean - torch.exp(log_mean)) / scale

    def means(self, parameters: Tensor, record: Tensor, excess: float) -> tuple[Tensor, Tensor]:
        """Return what a purchase of each customer (N,) is worth without and with an offer."""
        of = self.prior.split(parameters)
        log_mean = self.customers @ of["customer"] + of["record"] * record
        return torch.exp(log_mean) + excess, torch.exp(log_mean + of["moved"]) + excess


def record(paid: Floats, expected: Floats, usual: Floats) -> Floats:
    """Return the log of what customers paid over what was expected, drawn towards 0."""
    return np.asarray(np.log((EVIDENCE * usual + paid) / (EVIDENCE * usual + expected)))
