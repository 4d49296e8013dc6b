"""How probable what happened was: waiting times, day by day."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ml.events import Floats, Integers
from ml.rhythm.days import Mask, PurchaseDays
from ml.rhythm.fit import Ended
from ml.rhythm.law import OWN_COLUMNS, WAITED_COLUMNS, Law, Own

LEAST = 1e-12  # of the probability of a day: nothing is ruled out


def own_of(law: Law, ended: Ended) -> Own:
    """Return the own numbers (P,) of customers at the end of these purchase days."""
    days = ended.gaps + 1
    return law.own_of(
        np, days=days, first_day=ended.first, last_day=ended.start,
        last_day_share=np.zeros(len(days)), gap_days=ended.gap, gap_before_days=ended.gap_before,
        spend_cents=ended.mean_spend * days * 100, last_day_cents=ended.last_spend * 100,
    )  # fmt: skip


def without_factor(law: Law) -> Law:
    """Return the base alone: own rates in operational time."""
    return replace(law, level=0.0, own=(0.0,) * OWN_COLUMNS, waited=(0.0,) * WAITED_COLUMNS)


@dataclass(frozen=True)
class Waiting:
    """Customers who wait from the end of the day ``begin`` to the day ``end``, both inclusive.

    ``ended`` are the purchase days at which it all began, ``observed``: a purchase came on ``end``.
    Shapes: (S,).
    """

    customer: Integers
    ended: Ended
    begin: Integers
    end: Integers
    observed: Mask

    @staticmethod
    def inside(days: PurchaseDays, begin: int, until: int) -> Waiting:
        """Return who waited for a day in [begin, until) to come, from ``begin`` at the earliest."""
        follows = days.next_day
        chosen = np.flatnonzero((days.day < until - 1) & (follows >= begin))
        return Waiting(
            customer=days.customer[chosen],
            ended=Ended.of(days).rows(chosen),
            begin=np.maximum(days.day[chosen], begin - 1),
            end=np.minimum(follows[chosen], until - 1),
            observed=follows[chosen] < until,
        )

    def log_likelihood(self, law: Law) -> Floats:
        """Return the logarithm of the probability (S,) of each end."""
        length = self.end - self.begin
        row = np.repeat(np.arange(len(length)), length)
        first = np.cumsum(length) - length
        day = self.begin[row] + 1 + np.arange(len(row)) - first[row]
        own = own_of(law, self.ended)
        asked = Own(*(np.asarray(column)[row] for column in own))
        hazards = np.asarray(law.hazards(np, asked, day), dtype=np.float64)
        return self._of(hazards, row)

    def log_likelihood_of_rate(self, rate: float) -> Floats:
        """Return the same where everybody buys at one rate per day."""
        length = self.end - self.begin
        row = np.repeat(np.arange(len(length)), length)
        return self._of(np.full(len(row), rate), row)

    def _of(self, hazards: Floats, row: Integers) -> Floats:
        total = np.bincount(row, hazards, len(self.end))
        last = hazards[np.cumsum(self.end - self.begin) - 1]
        came = np.log(np.maximum(-np.expm1(-last), LEAST)) - (total - last)
        return np.asarray(np.where(self.observed, came, -total), dtype=np.float64)


def overall_rate(days: PurchaseDays, before: int) -> float:
    """Return repeat purchase days per day of waiting, of everybody before a day."""
    known = days.rows(days.day < before)
    waited = np.minimum(known.next_day, before - 1) - known.day
    return float(max((~known.is_first).sum(), 1) / max(int(waited.sum()), 1))
