"""How the law is learned: the base by maximum likelihood, the factor by Poisson regression."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from ml.events import Floats, Integers
from ml.rhythm.clock import WeekdayClock
from ml.rhythm.days import Mask, PurchaseDays
from ml.rhythm.law import HOURS, Law, own_columns, waited_columns
from ml.rhythm.posterior import GammaExponential
from ml.rhythm.spells import Spells

HALF_LIFE_DAYS = 90.0  # of what a person-day counts: the shop of last year is another shop
RIDGE = 30.0  # on standardised columns
LEAST_FACTOR = 1e-3  # of a weekday on which nothing was ever sold
SHAPES = (0.01, 100.0)  # where customers are all alike, the posterior would stop learning
LEAST_SCALE = 0.1  # days
LEAST_SPELLS = 200  # with fewer that ended, the base stands alone
MOST_PERSON_DAYS = 800_000
MOST_STEPS, TOLERANCE = 40, 1e-9
SMOOTH_ORDERS = 24.0  # spread evenly over the hours
BOUND = 8.0  # of a log factor while it is learned
LEAST_DEVIATION = 0.05  # a column that hardly ever differs from 0 is not worth a large weight


@dataclass(frozen=True)
class Ended:
    """A purchase day and what was known at its end. Shapes: (P,)."""

    first: Integers
    start: Integers
    gaps: Integers
    gap: Integers
    gap_before: Integers
    mean_spend: Floats
    last_spend: Floats

    @staticmethod
    def of(days: PurchaseDays) -> Ended:
        """Return every purchase day."""
        rows = np.arange(len(days.day))
        begin = rows - days.number
        spent = np.cumsum(days.spend)
        so_far = spent - (spent - days.spend)[begin]
        gap = np.where(days.number > 0, days.day - np.roll(days.day, 1), 0)
        return Ended(
            first=days.first_day, start=days.day, gaps=days.number, gap=gap,
            gap_before=np.where(days.number > 1, np.roll(gap, 1), 0),
            mean_spend=so_far / (days.number + 1), last_spend=days.spend,
        )  # fmt: skip

    def rows(self, index: Integers) -> Ended:
        """Return some of them."""
        return Ended(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


@dataclass(frozen=True)
class PersonDays:
    """Customers waiting, one row per day, and whether the day ended it. Shapes: (N,)."""

    row: Integers  # of the purchase day at which waiting began
    waited: Integers
    ended: Mask

    @staticmethod
    def of(days: PurchaseDays, last: int, *, most: int, seed: int) -> PersonDays:
        """Return the days up to ``last`` of all customers, or of as many as ``most`` rows hold."""
        end = np.minimum(days.next_day, last)
        length = np.maximum(end - days.day, 0)
        total = int(length.sum())
        if total > most:
            luck = np.random.default_rng(seed).random(int(days.customer.max()) + 1)
            length = np.where(luck[days.customer] < most / total, length, 0)
        row = np.repeat(np.arange(len(length)), length)
        waited = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length) + 1
        return PersonDays(row, waited, days.day[row] + waited == days.next_day[row])


def fit_law(
    days: PurchaseDays, cut: int, *, orders_per_day: float, hours: Integers, seed: int = 0
) -> Law:
    """Return the law of the purchase days before ``cut``; later ones are not looked at.

    ``hours`` (24) counts orders by the hour of the day. Where next to nothing was bought, it is the
    plain law.
    """
    known = days.rows(days.day < cut)
    spells = Spells.of(known, 0, cut - 1) if len(known.day) else None
    if spells is None or int(spells.observed.sum()) < 2:
        return Law.plain()
    clock = WeekdayClock.fit(known, cut, least=LEAST_FACTOR)
    base = GammaExponential.fit(spells, clock)
    smoothed = (hours + SMOOTH_ORDERS / HOURS) / (hours.sum() + SMOOTH_ORDERS)
    shape = float(np.clip(base.shape, *SHAPES))
    scale = max(base.scale * shape / base.shape, LEAST_SCALE)
    law = replace(
        Law.plain(), weekday=clock.factors, shape=shape, scale=scale,
        typical_log_spend=float(np.log1p(np.maximum(known.spend, 0)).mean()),
        same_day=float(np.clip(1 - 1 / orders_per_day, 1e-4, 0.9)),
        hours=tuple(smoothed.tolist()),
    )  # fmt: skip
    if int(spells.observed.sum()) >= LEAST_SPELLS:
        law = _with_factor(law, known, cut, seed)
    return law.rounded()


def _with_factor(law: Law, days: PurchaseDays, cut: int, seed: int) -> Law:
    asked = PersonDays.of(days, cut - 1, most=MOST_PERSON_DAYS, seed=seed)
    began = Ended.of(days).rows(asked.row)
    shape = law.shape + began.gaps
    scale = law.scale + law.time(np, began.start) - law.time(np, began.first)
    passed = law.time(np, began.start + asked.waited) - law.time(np, began.start)
    before = law.time(np, began.start + asked.waited - 1) - law.time(np, began.start)
    base = shape * np.log1p((passed - before) / (scale + before))
    own = own_columns(
        np, gaps=began.gaps * 1.0, own_gap=scale / shape, gap_days=began.gap * 1.0,
        gap_before_days=began.gap_before * 1.0, typical_log_spend=law.typical_log_spend,
        mean_spend=began.mean_spend, last_spend=began.last_spend,
    )  # fmt: skip
    waited = waited_columns(
        np, waited=asked.waited * 1.0, own_gap=scale / shape, gap_days=began.gap * 1.0,
        gap_before_days=began.gap_before * 1.0,
    )  # fmt: skip
    age = cut - (began.start + asked.waited)
    weights = poisson(
        np.stack([*own, *waited], axis=1), base, asked.ended, 0.5 ** (age / HALF_LIFE_DAYS)
    )
    own_weights, waited_weights = weights[1 : 1 + len(own)], weights[1 + len(own) :]
    return replace(
        law,
        longest_days=int(asked.waited[asked.ended].max()),
        level=float(weights[0]),
        own=tuple(own_weights.tolist()),
        waited=tuple(waited_weights.tolist()),
    )


def poisson(
    columns: Floats, exposure: Floats, ended: Mask, count: Floats, *, ridge: float = RIDGE
) -> Floats:
    """Return level and weights (F + 1,) of a log-linear factor on ``exposure`` (N,).

    Newton's method on the penalised likelihood; ``count`` (N,) is what each row counts. The
    penalty is on the weights of standardised columns, the level has none.
    """
    mean, deviation = columns.mean(axis=0), columns.std(axis=0)
    usable = deviation > 1e-9
    deviation = np.maximum(deviation, LEAST_DEVIATION)
    design = np.ones((len(columns), 1 + int(usable.sum())))
    design[:, 1:] = (columns[:, usable] - mean[usable]) / deviation[usable]
    penalty = np.full(design.shape[1], ridge)
    penalty[0] = 1e-6
    found = np.zeros(design.shape[1])
    before = np.inf
    for _ in range(MOST_STEPS):
        log_factor = np.clip(design @ found, -BOUND, BOUND)
        expected = exposure * np.exp(log_factor)
        loss = (count * (expected - ended * log_factor)).sum() + penalty @ found**2 / 2
        if abs(before - loss) <= TOLERANCE * abs(loss):
            break
        before = float(loss)
        slope = design.T @ (count * (expected - ended)) + penalty * found
        curve = (design * (count * expected)[:, None]).T @ design + np.diag(penalty)
        found = found - np.linalg.solve(curve, slope)
    weights = np.zeros(columns.shape[1] + 1)
    weights[1:][usable] = found[1:] / deviation[usable]
    weights[0] = found[0] - weights[1:] @ mean
    return weights
