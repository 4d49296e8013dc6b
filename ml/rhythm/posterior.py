"""Customers' own rates and levels, each gamma distributed over customers, by maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from ml.events import Floats, Integers
from ml.rhythm.clock import Clock
from ml.rhythm.counts import shrunk_spend
from ml.rhythm.spells import Counts, Spells

LARGEST_LOG = 15.0  # of a parameter that the data do not bound
LEAST = 1e-12  # of the probability of a day: nothing is ruled out


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
        """Return the posterior's prior; where customers are all alike, a very narrow one."""

        def made(raw: Floats) -> GammaExponential:
            shape, scale = np.exp(np.clip(raw, -LARGEST_LOG, LARGEST_LOG)).tolist()
            return GammaExponential(shape, scale, clock)

        def loss(raw: Floats) -> float:
            return -float(made(raw).log_likelihood(spells).mean())

        best = optimize.minimize(loss, np.log([0.7, 60.0]), method="Nelder-Mead")
        return made(best.x)

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
        """Return the law of the customers known at a cut."""
        return GammaGamma.fit_to(counts.repeats, counts.repeat_spend)

    @staticmethod
    def fit_to(repeats: Integers, repeat_spend: Floats) -> GammaGamma:
        """Return the law of customers (C,) with so many days after the first, and their spend."""
        x = repeats.astype(np.float64)
        m = repeat_spend / np.maximum(x, 1)
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
        expected = shrunk_spend(self.p, self.q, self.v, counts.repeats + 1.0, counts.spend)
        return np.asarray(expected, dtype=np.float64)
