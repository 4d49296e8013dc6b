"""Between the orders of a rollout: when the next one comes, in which arms, and what it is to hold.

A row whose order is complete waits here until enough of them are together: what comes next is
computed for a block at a time, because a block costs little more than a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ml.noise import uniforms
from ml.rhythm.draws import EIGHT, Hazards, levels
from ml.rhythm.law import Own
from ml.rhythm.model import Rhythm
from ml.rollout_plan import RolloutPlan
from ml.rollout_rows import LINE_SLOTS, TIME, Customers, Rows
from ml.timing import DAY_MS

# Fixed shapes, padded: a row's numbers do not depend on how many others are asked.
BLOCK = {"cpu": 128, "cuda": 4_096}
ARRIVALS = 8_192  # rows whose first order is drawn at once; most have none


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """What the offer of each arm does, and what its lines leave.

    Shapes: A arms, R replicates, V items; (A, R) or (A,), ``cost_share`` (V,).
    """

    hazard: Tensor
    quantity: Tensor
    paid_share: Tensor
    opens_ms: Tensor
    closes_ms: Tensor
    leaves_ms: Tensor
    cost_share: Tensor
    funded_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The days of the horizon, and the shop's level on each of them (R, D) by replicate."""

    rhythm: Rhythm
    first_day: int
    days: int
    level: Tensor

    @staticmethod
    def of(rhythm: Rhythm, plan: RolloutPlan, device: torch.device) -> Calendar:
        """Return the days that the plan's horizon touches."""
        first = plan.start_ms // DAY_MS
        days = plan.end_ms // DAY_MS - first + 1
        level = levels(rhythm.drift, plan.seed, plan.replicates, first, days, device)
        return Calendar(rhythm=rhythm, first_day=first, days=days, level=level)


class Orders:
    """The rows of a rollout that are not in the tile: yet to come, between orders, with an order.

    Rows between orders are followed before others begin, so that no more wait than those that the
    controls of one tile and one block can send.
    """

    def __init__(
        self, customers: Customers, arms: Arms, plan: RolloutPlan, calendar: Calendar
    ) -> None:
        self.customers, self.arms, self.plan, self.calendar = customers, arms, plan, calendar
        device = customers.key.device
        self.block = BLOCK.get(device.type, BLOCK["cpu"])
        self.first = _Ahead(first_orders(customers, arms, plan, calendar, ARRIVALS), device)
        self.ended: list[Rows] = []
        self.ready: list[Rows] = []

    def end(self, rows: Rows) -> None:
        """These rows have drawn the last line of their orders."""
        self.ended.append(rows)

    def take(self, most: int) -> list[Rows]:
        """Return rows with an order to draw, at most so many; none where all are done."""
        taken: list[Rows] = []
        while most and (self.ready or self._more()):
            if self.ready:
                last = self.ready.pop()
                if len(last) > most:
                    self.ready.append(last[most:])
                taken.append(last[:most])
                most -= len(taken[-1])
        return taken

    def _more(self) -> bool:
        """More rows got ready, or there are none any more: False."""
        waiting = sum(map(len, self.ended))
        if waiting < self.block and len(first := self.first.take(self.block)):
            self._begin(Rows.beginning(self.customers, _padded(first, self.block)), len(first))
        elif waiting:
            rows = Rows.joined(self.ended)
            self.ended = [rows[self.block :]] if waiting > self.block else []
            self._follow(rows[: self.block])
        else:
            return False
        return True

    def _begin(self, rows: Rows, count: int) -> None:
        """The orders of the first of these rows begin; the others only fill the block."""
        rows.plan_orders(self.calendar.rhythm, self.plan.seed)
        rows.open_orders(self.calendar.rhythm)
        self.ready.append(rows[:count])

    def _follow(self, rows: Rows) -> None:
        """Find out when the next orders of these rows come, and who leaves their controls."""
        due = self._due(rows, rows.arm)
        place, arm = _leaving(rows, due, self.arms)
        leaving = rows[place]
        leaving.arm = arm
        found = [(rows, due)]
        if len(place):
            found.append((leaving, self._due(leaving, arm)))
        for some, at in found:
            self._next(some, at)

    def _next(self, rows: Rows, due: Tensor) -> None:
        """The orders that are due inside the horizon begin."""
        rows.last_ms, rows.order_ms = rows.order_ms, due
        rows.order, rows.is_new = rows.order + 1, torch.zeros_like(rows.is_new)
        inside = (due < self.plan.end_ms).nonzero().squeeze(1)
        for some in torch.split(inside, self.block) if len(inside) else ():
            self._begin(rows[_padded(some, self.block)], len(some))

    def _due(self, rows: Rows, arm: Tensor) -> Tensor:
        """Return when the next orders come (ms) with these arms' offers; the end where none."""
        every = torch.arange(self.block, device=arm.device)
        found = []
        for some in torch.split(torch.arange(len(rows), device=arm.device), self.block):
            place = _padded(some, self.block)
            offer, replicate = arm[place], rows.replicate[place]
            times = _hazards(rows, place, self.calendar)
            step = (rows.order[place] + 1) * LINE_SLOTS
            u = uniforms(self.plan.seed, rows.key[place], replicate, step, TIME)
            window = (self.arms.opens_ms[offer], self.arms.closes_ms[offer])
            due = times.rows(every, self.calendar.level[replicate]).draw(
                u, rows.order_ms[place], window, self.arms.hazard[offer, replicate],
                end_ms=self.plan.end_ms,
            )  # fmt: skip
            found.append(due[: len(some)])
        return torch.cat(found)


def _padded(index: Tensor, size: int) -> Tensor:
    """Return so many rows (size, ...), of which only the first count."""
    return torch.cat([index, index[:1].expand(size - len(index), *index.shape[1:])])


def _leaving(rows: Rows, due: Tensor, arms: Arms) -> tuple[Tensor, Tensor]:
    """Return the controls (F,) whose next order is no longer one of some arm (F,), and that arm.

    An offer that opens after an order has changed nothing until then, and nothing at all where the
    next order comes before the opening: that one is the arm's as well. So an arm leaves its control
    where the control's next order is due at the opening or later.
    """
    leaves = arms.leaves_ms[1:]
    before, after = rows.order_ms.unsqueeze(1), due.unsqueeze(1)
    control = (rows.arm == 0).unsqueeze(1)
    place, arm = (control & (before < leaves) & (leaves <= after)).nonzero(as_tuple=True)
    return place, arm + 1


def _hazards(columns: Customers | Rows, index: Tensor, calendar: Calendar) -> Hazards:
    """Return the hazards of some customers or rows on the days of the horizon."""
    law = calendar.rhythm.law
    own = law.own_of(
        torch,
        days=columns.purchase_days[index], first_day=columns.first_day[index],
        last_day=columns.last_day[index], last_day_share=columns.last_day_share[index],
        gap_days=columns.gap_days[index], gap_before_days=columns.gap_before_days[index],
        spend_cents=columns.spend_cents[index], last_day_cents=columns.last_day_cents[index],
    )  # fmt: skip
    return Hazards(law, Own(*own), calendar.first_day, calendar.days)


def first_orders(
    customers: Customers, arms: Arms, plan: RolloutPlan, calendar: Calendar, at_once: int
) -> Iterator[Tensor]:
    """Yield the rows that order within the horizon: (customer, replicate, arm, time in ms).

    No order has come between the twin's last event and the start; nothing continues an order from
    before the start. An arm whose offer is not open when its control's first order comes is not
    among them: it leaves the control later, see ``_leaving``.
    """
    device, width = customers.key.device, len(arms.paid_share)
    each = width * plan.replicates
    count = len(customers.key) * each
    block_rows = width * max(EIGHT, at_once // width // EIGHT * EIGHT)
    touched = (block_rows - 1) // each + 2  # customers of one block, at most
    for start in range(0, count, block_rows):
        number = torch.arange(start, start + block_rows, device=device).clamp(max=count - 1)
        customer, cell = number // each, number % each
        replicate, arm = cell // width, cell % width
        first = start // each
        block = torch.arange(first, first + touched, device=device)
        hazards = _hazards(customers, block.clamp(max=len(customers.key) - 1), calendar)
        times = hazards.rows(customer - first, calendar.level[replicate])
        u = uniforms(plan.seed, customers.key[customer], replicate, 0, TIME)
        began = torch.full_like(number, plan.start_ms)
        window = (arms.opens_ms[arm], arms.closes_ms[arm])
        due = times.draw(u, began, window, arms.hazard[arm, replicate], end_ms=plan.end_ms)
        of_control = due.view(-1, width)[:, :1].expand(-1, width).reshape(-1)
        apart = (arm == 0) | (arms.leaves_ms[arm] <= of_control)
        real = torch.arange(block_rows, device=device) < count - start
        kept = (due < plan.end_ms) & apart & real
        yield torch.stack([customer, replicate, arm, due], dim=1)[kept]


class _Ahead:
    """Rows whose first order is yet to come: customer, replicate, arm and its time in ms."""

    def __init__(self, blocks: Iterator[Tensor], device: torch.device) -> None:
        self.blocks = blocks
        self.rows = torch.empty((0, 4), dtype=torch.int64, device=device)

    def take(self, most: int) -> Tensor:
        """Return up to ``most`` rows; fewer at the end."""
        while len(self.rows) < most and (more := next(self.blocks, None)) is not None:
            self.rows = torch.cat([self.rows, more])
        taken, self.rows = self.rows[:most], self.rows[most:]
        return taken
