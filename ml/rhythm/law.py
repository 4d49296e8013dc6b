"""When the next order comes: one law for everybody, with each customer's own numbers in it.

A customer's rate of purchase days is gamma distributed over customers and constant in
operational time, in which a weekday lasts as long as its share of the purchase days. After n gaps
that took the operational time s, the posterior is gamma(r + n, alpha + s), and w more days of
silence survive with ``(b / (b + w)) ** a``, a = r + n, b = alpha + s. That is the base of each
day's hazard. On top of it stands a learned log-linear factor of what is known: days waited k, k
over the own mean gap b / a, the last two gaps, how many there were, what was spent.

Source: the base is Schmittlein, Morrison and Colombo 1987 without drop-out (the NBD model, as in
Fader and Hardie 2005), in operational time; the factor is a proportional-hazards regression on
person-days with a piecewise constant hazard (Holford 1980).

Everything here works on numpy arrays and on torch tensors: ``xp`` is the one module or the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

WEEK = 7
HOURS = 24
HOUR_MS = 3_600_000
WAITED_KNOTS = (2, 4, 7, 14, 28, 56, 112)  # days
LOG_WAITED_KNOTS = tuple(map(math.log, WAITED_KNOTS))
RATIO_KNOTS = (-3, -2, -1, 0, 1)  # of the logarithm of days waited over the own mean gap
MANY_GAPS, LONG_DAYS, HIGH_SPEND = 3.0, 30.0, 0.5  # where slopes may change
FORTNIGHT_TWICE, MONTH = 28, (26, 30)
MOST_LOG_FACTOR = 5.0
FAR = 100.0  # no ratio of two times is so many e-folds
OWN_COLUMNS = 12
WAITED_COLUMNS = len(WAITED_KNOTS) + len(RATIO_KNOTS) + 9


class Own(NamedTuple):
    """A customer's own numbers in the law; arrays of one shape, or plain numbers.

    ``shape`` and ``scale`` (operational days) of the posterior rate; ``level`` is the part of the
    log factor that does not change while the customer waits. ``last_day_share`` is how much of the
    last day's business was over at the last order. ``bought`` is 0 where there was no purchase yet:
    then ``last_day`` is where waiting began, and the base stands alone.
    """

    shape: Any
    scale: Any
    level: Any
    last_day: Any
    last_day_share: Any
    gap_days: Any
    gap_before_days: Any
    bought: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """What is learned from everybody; plain numbers, fit for JSON.

    ``weekday`` (7) are the factors of operational time from Monday on, mean 1; ``shape`` and
    ``scale`` the prior of the rate; ``level``, ``own`` and ``waited`` weigh the log factor's parts.
    No waiting time beyond ``longest_days`` was seen to end: there the factor stays as it was and is
    at most 1. ``typical_log_spend`` is the mean of ``log1p`` of a purchase day's spend.
    ``same_day`` is the probability of one more order on the day of the last one, ``hours`` (24)
    when orders come.
    """

    weekday: tuple[float, ...]
    shape: float
    scale: float
    level: float
    own: tuple[float, ...]
    waited: tuple[float, ...]
    longest_days: int
    typical_log_spend: float
    same_day: float
    hours: tuple[float, ...]

    @staticmethod
    def plain() -> Law:
        """Return a law that has learned nothing: rates around one order in three months."""
        return Law(
            weekday=(1.0,) * WEEK, shape=0.7, scale=60.0, level=0.0, own=(0.0,) * OWN_COLUMNS,
            waited=(0.0,) * WAITED_COLUMNS, longest_days=1, typical_log_spend=4.0, same_day=0.05,
            hours=(1 / HOURS,) * HOURS,
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Return the law for JSON."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @staticmethod
    def of(stored: dict[str, Any]) -> Law:
        """Return the law that ``as_dict`` wrote."""
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in stored.items()
        }
        return Law(**fields)

    def rounded(self, digits: int = 6) -> Law:
        """Return the law with short numbers, as it is stored in every forecast."""

        def short(value: Any) -> Any:
            return tuple(map(short, value)) if isinstance(value, tuple) else round(value, digits)

        changed = {name: short(getattr(self, name)) for name in self.__slots__}
        return replace(self, **changed)

    @property
    def same_day_hazard(self) -> float:
        """The cumulative hazard of one more order on the same day."""
        return -math.log1p(-self.same_day)

    def time(self, xp: Any, day: Any) -> Any:
        """Return operational time at the end of each day (counted from 1970)."""
        running = _running_week(self.weekday)
        after = day + 1
        return real(xp, after // WEEK) * running[-1] + table(xp, running, after)[after % WEEK]

    def own_of(
        self, xp: Any, *, days: Any, first_day: Any, last_day: Any, last_day_share: Any,
        gap_days: Any, gap_before_days: Any, spend_cents: Any, last_day_cents: Any,
    ) -> Own:  # fmt: skip
        """Return the own numbers of customers with these ``days`` (how many) and figures.

        Where there is no purchase day, ``last_day`` is the day on which waiting began.
        """
        bought = real(xp, days > 0)
        gaps = real(xp, at_least(xp, days - 1, 0))
        gap_days, gap_before_days = real(xp, gap_days), real(xp, gap_before_days)
        known = (self.time(xp, last_day) - self.time(xp, first_day)) * bought
        shape, scale = self.shape + gaps, self.scale + known
        columns = own_columns(
            xp, gaps=gaps, own_gap=scale / shape, gap_days=gap_days,
            gap_before_days=gap_before_days, typical_log_spend=self.typical_log_spend,
            mean_spend=real(xp, spend_cents) / (100.0 * at_least(xp, real(xp, days), 1)),
            last_spend=real(xp, last_day_cents) / 100.0,
        )  # fmt: skip
        level = self.level + weighted(self.own, columns)
        return Own(shape, scale, level, last_day, last_day_share, gap_days, gap_before_days, bought)

    def hazards(self, xp: Any, own: Own, day: Any) -> Any:
        """Return the cumulative hazard of each whole day; 0 before the day after the last one.

        The rest of the last day itself is ``same_day_hazard``. ``day`` and the own numbers
        broadcast.
        """
        waited = day - own.last_day
        asked = at_least(xp, waited, 1)
        before = self.time(xp, own.last_day)
        passed = self.time(xp, own.last_day + asked) - before
        passed_before = self.time(xp, own.last_day + asked - 1) - before
        known = own.scale + passed_before
        base = own.shape * xp.log1p((passed - passed_before) / known)
        factor = own.bought * (own.level + self._waited(xp, own, asked))
        factor = at_least(xp, at_most(xp, factor, MOST_LOG_FACTOR), -MOST_LOG_FACTOR)
        factor = xp.where(asked > self.longest_days, at_most(xp, factor, 0.0), factor)
        hazard = base * xp.exp(factor)
        return xp.where(waited > 0, hazard, 0.0 * hazard)

    def _waited(self, xp: Any, own: Own, asked: Any) -> Any:
        """Return the part of the log factor that changes with the days waited."""
        waited, own_gap = at_most(xp, asked, self.longest_days), own.scale / own.shape
        if not hasattr(waited, "new_tensor"):
            looked_up = tabled(self.waited, self.longest_days)
            return looked_up.sum(waited, own_gap, own.gap_days, own.gap_before_days)
        columns = waited_columns(
            xp, waited=real(xp, waited), own_gap=own_gap, gap_days=own.gap_days,
            gap_before_days=own.gap_before_days,
        )  # fmt: skip
        return weighted(self.waited, columns)

    def day_share(self, xp: Any, of_day_ms: Any) -> Any:
        """Return how much of a day's business is over at these milliseconds of the day."""
        ends = table(xp, _running_hours(self.hours), of_day_ms)
        hour = at_least(xp, at_most(xp, of_day_ms // HOUR_MS, HOURS - 1), 0)
        inside = real(xp, of_day_ms - hour * HOUR_MS) / HOUR_MS
        return ends[hour] + inside * (ends[hour + 1] - ends[hour])

    def share_ms(self, xp: Any, share: Any) -> Any:
        """Return the milliseconds of the day at which ``share`` of its business is over."""
        ends = table(xp, _running_hours(self.hours), share)
        hour = xp.searchsorted(ends, share, side="right") - 1
        hour = at_least(xp, at_most(xp, hour, HOURS - 1), 0)
        inside = (share - ends[hour]) / (ends[hour + 1] - ends[hour])
        return (hour + at_least(xp, at_most(xp, inside, 1.0), 0.0)) * HOUR_MS


@lru_cache(maxsize=16)  # laws are read from every forecast anew, but there are few of them
def _running_week(weekday: tuple[float, ...]) -> list[float]:
    """Return operational time after 0 to 7 days since 1970, whose first day was a Thursday."""
    return list(accumulate((weekday[(day + 3) % WEEK] for day in range(WEEK)), initial=0.0))


@lru_cache(maxsize=16)
def _running_hours(hours: tuple[float, ...]) -> list[float]:
    """Return how much of a day's business is over at the end of each hour, from midnight on."""
    ends = list(accumulate(hours, initial=0.0))
    return [end / ends[-1] for end in ends]


@dataclass(frozen=True, slots=True)
class Tabled:
    """The weighted sum of ``waited_columns``, of which most is looked up: a law has few days.

    ``log`` is the logarithm of the days waited, ``steady`` the sum of the columns that know nothing
    but these. The sum of the ratio's columns is piecewise linear: ``bends`` at ``knots``. ``apart``
    weighs the distances from the own gaps.

    Shapes: D days and 0; ``log`` and ``steady`` (D + 1,), ``knots`` and ``bends`` (K,).
    """

    log: Any
    steady: Any
    knots: Any
    bends: Any
    apart: tuple[float, float, float, float]

    def sum(self, waited: Any, own_gap: Any, gap_days: Any, gap_before_days: Any) -> Any:
        """Return the sum for whole days waited, at least 1, and own gaps in days."""
        log_waited = self.log[waited]
        ratio = np.interp(log_waited - np.log(own_gap), self.knots, self.bends)
        total = self.steady[waited] + ratio
        far, signed, log_far, before = self.apart
        beyond, log_gap = waited - gap_days, np.log(np.maximum(gap_days, 1))
        apart = np.log1p(np.abs(beyond)) * (far + signed * np.sign(beyond))
        apart = apart + log_far * np.abs(log_waited - log_gap)
        total = total + (gap_days > 0) * apart
        return total + (gap_before_days > 0) * before * np.log1p(np.abs(waited - gap_before_days))


@lru_cache(maxsize=16)
def tabled(weights: tuple[float, ...], longest_days: int) -> Tabled:
    """Return the tables of a law for up to so many days waited."""
    days = np.arange(longest_days + 1)
    waited = np.maximum(days, 1) * 1.0
    nothing = np.zeros(len(days))
    columns = waited_columns(
        np, waited=waited, own_gap=waited, gap_days=nothing, gap_before_days=nothing
    )
    first, last = 1 + len(LOG_WAITED_KNOTS), 2 + len(LOG_WAITED_KNOTS) + len(RATIO_KNOTS)
    alone = [*range(first), *range(last + 4, len(columns))]
    steady = sum((weights[place] * columns[place] for place in alone), start=nothing)
    knots = np.array([-FAR, *map(float, RATIO_KNOTS), FAR])
    bent = [knots, *(np.maximum(knots - knot, 0) for knot in RATIO_KNOTS)]
    bends = weighted(weights[first:last], bent)
    return Tabled(np.log(waited), steady, knots, bends, weights[last : last + 4])  # type: ignore[arg-type]


def own_columns(
    xp: Any, *, gaps: Any, own_gap: Any, gap_days: Any, gap_before_days: Any,
    typical_log_spend: float, mean_spend: Any, last_spend: Any,
) -> list[Any]:  # fmt: skip
    """Return what stays while a customer waits, as the columns that ``Law.own`` weighs."""
    one, two = real(xp, gap_days > 0), real(xp, gap_before_days > 0)
    many, log_own = xp.log1p(gaps), xp.log(own_gap)
    spent = xp.log1p(at_least(xp, mean_spend, 0)) - typical_log_spend
    lately = xp.log1p(at_least(xp, last_spend, 0)) - typical_log_spend
    return [
        many, at_most(xp, gaps, 1), at_least(xp, many - math.log1p(MANY_GAPS), 0),
        log_own, at_least(xp, log_own - math.log(LONG_DAYS), 0),
        one * xp.log1p(gap_days), one * (xp.log(at_least(xp, gap_days, 1)) - log_own),
        two, two * xp.log1p(gap_before_days),
        spent, at_least(xp, spent - HIGH_SPEND, 0), lately - spent,
    ]  # fmt: skip


def waited_columns(
    xp: Any, *, waited: Any, own_gap: Any, gap_days: Any, gap_before_days: Any
) -> list[Any]:
    """Return what changes while a customer waits, as the columns that ``Law.waited`` weighs."""
    one, two = real(xp, gap_days > 0), real(xp, gap_before_days > 0)
    log_waited = xp.log(waited)
    ratio = log_waited - xp.log(own_gap)
    beyond = waited - gap_days
    apart = xp.log1p(xp.abs(beyond))
    log_gap = xp.log(at_least(xp, gap_days, 1))
    weekly = real(xp, waited % WEEK == 0)
    return [
        log_waited, *(at_least(xp, log_waited - knot, 0) for knot in LOG_WAITED_KNOTS),
        ratio, *(at_least(xp, ratio - knot, 0) for knot in RATIO_KNOTS),
        one * apart, one * xp.sign(beyond) * apart, one * xp.abs(log_waited - log_gap),
        two * xp.log1p(xp.abs(waited - gap_before_days)),
        weekly, weekly * real(xp, waited <= FORTNIGHT_TWICE),
        real(xp, (waited >= MONTH[0]) & (waited <= MONTH[1])),
    ]  # fmt: skip


def weighted(weights: tuple[float, ...], columns: list[Any]) -> Any:
    """Return the weighted sum, term by term: the same bits wherever a row stands in an array."""
    total = weights[0] * columns[0]
    for weight, column in zip(weights[1:], columns[1:], strict=True):
        total = total + weight * column
    return total


def real(xp: Any, value: Any) -> Any:
    """Return the value in double precision; torch would make single precision of integers."""
    return value.to(xp.float64) if hasattr(value, "new_tensor") else value * 1.0


def at_least(xp: Any, value: Any, least: float) -> Any:
    """Return the value, nowhere less than this; of few numbers ``np.clip`` costs six times that."""
    return xp.clip(value, least, None) if hasattr(value, "new_tensor") else xp.maximum(value, least)


def at_most(xp: Any, value: Any, most: float) -> Any:
    """Return the value, nowhere more than this."""
    return xp.clip(value, None, most) if hasattr(value, "new_tensor") else xp.minimum(value, most)


def table(xp: Any, values: list[float], like: Any) -> Any:
    """Return float64 values as an array where ``like`` is."""
    if hasattr(like, "new_tensor"):
        return like.new_tensor(values, dtype=xp.float64)
    return xp.asarray(values, dtype=xp.float64)
