"""What is remembered of a customer's purchase days: exact integers, folded event by event."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ml.events import PURCHASED, EventTable, Integers
from ml.rhythm.days import DAY_MS, Mask

WORD_BITS, WORDS = 48, 4  # a word fits into the 53 bits that every JSON reader keeps
RECENT_DAYS = WORD_BITS * WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchases:
    """The purchase days of B customers. Only purchases count; all is 0 before the first.

    ``purchase_days`` of them, from ``first_day`` to ``last_day``. ``gap_days`` lie between the last
    two, ``gap_before_days`` between the two before. ``last_day_cents`` were spent on the last one,
    ``spend_cents`` ever. Bit j of ``recent_0`` to ``recent_3``, 48 bits each, says whether
    ``last_day - j`` was one.

    Shapes: (B,) int64.
    """

    purchase_days: Integers
    first_day: Integers
    last_day: Integers
    gap_days: Integers
    gap_before_days: Integers
    spend_cents: Integers
    last_day_cents: Integers
    recent_0: Integers
    recent_1: Integers
    recent_2: Integers
    recent_3: Integers

    @staticmethod
    def none(customers: int) -> Purchases:
        """Return customers who have bought nothing yet."""
        return Purchases(**{name: np.zeros(customers, np.int64) for name in COLUMNS})

    @staticmethod
    def of(states: Any) -> Purchases:
        """Return these columns of something that has them."""
        return Purchases(**{name: getattr(states, name) for name in COLUMNS})

    def columns(self) -> dict[str, Integers]:
        """Return the columns by name."""
        return {name: getattr(self, name) for name in COLUMNS}

    def __len__(self) -> int:
        return len(self.purchase_days)

    def rows(self, index: Integers) -> Purchases:
        """Return the customers of these rows."""
        return Purchases(**{name: column[index] for name, column in self.columns().items()})

    def folded(self, events: EventTable) -> Purchases:
        """Return the columns after ``events``, of which row b is customer b; any chunking is one.

        A customer's events come in the order of time, and none is older than what was folded.
        """
        runs = _Runs.of(self, events)
        if not len(runs.customer):
            return self
        latest = _last_of_each(runs.customer)
        after = {name: column.copy() for name, column in self.columns().items()}
        np.add.at(after["spend_cents"], runs.customer, runs.cents)
        kept = np.where(runs.fresh, 0, self.last_day_cents[runs.customer])
        after["last_day_cents"][runs.customer[latest]] = (runs.cents + kept)[latest]
        if runs.fresh.any():
            self._take_days(after, runs)
        return Purchases(**after)

    def recent(self, rows: Integers | None = None) -> Mask:
        """Return whether each of the last days was one, the last purchase day first (B, 192)."""
        words = [getattr(self, f"recent_{number}") for number in range(WORDS)]
        chosen = np.array(words if rows is None else [word[rows] for word in words]).T
        bits = chosen[:, :, None] >> np.arange(WORD_BITS)
        return np.asarray((bits & 1).reshape(len(chosen), RECENT_DAYS), dtype=np.bool_)

    def _take_days(self, after: dict[str, Integers], runs: _Runs) -> None:
        """Write what new purchase days change into ``after``."""
        fresh = np.flatnonzero(runs.fresh)
        newest = fresh[_last_of_each(runs.customer[fresh])]
        who = runs.customer[newest]
        np.add.at(after["purchase_days"], runs.customer[fresh], 1)
        began = fresh[runs.gap[fresh] == 0]
        after["first_day"][runs.customer[began]] = runs.day[began]
        after["last_day"][who], after["gap_days"][who] = runs.day[newest], runs.gap[newest]
        after["gap_before_days"][who] = runs.gap_before[newest]
        words = _packed(self._shifted(who, runs, newest))
        for number, word in enumerate(words):
            after[f"recent_{number}"][who] = word

    def _shifted(self, who: Integers, runs: _Runs, newest: Integers) -> Mask:
        """Return the recent days (U, 192) of customers as seen from their newest one."""
        moved = runs.day[newest] - self.last_day[who]
        place = np.arange(RECENT_DAYS) - moved[:, None]
        old = self.recent(who)[np.arange(len(who))[:, None], np.maximum(place, 0)]
        bits = np.asarray(old & (place >= 0))
        row = np.full(len(self), -1)
        row[who] = np.arange(len(who))
        fresh = np.flatnonzero(runs.fresh)
        age = runs.day[newest][row[runs.customer[fresh]]] - runs.day[fresh]
        near = age < RECENT_DAYS
        bits[row[runs.customer[fresh[near]]], age[near]] = True
        return bits


COLUMNS = tuple(f.name for f in fields(Purchases))


@dataclass(frozen=True, slots=True)
class _Runs:
    """The purchase days inside a table. Shapes: (P,).

    ``fresh``: it is not the customer's last purchase day from before the table. ``gap`` lies before
    it (0 where nothing does), ``gap_before`` before that.
    """

    customer: Integers
    day: Integers
    cents: Integers
    fresh: Mask
    gap: Integers
    gap_before: Integers

    @staticmethod
    def of(before: Purchases, events: EventTable) -> _Runs:
        bought = events.kind == PURCHASED
        customer, day = events.customer[bought], events.occurred_at_ms[bought] // DAY_MS
        start = np.ones(len(day), dtype=np.bool_)
        start[1:] = (customer[1:] != customer[:-1]) | (day[1:] != day[:-1])
        line = np.rint(events.quantity[bought] * events.unit_price[bought] * 100)
        cents = np.add.reduceat(line.astype(np.int64), np.flatnonzero(start))
        who, when = customer[start], day[start]
        opens = np.ones(len(who), dtype=np.bool_)
        opens[1:] = who[1:] != who[:-1]
        known = before.purchase_days[who] > 0
        previous = np.where(opens, np.where(known, before.last_day[who], when), _before(when))
        fresh = ~(opens & known & (previous == when))
        gap = np.where(fresh, when - previous, before.gap_days[who])
        carried = np.where(known, before.gap_days[who], 0)
        gap_before = np.where(opens, carried, _before(gap))
        return _Runs(who, when, cents, fresh, gap, gap_before)


def _last_of_each(customer: Integers) -> Mask:
    """Return which rows are the last of their customer, whose rows stand together."""
    last = np.ones(len(customer), dtype=np.bool_)
    last[:-1] = customer[1:] != customer[:-1]
    return last


def _before(values: Integers) -> Integers:
    """Return the value of the row before; that of the first row means nothing."""
    return np.concatenate((values[:1], values[:-1]))


def _packed(bits: Mask) -> list[Integers]:
    words = bits.reshape(len(bits), WORDS, WORD_BITS).astype(np.int64) << np.arange(WORD_BITS)
    return list(words.sum(axis=2).T)
