"""What an offer adds to the orders of one twin: in expectation, without drawing any.

A rollout draws orders one after the other. Here the same law is summed over days: the first order
comes by the twin's own hazards, and every order on day i is followed by one on day k with the
chance that the law gives once it has seen an order on day i. That is a renewal equation, solved by
adding up the expected first, second, third, ... orders. Further orders of the same day follow with
the hazard that the law has for them.

Some things are simpler than in a rollout. The first order tells what the customer's rate is to be
expected as, and it stays so: a rate that is learned on moves up as often as down. The law reads the
history as it is now and one order more, not all those between. An order is worth what the history
says now.

Plain numbers and numpy: a web process answers from a stored forecast and loads no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from ml.events import Floats, Integers
from ml.timing import DAY_MS, Buying, TimeToOrder

HORIZON_DAYS = 90  # what is counted: orders that an offer only brings forward are missing later
HAZARD_SHARE = 0.5  # of one elasticity that says nothing of how it works; as in ``response``
CERTAIN = 1e9  # days of watching, after which a rate is known


@dataclass(frozen=True, slots=True)
class Orders:
    """Expected orders within the horizon, while an offer is open and after it has closed.

    Shapes: (M,), one for each multiplier of the hazard.
    """

    inside: Floats
    after: Floats

    @property
    def total(self) -> Floats:
        """All of them."""
        return self.inside + self.after


class OrderCurve:
    """The days from a moment on, as one twin's stored forecast sees them.

    Shapes: K days, the first and the last in part; ``first`` (K,) are the hazards of the next
    order, ``second`` (K, K) those of the one after it where it came on day i, ``later`` (K, K)
    those after any further one. ``passed`` (K,) is the operational time until the end of each day.
    """

    def __init__(self, forecast: Mapping[str, Any], *, clock_ms: int, as_of_ms: int) -> None:
        time = TimeToOrder.of(forecast["time_to_order"])
        self.buying = Buying.of(forecast["buying"])
        self.law, self.time = time.law, time
        self.value = self._order_value()
        as_of_ms = max(as_of_ms, clock_ms)
        day = as_of_ms // DAY_MS
        days = np.arange(day, day + HORIZON_DAYS + 1)
        self.part = float(self.law.day_share(np, as_of_ms % DAY_MS))
        self.first = time.hazards(day, len(days), as_of_ms)
        self.first[0] *= 1 - time.day_share(as_of_ms)
        self.first[-1] *= self.part
        begun = self.law.time(np, np.array(day - 1 if time.last_day is None else time.last_day))
        self.known = time.scale + float(self.law.time(np, days[:1] - 1)[0] - begun)
        self.passed = self.law.time(np, days) - self.law.time(np, days[:1] - 1)
        self.rate = self._typical_rate()
        self.second = self._following(days, None)
        self.later = self._following(days, max(round(1 / self.rate), 1))
        self._look_beyond()

    def probability_within(self, days: int) -> float:
        """Return the probability of an order within so many days, at most the horizon's."""
        return float(-np.expm1(-(self.first * self._open(days)).sum()))

    def orders(self, offer_days: int, multipliers: Floats) -> Orders:
        """Return what is expected where the hazard is multiplied for ``offer_days`` from now on.

        A multiplier of 1 is no offer. What follows an order that came after the window does not
        depend on the offer, so only the days of the window are looked at for each multiplier.
        """
        opened = self._open(offer_days)
        end = min(offer_days + 1, len(opened))  # the last day of the window may be one in part
        more = (multipliers - 1)[:, None]
        first = _chances(self.first, opened, more)
        begun = first * self._rates(opened, more) / self.rate
        second = begun[:, None, :end] @ _chances(self.second[:end], opened, more[..., None])
        later = _chances(self.later[:end], opened, more[..., None])
        system = np.eye(end) - later[..., :end].swapaxes(-1, -2)
        again = np.linalg.solve(system, second[..., :end].swapaxes(-1, -2)).swapaxes(-1, -2)
        within = first[:, :end] + again[:, 0]
        beyond = (second + again @ later)[:, 0, end:]
        after = (first[:, end:] + begun[:, end:] * self.seconds[end:]).sum(axis=-1)
        after += beyond @ self.followers[end:]
        return self._counted(within, after, multipliers, opened[:end])

    def _counted(
        self, within: Floats, after: Floats, multipliers: Floats, opened: Floats
    ) -> Orders:
        """Return the orders of days (M, E) up to the end of the window, and of those after it."""
        offered = multipliers[:, None] * opened
        inside = offered / (1 - opened + offered)
        again = self.law.same_day_hazard
        per_day = np.exp(again * multipliers)
        after = after + (within * (1 - inside)).sum(axis=-1)
        return Orders(inside=(within * inside).sum(axis=-1) * per_day, after=after * np.exp(again))

    def _open(self, offer_days: int) -> Floats:
        """Return which part (K,) of each day's hazard lies within the offer's window."""
        opened = (np.arange(HORIZON_DAYS + 1) < offer_days).astype(np.float64)
        if offer_days < HORIZON_DAYS:
            opened[offer_days] = self.part
        else:
            opened[:] = 1.0
        return opened

    def _look_beyond(self) -> None:
        """Find how many days with an order (K,) are expected from an order on day i on, that one
        included (``followers``), and after the next order from now, that one not (``seconds``).
        """
        plain, none = np.zeros(self.first.shape), np.zeros((1, 1))
        later = _chances(self.later, plain, none)
        ones = np.ones((len(plain), 1))
        self.followers = np.linalg.solve(np.eye(len(plain)) - later, ones)[:, 0]
        self.seconds = _chances(self.second, plain, none) @ self.followers

    def _order_value(self) -> float:
        """Return the expected value of an order, in the currency of the events."""
        counts, bought = self.buying.counts, self.buying.purchases
        return float(counts.order_value(bought["purchase_days"], bought["spend_cents"] / 100))

    def _rates(self, opened: Floats, more: Floats) -> Floats:
        """Return the expected rate (M, K) of whoever orders next on day i.

        Time under an offer counts as the multiple that it is: nobody is taken for a frequent buyer
        because of an offer.
        """
        steps = np.diff(self.passed, prepend=0.0)
        waited = (steps * (1 + more * opened)).cumsum(axis=-1)
        return np.asarray((self.time.shape + 1) / (self.known + waited))

    def _typical_rate(self) -> float:
        """Return the mean of these rates over the days on which the next order may come."""
        chances = _chances(self.first, 0.0 * self.first, np.zeros((1, 1)))
        rates = self._rates(0.0 * self.first, np.zeros((1, 1)))
        return float((chances * rates).sum() / chances.sum())

    def _following(self, days: Integers, gap: int | None) -> Floats:
        """Return the hazards (K, K) of each day after an order on day i; 0 up to that day.

        The order on day i came ``gap`` days after another one, or is the next one from now.
        """
        known, bought = self.buying.purchases, self.buying.purchases["purchase_days"] > 0
        since = (days - known["last_day"]) * bought
        cents = round(self.value * 100)
        own = self.law.own_of(
            np,
            days=np.full(len(days), known["purchase_days"] + 1),
            first_day=np.where(bought, known["first_day"], days),
            last_day=days,
            last_day_share=0.0,
            gap_days=since if gap is None else np.full(len(days), gap),
            gap_before_days=np.full(len(days), known["gap_days"]) if gap is None else gap,
            spend_cents=known["spend_cents"] + cents,
            last_day_cents=cents,
        )
        own = own._replace(shape=CERTAIN * self.rate, scale=CERTAIN)
        wide = type(own)(*(np.broadcast_to(column, days.shape)[:, None] for column in own))
        hazards = np.asarray(self.law.hazards(np, wide, days))
        hazards[:, -1] *= self.part
        return hazards


def hazard_multiplier(elasticities: Floats, depth: float, share: float = 1.0) -> Floats:
    """Return what an offer multiplies the rate of orders by; exactly 1 at depth 0.

    ``share`` is the part of an order that the offer holds for: as much of the effect is left.
    """
    return np.asarray(1 + share * ((1 - depth) ** -elasticities - 1))


def quantity_multiplier(elasticities: Floats, depth: float) -> Floats:
    """Return what an offer multiplies the size of what it holds for by; exactly 1 at depth 0."""
    return np.asarray((1 - depth) ** -elasticities)


def normal_quantiles(count: int) -> Floats:
    """Return numbers (count,) that are evenly likely, like normal ones: mean 0, variance 1."""
    normal = NormalDist()
    found = np.array([normal.inv_cdf((n + 0.5) / count) for n in range(count)])
    return np.asarray(found / found.std())


def _chances(hazards: Floats, opened: Floats, more: Floats) -> Floats:
    """Return the chance (M, ..., K) that the next order comes on each day."""
    running = (hazards * (1 + more * opened)).cumsum(axis=-1)
    left = np.exp(-running)
    before = np.concatenate((np.ones_like(left[..., :1]), left[..., :-1]), axis=-1)
    return np.asarray(before - left)
