"""The rows of a rollout on the device, and the customers that they begin as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ml.events import Integers
from ml.noise import uniforms
from ml.rhythm.model import Rhythm
from ml.states import TwinStates
from ml.timing import DAY_MS
from ml.twin import TwinModel

MOST_LINES = 200  # of one order; the order ends there
LINE_SLOTS = 256  # steps set aside for the lines of one order
TIME, ITEM, TOTAL, LINES, VALUE = 1, 2, 3, 4, 5  # purposes of the random numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Customers:
    """The twins at the start. Shapes: (B, H), (B, S) or (B,).

    The columns from ``purchase_days`` on are those of ``rhythm.statistics.Purchases``; a customer
    who has bought nothing waits since ``last_day``.
    """

    h: Tensor
    c: Tensor
    key: Tensor
    country: Tensor
    last_ms: Tensor  # the last event; the start where there was none
    is_new: Tensor  # there was none
    orders: Tensor
    lines: Tensor
    last_order_ms: Tensor
    gaps_n: Tensor
    gaps_sum_ms: Tensor
    purchase_days: Tensor
    first_day: Tensor
    last_day: Tensor
    gap_days: Tensor
    gap_before_days: Tensor
    spend_cents: Tensor
    last_day_cents: Tensor
    last_day_share: Tensor  # float64, see ``rhythm.law.Own``

    @staticmethod
    def of(
        model: TwinModel, states: TwinStates, keys: Integers, country: Integers, start_ms: int
    ) -> Customers:
        """Return the customers on the model's device."""
        device = model.device

        def on_device(array: Integers) -> Tensor:
            return torch.tensor(array, dtype=torch.int64, device=device)

        columns = {name: on_device(getattr(states, name)) for name in REMEMBERED}
        clock = on_device(states.clock_ms)
        last_ms = torch.where(clock == 0, start_ms, clock)
        bought = columns["purchase_days"] > 0
        began = torch.div(last_ms, DAY_MS, rounding_mode="floor") - 1
        on_it = bought & (_day(columns["last_order_ms"]) == columns["last_day"])
        over = model.rhythm.law.day_share(torch, columns["last_order_ms"] % DAY_MS)
        return Customers(
            h=torch.tensor(states.h, device=device),
            c=torch.tensor(states.c, device=device),
            key=on_device(keys),
            country=on_device(country),
            last_ms=last_ms,
            is_new=clock == 0,
            last_day_share=torch.where(on_it, over, 0.0),
            **{**columns, "last_day": torch.where(bought, columns["last_day"], began)},
        )


REMEMBERED = (
    "orders", "lines", "last_order_ms", "gaps_n", "gaps_sum_ms", "purchase_days", "first_day",
    "last_day", "gap_days", "gap_before_days", "spend_cents", "last_day_cents",
)  # fmt: skip
CARRIED = tuple(f.name for f in fields(Customers))


@dataclass(slots=True)
class Rows:
    """Rows with an order. Shapes: T rows, H hidden, S carried; (T, H), (T, S) or (T,)."""

    h: Tensor
    c: Tensor
    customer: Tensor
    replicate: Tensor
    arm: Tensor
    key: Tensor
    country: Tensor
    last_ms: Tensor  # the event before the next line
    order_ms: Tensor  # when the present order was placed
    order: Tensor  # from 0 at the start of the rollout
    line: Tensor  # of the present order, from 0
    is_new: Tensor  # nothing has ever happened before the next line
    planned: Tensor  # lines of the present order
    line_value: Tensor  # what one of them is to cost on average, float64
    value_left: Tensor  # of what they all are to cost, float64
    usual: Tensor  # sum of what the model expected of its lines so far, float64
    orders: Tensor  # opened ever, the present one among them
    lines: Tensor  # ever
    last_order_ms: Tensor  # when the last one was opened
    gaps_n: Tensor
    gaps_sum_ms: Tensor
    purchase_days: Tensor
    first_day: Tensor
    last_day: Tensor
    gap_days: Tensor
    gap_before_days: Tensor
    spend_cents: Tensor
    last_day_cents: Tensor
    last_day_share: Tensor

    def __len__(self) -> int:
        return len(self.customer)

    @staticmethod
    def idle(count: int, hidden: int, carried: int, device: torch.device) -> Rows:
        """Return rows of nobody."""
        widths = {"h": (hidden,), "c": (carried,)}
        real = ("last_day_share", "line_value", "value_left", "usual")
        kinds = {"is_new": torch.bool} | dict.fromkeys(real, torch.float64)
        columns = {}
        for name in COLUMNS:
            width = widths.get(name, ())
            kind = torch.float32 if width else kinds.get(name, torch.int64)
            columns[name] = torch.zeros((count, *width), dtype=kind, device=device)
        return Rows(**columns)

    @staticmethod
    def beginning(customers: Customers, first: Tensor) -> Rows:
        """Return rows whose first orders (T, 4) come: customer, replicate, arm and time."""
        customer, replicate, arm, order_ms = first.unbind(1)
        rows = Rows.idle(len(first), customers.h.shape[1], customers.c.shape[1], first.device)
        for name in CARRIED:
            setattr(rows, name, getattr(customers, name)[customer])
        rows.customer, rows.replicate, rows.arm, rows.order_ms = customer, replicate, arm, order_ms
        return rows

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        """Return all the rows of the parts."""
        if len(parts) == 1:
            return parts[0]
        columns = ([getattr(part, name) for part in parts] for name in COLUMNS)
        return Rows(*map(torch.cat, columns))

    def __getitem__(self, index: Tensor | slice) -> Rows:
        """Return copies of some rows; of a slice, views."""
        return Rows(*(getattr(self, name)[index] for name in COLUMNS))

    def put(self, place: Tensor, others: Rows) -> None:
        """Let other rows take these places."""
        for name in COLUMNS:
            getattr(self, name)[place] = getattr(others, name)

    def plan_orders(self, rhythm: Rhythm, seed: int) -> None:
        """Decide on lines and value of the order, before it is counted.

        Both are shrunk to the customer's own history, of which the orders drawn are part.
        """
        purposes = torch.tensor([[LINES], [VALUE]], device=self.key.device)
        step = self.order * LINE_SLOTS
        luck = torch.special.ndtri(uniforms(seed, self.key, self.replicate, step, purposes))
        sizes, counts = rhythm.sizes, rhythm.counts
        usual_lines = sizes.expected_lines(torch, self.lines, self.orders)
        log_lines = torch.log(usual_lines) + sizes.lines_spread * luck[0]
        lines = torch.exp(log_lines - sizes.lines_spread**2 / 2).round().clamp(1, MOST_LINES)
        days, spend = self.purchase_days.double(), self.spend_cents.double() / 100
        log_value = torch.log(counts.order_value(days, spend)) + sizes.value_spread * luck[1]
        value = torch.exp(log_value - sizes.value_spread**2 / 2)
        self.planned = lines.to(torch.int64)
        self.line_value, self.value_left = value / lines, value
        self.line, self.usual = torch.zeros_like(self.line), torch.zeros_like(self.usual)

    def open_orders(self, rhythm: Rhythm) -> None:
        """Count the order that was placed at ``order_ms``, and its day."""
        again = self.orders > 0
        self.gaps_n = self.gaps_n + again
        waited = torch.where(again, self.order_ms - self.last_order_ms, 0)
        self.gaps_sum_ms = self.gaps_sum_ms + waited
        self.last_order_ms = self.order_ms
        self.orders = self.orders + 1
        day, known = _day(self.order_ms), self.purchase_days > 0
        fresh = ~(known & (day == self.last_day))
        gap = torch.where(known, day - self.last_day, 0)
        self.gap_before_days = torch.where(fresh, self.gap_days, self.gap_before_days)
        self.gap_days = torch.where(fresh, gap, self.gap_days)
        self.first_day = torch.where(known, self.first_day, day)
        self.last_day = day
        self.last_day_cents = torch.where(fresh, 0, self.last_day_cents)
        self.purchase_days = self.purchase_days + fresh
        self.last_day_share = rhythm.law.day_share(torch, self.order_ms % DAY_MS)

    def spend(self, cents: Tensor) -> None:
        """Count a line and what it would cost without any offer."""
        self.lines = self.lines + 1
        self.spend_cents = self.spend_cents + cents
        self.last_day_cents = self.last_day_cents + cents


COLUMNS = tuple(f.name for f in fields(Rows))


def _day(at_ms: Tensor) -> Tensor:
    return torch.div(at_ms, DAY_MS, rounding_mode="floor")
