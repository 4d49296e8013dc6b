"""Past offers with a group that was held out, and what customers did while they were open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.events import EventKind, EventTable, Floats, Integers
from ml.rhythm.days import DAY_MS, Mask
from ml.rhythm.model import Rhythm
from ml.rhythm.statistics import Purchases

SMALLEST = 1e-6  # of an expectation, before its logarithm is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A discount on everything, made to some customers and withheld by lot from others.

    ``depth`` off the price in [opens_ms, closes_ms). ``customer`` are rows of the events, each
    once; only those drawn by lot belong here. Shapes: N customers; (N,).
    """

    name: str
    depth: float
    opens_ms: int
    closes_ms: int
    customer: Integers
    treated: Mask

    @property
    def dose(self) -> float:
        """What an elasticity multiplies: ``-log(1 - depth)``."""
        return float(-np.log1p(-self.depth))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What is regressed on the dose: customers' orders, or the values of single orders.

    ``dose`` is 0 where the offer was withheld. ``usual`` is the logarithm of what was expected of
    the customer when the offer opened. Shapes: (N,).
    """

    trial: Integers
    customer: Integers
    dose: Floats
    usual: Floats
    outcome: Floats

    @staticmethod
    def concat(parts: Sequence[Rows]) -> Rows:
        """Return the rows of all parts, one after the other."""
        names = Rows.__slots__
        return Rows(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Orders:
    """Single orders by customer and time, whatever they were bought under. Shapes: (O,)."""

    customer: Integers
    at_ms: Integers
    value: Floats

    @staticmethod
    def of(events: EventTable) -> _Orders:
        bought = events.rows(events.kind == EventKind.PURCHASED)
        opens = np.ones(len(bought), np.bool_)
        same = (bought.customer[1:] == bought.customer[:-1]) & (
            bought.order[1:] == bought.order[:-1]
        )
        opens[1:] = ~same | (bought.order[1:] == 0)
        paid = bought.quantity * bought.unit_price
        value = np.bincount(np.cumsum(opens) - 1, paid, int(opens.sum()))
        return _Orders(
            customer=bought.customer[opens],
            at_ms=bought.occurred_at_ms[opens],
            value=value.astype(np.float64),
        )


def rows_of(events: EventTable, trials: Sequence[Trial], rhythm: Rhythm) -> tuple[Rows, Rows]:
    """Return one row for each customer of each trial, and one for each order placed in its window.

    The outcomes are numbers of orders, and values of orders at regular prices: what was paid, over
    the share of the price that the treated paid. ``rhythm`` says what was to be expected of each
    customer given the events before the trial, those under other trials left out.
    """
    orders, plain = _Orders.of(events), _outside(events, trials)
    found = [_rows(plain, orders, n, trial, rhythm) for n, trial in enumerate(trials)]
    return Rows.concat([rates for rates, _ in found]), Rows.concat([sizes for _, sizes in found])


def _outside(events: EventTable, trials: Sequence[Trial]) -> EventTable:
    """Return the events that no trial of their customers was open for, in either arm.

    Whoever is treated again and again, as in the launches of one campaign, would otherwise be
    expected to do what only the offers made them do.
    """
    inside = np.zeros(len(events), np.bool_)
    for trial in trials:
        at = events.occurred_at_ms
        member = np.isin(events.customer, trial.customer)
        inside |= (at >= trial.opens_ms) & (at < trial.closes_ms) & member
    return events.rows(~inside)


def _rows(
    events: EventTable, orders: _Orders, number: int, trial: Trial, rhythm: Rhythm
) -> tuple[Rows, Rows]:
    known = _known(events, trial)
    within = (orders.at_ms >= trial.opens_ms) & (orders.at_ms < trial.closes_ms)
    place = np.full(1 + max(trial.customer.max(), orders.customer.max(initial=-1)), -1)
    place[trial.customer] = np.arange(len(trial.customer))
    at = place[orders.customer[within]]
    value, row = orders.value[within][at >= 0], at[at >= 0]
    dose = np.where(trial.treated, trial.dose, 0.0)
    rates = Rows(
        trial=np.full(len(trial.customer), number),
        customer=trial.customer,
        dose=dose,
        usual=_log(_expected_orders(rhythm, known, trial)),
        outcome=np.bincount(row, minlength=len(trial.customer)).astype(np.float64),
    )
    usual = _log(rhythm.counts.order_value(known.purchase_days, known.spend_cents / 100))
    sizes = Rows(
        trial=np.full(len(row), number),
        customer=trial.customer[row],
        dose=dose[row],
        usual=usual[row],
        outcome=value / np.where(trial.treated, 1 - trial.depth, 1.0)[row],
    )
    return rates, sizes


def _known(events: EventTable, trial: Trial) -> Purchases:
    """Return what each customer of the trial had bought when it opened."""
    before = events.rows(events.occurred_at_ms < trial.opens_ms)
    return Purchases.none(_customers(events, trial)).folded(before).rows(trial.customer)


def _expected_orders(rhythm: Rhythm, known: Purchases, trial: Trial) -> Floats:
    days = (trial.closes_ms - trial.opens_ms) / DAY_MS
    return rhythm.counts.purchase_days(rhythm.law, known, trial.opens_ms // DAY_MS, days)


def _customers(events: EventTable, trial: Trial) -> int:
    return 1 + int(max(events.customer.max(initial=-1), trial.customer.max(initial=-1)))


def _log(expected: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(expected, SMALLEST)))
