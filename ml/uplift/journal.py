"""What the response to offers is learned from: customers, offers, and what happened by the hour."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml.events import Floats, Integers

RECEIVED, VIEWED, COMPLETED, BOUGHT = 0, 1, 2, 3
KINDS = {
    "offer received": RECEIVED,
    "offer viewed": VIEWED,
    "offer completed": COMPLETED,
    "transaction": BOUGHT,
}
TYPES = ("bogo", "discount", "informational")
CHANNELS = ("web", "email", "mobile", "social")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """Everything that can be offered. ``hours`` is how long an offer stays open.

    Shapes: K offers; ``channels`` (K, 4), 0 or 1.
    """

    ids: tuple[str, ...]
    type: Integers  # a place in TYPES
    reward: Floats
    difficulty: Floats
    hours: Floats
    channels: Floats

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def names(self) -> tuple[str, ...]:
        """What people call the offers: the terms, since ids say nothing."""
        return tuple(self._name(n) for n in range(len(self)))

    def _name(self, n: int) -> str:
        days = f"{self.hours[n] / 24:g} d"
        kind = TYPES[self.type[n]]
        terms = f" {self.reward[n]:g} for {self.difficulty[n]:g}" if self.difficulty[n] else ""
        return f"{kind}{terms}, {days}, {self.ids[n][:4]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Customers:
    """Who the customers are; nan is what they did not tell. All columns (N,)."""

    ids: tuple[str, ...]
    age: Floats
    income: Floats
    female: Floats
    male: Floats
    member_days: Floats  # from a fixed day to the day on which they joined

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, kw_only=True)
class Journal:
    """Events by hour, then customer. ``offer`` is -1 and ``amount`` 0 where there is none.

    Shapes: M events.
    """

    customer: Integers
    hour: Integers
    kind: Integers
    offer: Integers
    amount: Floats

    @staticmethod
    def of(
        *, customer: Integers, hour: Integers, kind: Integers, offer: Integers, amount: Floats
    ) -> Journal:
        """Return the events in order, whatever order they came in."""
        order = np.lexsort((amount, offer, kind, customer, hour))
        given = Journal(customer=customer, hour=hour, kind=kind, offer=offer, amount=amount)
        return given.where(order)

    def __len__(self) -> int:
        return len(self.hour)

    def where(self, chosen: NDArray[np.bool_] | Integers) -> Journal:
        """Return some of the events, by a mask or an index."""
        return Journal(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    def before(self, hour: int) -> Journal:
        """Return what is known at the beginning of an hour."""
        return self.where(self.hour < hour)

    def of_kind(self, kind: int) -> Journal:
        """Return the events of one kind."""
        return self.where(self.kind == kind)

    @property
    def end(self) -> int:
        """The hour after the last event."""
        return int(self.hour.max(initial=-1)) + 1

    @cached_property
    def waves(self) -> tuple[int, ...]:
        """The hours at which offers were made."""
        return tuple(np.unique(self.of_kind(RECEIVED).hour).tolist())

    def offered_at(self, wave: int, customers: int) -> Integers:
        """Return the offer that each customer (N,) got at ``wave``; -1 for none."""
        made = self.where((self.kind == RECEIVED) & (self.hour == wave))
        found = np.full(customers, -1, dtype=np.int64)
        found[made.customer] = made.offer
        return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What customers (N,) did in a window."""

    spend: Floats
    purchases: Floats

    @property
    def bought(self) -> Floats:
        """1 for who bought at all."""
        return (self.purchases > 0).astype(np.float64)


def outcome_between(journal: Journal, customers: int, start: int, end: int) -> Outcome:
    """Return what each customer did from hour ``start`` to before hour ``end``."""
    inside = (journal.kind == BOUGHT) & (journal.hour >= start) & (journal.hour < end)
    bought = journal.where(inside)
    return Outcome(
        spend=np.bincount(bought.customer, bought.amount, customers).astype(np.float64),
        purchases=np.bincount(bought.customer, minlength=customers).astype(np.float64),
    )
