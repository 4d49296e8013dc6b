"""Who customers are and what offers are, as numbers that a regression can take.

Shapes: N customers, K offers, F traits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.events import Floats
from ml.uplift.journal import TYPES, Customers, Offers

BENDS = (0.25, 0.5, 0.75)  # quantiles at which a line may change its slope


@dataclass(frozen=True, slots=True)
class Bent:
    """A number of customers as a line that may bend at its quartiles; missing ones are 0."""

    bends: Floats
    centre: float
    scale: float

    @staticmethod
    def of(values: Floats) -> Bent:
        """Return the line's places, from the values that are known."""
        known = values[np.isfinite(values)]
        if not len(known) or known.std() == 0:
            return Bent(np.empty(0), 0.0, 0.0)
        bends = np.unique(np.quantile(known, BENDS))
        return Bent(bends, float(known.mean()), float(known.std()))

    def columns(self, values: Floats) -> Floats:
        """Return the line and its bends (N, 1 + bends), about of size 1."""
        if not self.scale:
            return np.zeros((len(values), 0))
        line = (values - self.centre) / self.scale
        over = np.maximum(values[:, None] - self.bends, 0) / self.scale
        over = over - np.nanmean(over, axis=0)
        return np.asarray(np.nan_to_num(np.concatenate([line[:, None], over], axis=1)))


def customer_traits(customers: Customers) -> Floats:
    """Return (N, F): a constant, gender, what was not told; age, income, tenure as bent lines."""
    flags = np.stack(
        [
            np.ones(len(customers)), customers.female, customers.male,
            np.isnan(customers.age), np.isnan(customers.income),
        ],
        axis=1,
    )  # fmt: skip
    told = (customers.age, customers.income, customers.member_days)
    return np.concatenate([flags, *(Bent.of(v).columns(v) for v in told)], axis=1)


def offer_traits(offers: Offers) -> Floats:
    """Return (K, F): type, reward and difficulty in tens, weeks open, channels."""
    kinds = np.stack([offers.type == n for n in range(len(TYPES) - 1)], axis=1)
    terms = np.stack([offers.reward / 10, offers.difficulty / 10, offers.hours / 168], axis=1)
    return np.concatenate([kinds, terms, offers.channels], axis=1).astype(np.float64)
