"""A shop's rhythm as one object: learned from events, asked about what twins remember."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.events import EventKind, EventTable, Floats, Integers
from ml.rhythm.counts import CountLaw, raw_weights
from ml.rhythm.days import DAY_MS, HORIZON_DAYS, PurchaseDays
from ml.rhythm.drift import Drift
from ml.rhythm.law import HOUR_MS, HOURS, Law, Own
from ml.rhythm.sizes import SizeLaw, fit_sizes
from ml.rhythm.statistics import Purchases

LOG_2, TINY = float(np.log(2)), 1e-300
LEAST_REPEATS = 50  # customers with a second purchase day, for the spread of spend


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """When orders come, how many, and what they are worth; immutable, plain numbers.

    ``drift`` is how the whole shop's level moves from week to week: no customer's affair, but
    every forecast of a total.
    """

    law: Law
    counts: CountLaw
    drift: Drift
    sizes: SizeLaw

    @staticmethod
    def plain() -> Rhythm:
        """Return a rhythm that has learned nothing."""
        return Rhythm(
            law=Law.plain(), counts=CountLaw.plain(), drift=Drift.none(), sizes=SizeLaw.plain()
        )

    @staticmethod
    def fit(events: EventTable, *, cut_off_ms: int, seed: int = 0) -> Rhythm:
        """Return what the purchases before ``cut_off_ms`` teach; later ones are not looked at.

        The last day counts only where it is over.
        """
        from ml.rhythm.drift import fit_drift
        from ml.rhythm.fit import fit_law

        cut = cut_off_ms // DAY_MS
        past = events.rows(events.occurred_at_ms < cut * DAY_MS)
        days = PurchaseDays.of_events(past)
        opened = _opened(past)
        per_day = max(len(opened) / max(len(days.day), 1), 1.0)
        hours = np.bincount(opened % DAY_MS // HOUR_MS, minlength=HOURS)
        law = fit_law(days, cut, orders_per_day=per_day, hours=hours, seed=seed)
        return Rhythm(
            law=law,
            counts=_fit_counts(days, cut, per_day),
            drift=fit_drift(law, days, cut),
            sizes=fit_sizes(past),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the rhythm for JSON."""
        return {
            "law": self.law.as_dict(),
            "counts": self.counts.as_dict(),
            "drift": self.drift.as_dict(),
            "sizes": self.sizes.as_dict(),
        }

    @staticmethod
    def of(stored: dict[str, Any]) -> Rhythm:
        """Return the rhythm that ``as_dict`` wrote."""
        return Rhythm(
            law=Law.of(stored["law"]),
            counts=CountLaw.of(stored["counts"]),
            drift=Drift(**stored["drift"]),
            sizes=SizeLaw(**stored["sizes"]),
        )

    def own(self, purchases: Purchases, clock_ms: Integers, last_order_ms: Integers) -> Own:
        """Return each customer's own numbers in the law (B,).

        A customer who has bought nothing waits since the day of the last event.
        """
        bought = purchases.purchase_days > 0
        on_it = bought & (last_order_ms // DAY_MS == purchases.last_day)
        share = np.where(on_it, self.law.day_share(np, last_order_ms % DAY_MS), 0.0)
        last_day = np.where(bought, purchases.last_day, clock_ms // DAY_MS - 1)
        return self.law.own_of(
            np, days=purchases.purchase_days, first_day=purchases.first_day, last_day=last_day,
            last_day_share=share, gap_days=purchases.gap_days,
            gap_before_days=purchases.gap_before_days, spend_cents=purchases.spend_cents,
            last_day_cents=purchases.last_day_cents,
        )  # fmt: skip

    def median_ms(self, own: Own, from_ms: Integers, most_days: int) -> Integers:
        """Return when an order has come with probability one half (B,), given none so far.

        That much later is ``most_days`` at most. ``from_ms`` (B,) are no earlier than the last
        order.
        """
        first = from_ms // DAY_MS
        hazards = self.day_hazards(own, first, most_days + 1)
        share = self.law.day_share(np, from_ms % DAY_MS)
        on_last = (own.bought > 0) & (own.last_day == first)
        hazards[:, 0] *= 1 - share
        over = (share - own.last_day_share) / (1 - own.last_day_share)
        hazards[on_last, 0] = (self.law.same_day_hazard * (1 - over))[on_last]
        running = np.cumsum(hazards, axis=1)
        place = np.minimum((running < LOG_2).sum(axis=1), most_days)
        rows = np.arange(len(first))
        left = LOG_2 - (running - hazards)[rows, place]
        inside = left / np.maximum(hazards[rows, place], TINY)
        inside = np.minimum(np.maximum(inside, 0), 1)
        inside = np.where(place == 0, share + inside * (1 - share), inside)
        of_day = self.law.share_ms(np, inside)
        found = (first + place) * DAY_MS + np.floor(of_day).astype(np.int64)
        latest = from_ms + most_days * DAY_MS
        return np.asarray(np.minimum(np.maximum(found, from_ms), latest), dtype=np.int64)

    def day_hazards(self, own: Own, first_day: Integers, days: int) -> Floats:
        """Return the hazard (B, D) of each of ``days`` whole days from ``first_day`` (B,) on."""
        day = first_day[:, None] + np.arange(days)
        wide = Own(*(np.asarray(column)[:, None] for column in own))
        return np.asarray(self.law.hazards(np, wide, day))


def _opened(events: EventTable) -> Integers:
    """Return when orders were opened (ms): the first line of each (customer, order)."""
    bought = events.kind == EventKind.PURCHASED
    customer, order = events.customer[bought], events.order[bought]
    fresh = np.ones(len(order), dtype=np.bool_)
    fresh[1:] = (customer[1:] != customer[:-1]) | (order[1:] != order[:-1]) | (order[1:] == 0)
    return np.asarray(events.occurred_at_ms[bought][fresh])


def _fit_counts(days: PurchaseDays, cut: int, per_day: float) -> CountLaw:
    from ml.rhythm.posterior import GammaGamma
    from ml.rhythm.regression import RecencyRegression

    plain = CountLaw.plain()
    if not len(days.day):
        return plain
    n = days.number
    repeat_spend = np.bincount(days.customer, np.where(n > 0, days.spend, 0.0)).astype(np.float64)
    repeats = np.bincount(days.customer, n > 0)
    p, q, v = plain.p, plain.q, float(max(np.median(days.spend), 1.0)) * plain.q / plain.p
    if int((repeats > 0).sum()) >= LEAST_REPEATS:
        found = GammaGamma.fit_to(repeats, repeat_spend)
        p, q, v = found.p, found.q, found.v
    regression = RecencyRegression.fit(days, cut, HORIZON_DAYS)
    return CountLaw(
        weights=raw_weights(regression), horizon_days=HORIZON_DAYS, orders_per_day=per_day,
        p=p, q=max(q, 1.0 + 1e-3), v=v,
    )  # fmt: skip
