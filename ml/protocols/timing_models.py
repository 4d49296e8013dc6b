"""The baselines of protocol C, each fitted by maximum likelihood on what lies before the cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import optimize, special

from ml.events import Floats, Integers
from ml.protocols.timing_data import WEEK, Counts, PurchaseDays, Spells, weekday

LEAST = 1e-12  # of the probability of a day: nothing is ruled out
ORDER_GROUPS = (0, 1, 2, 4, 8)  # Kaplan-Meier curves: 0, 1, 2-3, 4-7, 8 and more earlier days
TAIL = 5.0  # person-days at the overall rate that steady each day's hazard

Clock = Callable[[Integers], Floats]


def calendar(day: Integers) -> Floats:
    """Every day lasts as long as any other."""
    return np.asarray(day, dtype=np.float64)


def weekday_clock(days: PurchaseDays, before: int) -> tuple[Clock, Floats]:
    """Return operational time at the end of each day, and the seven factors (mean 1).

    A weekday lasts as long as its share of the purchase days before the cut says.
    """
    known = days.day[days.day < before]
    span = np.arange(known.min(), before)
    bought = np.bincount(weekday(known), minlength=WEEK) / np.bincount(
        weekday(span), minlength=WEEK
    )
    factors = bought / bought.mean()
    running = np.concatenate(([0.0], np.cumsum(factors[weekday(np.arange(WEEK))])))

    def clock(day: Integers) -> Floats:
        weeks, rest = np.divmod(np.asarray(day) + 1, WEEK)  # day 0 ends after one day
        return np.asarray(weeks * running[-1] + running[rest])

    return clock, factors


@dataclass(frozen=True)
class GammaExponential:
    """Gaps are exponential with a rate of the customer's own, which is gamma distributed.

    The posterior after n gaps of sum s is gamma(shape + n, scale + s).
    """

    shape: float
    scale: float
    clock: Clock

    @staticmethod
    def fit(spells: Spells, clock: Clock) -> GammaExponential:
        def loss(raw: Floats) -> float:
            made = GammaExponential(float(np.exp(raw[0])), float(np.exp(raw[1])), clock)
            return -float(made.log_likelihood(spells).mean())

        best = optimize.minimize(loss, np.log([0.7, 60.0]), method="Nelder-Mead")
        return GammaExponential(float(np.exp(best.x[0])), float(np.exp(best.x[1])), clock)

    def log_likelihood(self, spells: Spells) -> Floats:
        """Return for each spell the logarithm of the probability of the day on which it ended."""
        known = self.scale + self.clock(spells.start) - self.clock(spells.first)
        power = self.shape + spells.number

        def log_survival(day: Integers) -> Floats:
            waited = (self.clock(day) - self.clock(spells.start)) / known
            return np.asarray(-power * np.log1p(waited), dtype=np.float64)

        return discrete(log_survival(spells.end - 1), log_survival(spells.end), spells)


def discrete(before: Floats, after: Floats, spells: Spells) -> Floats:
    """Return log[S(end - 1) - S(end)] where the end was seen, else log S(end)."""
    ended = np.log(np.maximum(np.exp(before) - np.exp(after), LEAST))
    return np.asarray(np.where(spells.observed, ended, after), dtype=np.float64)


def exponential(learned: Spells, asked: Spells) -> Floats:
    """Return the log-likelihoods under one rate for everybody."""
    rate = learned.observed.sum() / (learned.end - learned.start).sum()
    waited = asked.end - asked.start
    return discrete(-rate * (waited - 1.0), -rate * waited, asked)


def kaplan_meier(learned: Spells, asked: Spells) -> Floats:
    """Return the log-likelihoods under one curve per number of earlier purchase days.

    Each day's hazard is steadied by a few person-days at the curve's overall rate, which also
    carries it on beyond the longest gap seen.
    """
    result = np.zeros(len(asked.start))
    longest = int(max((learned.end - learned.start).max(), (asked.end - asked.start).max())) + 1
    bounds = (*ORDER_GROUPS, np.iinfo(np.int64).max)
    for low, high in pairwise(bounds):
        inside = (learned.number >= low) & (learned.number < high)
        wanted = (asked.number >= low) & (asked.number < high)
        if not wanted.any():
            continue
        waited = (learned.end - learned.start)[inside]
        ended = np.bincount(waited[learned.observed[inside]], minlength=longest + 1)
        at_risk = np.bincount(waited, minlength=longest + 1)[::-1].cumsum()[::-1]
        rate = ended.sum() / max(int(waited.sum()), 1)
        hazard = (ended + TAIL * rate) / (at_risk + TAIL)
        log_survival = np.concatenate(([0.0], np.cumsum(np.log1p(-hazard[1:]))))
        k = (asked.end - asked.start)[wanted]
        seen = asked.observed[wanted]
        result[wanted] = log_survival[np.where(seen, k - 1, k)] + np.where(
            seen, np.log(hazard[k]), 0.0
        )
    return result


@dataclass(frozen=True)
class Nbd:
    """Purchase days come at a rate of the customer's own, which is gamma distributed.

    BG/NBD adds that customers drop out. In one year of this shop no drop-out can be identified and
    it becomes this.
    """

    shape: float
    scale: float

    @staticmethod
    def fit(counts: Counts) -> Nbd:
        x, t = counts.repeats.astype(np.float64), counts.seen.astype(np.float64)

        def loss(raw: Floats) -> float:
            r, a = np.exp(raw)
            # The times of the purchases are known, so t**x / x! is left out: no parameter in it.
            likelihood = special.gammaln(r + x) - special.gammaln(r) + r * np.log(a)
            return -float((likelihood - (r + x) * np.log(a + t)).mean())

        best = optimize.minimize(loss, np.log([0.7, 60.0]), method="Nelder-Mead")
        return Nbd(*np.exp(best.x).tolist())

    def expected(self, counts: Counts, days: float) -> Floats:
        """Return the expected purchase days within the next ``days``."""
        return (self.shape + counts.repeats) / (self.scale + counts.seen) * days


@dataclass(frozen=True)
class GammaGamma:
    """Spend per purchase day: gamma around a level of the customer's own, which is gamma too.

    Source: Fader and Hardie 2013, the gamma-gamma model of monetary value; fitted on the days
    after the first, as is the convention.
    """

    p: float
    q: float
    v: float

    @staticmethod
    def fit(counts: Counts) -> GammaGamma:
        x = counts.repeats.astype(np.float64)
        m = counts.repeat_spend / np.maximum(x, 1)
        chosen = (x > 0) & (m > 0)
        x, m = x[chosen], m[chosen]

        def loss(raw: Floats) -> float:
            p, q, v = np.exp(raw)
            likelihood = (
                special.gammaln(p * x + q) - special.gammaln(p * x) - special.gammaln(q)
                + q * np.log(v) + (p * x - 1) * np.log(m) + p * x * np.log(x)
                - (p * x + q) * np.log(v + x * m)
            )  # fmt: skip
            return -float(likelihood.mean())

        options = {"maxiter": 4_000, "xatol": 1e-6, "fatol": 1e-9}
        start = np.log([2.0, 3.0, 400.0])
        best = optimize.minimize(loss, start, method="Nelder-Mead", options=options)
        return GammaGamma(*np.exp(best.x).tolist())

    def expected(self, counts: Counts) -> Floats:
        """Return the expected spend per purchase day, given all days so far, the first included."""
        n = counts.repeats + 1.0
        return self.p * (self.v + counts.spend) / (self.p * n + self.q - 1)
