"""What is known of every customer in every step of six hours: purchases, and offers held.

Steps are counted from a wave: 0 begins with it, -1 ends with it. So nothing that happened after
the wave stands in a step before 0, wherever in the day the wave lies.

Shapes: N customers, S slots (the offers a customer got, oldest first), T steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.events import Floats, Integers
from ml.uplift.journal import BOUGHT, RECEIVED, VIEWED, Journal, Offers

STEP_HOURS = 6
NEVER = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """The offers that each customer got; all (N, S), steps. Empty slots have offer -1.

    An offer is open from ``received`` to ``expires``, the last step included, and works on the
    customer from ``viewed`` on, until it expires; whether it was completed makes no difference.
    """

    offer: Integers
    received: Integers
    expires: Integers
    viewed: Integers

    def with_offer(self, offer: Integers, offers: Offers) -> Holdings:
        """Return the holdings with one more slot: an offer (N,) received at step 0, -1 for none."""
        lasting = (offers.hours // STEP_HOURS).astype(np.int64)[offer]
        made = offer >= 0
        return Holdings(
            offer=_beside(self.offer, offer),
            received=_beside(self.received, np.where(made, 0, NEVER)),
            expires=_beside(self.expires, np.where(made, lasting, -NEVER)),
            viewed=_beside(self.viewed, np.full(len(offer), NEVER)),
        )

    def open_at(self, step: int) -> Holdings:
        """Return the holdings without the slots that nobody has open from ``step`` on."""
        kept = (self.expires >= step).any(axis=0)
        columns = (self.offer, self.received, self.expires, self.viewed)
        names = ("offer", "received", "expires", "viewed")
        return Holdings(**{name: c[:, kept] for name, c in zip(names, columns, strict=True)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The steps ``first`` to -1 before a wave, with the offers received in them.

    ``bought`` is 1 where a customer bought in a step, ``spend`` is how much; both (N, T).
    """

    first: int
    bought: Floats
    spend: Floats
    holdings: Holdings

    @property
    def steps(self) -> Integers:
        """The number of every column (T,)."""
        return np.arange(self.first, self.first + self.bought.shape[1])


def panel_before(journal: Journal, wave: int, customers: int, offers: Offers) -> Panel:
    """Return what is known when the hour ``wave`` begins."""
    known = journal.before(wave)
    first = (int(known.hour.min(initial=wave)) - wave) // STEP_HOURS
    sales = known.of_kind(BOUGHT)
    cell = sales.customer * -first + (_step(sales.hour, wave) - first)
    shape = customers, -first
    spend = np.bincount(cell, sales.amount, customers * -first).reshape(shape)
    counts = np.bincount(cell, minlength=customers * -first).reshape(shape)
    return Panel(
        first=first,
        bought=(counts > 0).astype(np.float64),
        spend=spend.astype(np.float64),
        holdings=_holdings(known, wave, customers, offers),
    )


def _holdings(known: Journal, wave: int, customers: int, offers: Offers) -> Holdings:
    got = known.of_kind(RECEIVED)
    order = np.lexsort((got.hour, got.customer))
    customer, hour, offer = got.customer[order], got.hour[order], got.offer[order]
    starts = np.searchsorted(customer, np.arange(customers))
    slot = np.arange(len(customer)) - starts[customer]
    size = customers, int(slot.max(initial=-1)) + 1
    made = Holdings(
        offer=np.full(size, -1), received=np.full(size, NEVER),
        expires=np.full(size, -NEVER), viewed=np.full(size, NEVER),
    )  # fmt: skip
    made.offer[customer, slot] = offer
    made.received[customer, slot] = _step(hour, wave)
    made.expires[customer, slot] = _step(hour + offers.hours[offer].astype(np.int64), wave)
    _mark_viewed(made, known.of_kind(VIEWED), wave)
    return made


def _mark_viewed(made: Holdings, views: Journal, wave: int) -> None:
    """A view belongs to the oldest open offer of its name that was not viewed before."""
    step = _step(views.hour, wave)
    rows = zip(views.customer.tolist(), views.offer.tolist(), step.tolist(), strict=True)
    for customer, offer, at in rows:
        fits = (made.offer[customer] == offer) & (made.viewed[customer] == NEVER)
        fits &= (made.received[customer] <= at) & (at <= made.expires[customer])
        if fits.any():
            made.viewed[customer, int(fits.argmax())] = at


def _step(hour: Integers, wave: int) -> Integers:
    return (hour - wave) // STEP_HOURS


def _beside(slots: Integers, column: Integers) -> Integers:
    return np.concatenate([slots, column[:, None]], axis=1)
