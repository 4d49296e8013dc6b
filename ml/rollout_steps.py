"""One step of a rollout: a line of every row, and where each row goes from there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ml.events import EventKind
from ml.noise import uniforms
from ml.rhythm.draws import Hazards, levels
from ml.rhythm.law import Own
from ml.rhythm.model import Rhythm
from ml.rollout_draws import draw_items
from ml.rollout_plan import RolloutPlan
from ml.rollout_rows import ITEM, LINE_SLOTS, TIME, TOTAL, Customers, Rows
from ml.rollout_tallies import Tallies
from ml.timing import DAY_MS
from ml.twin import TwinModel

LEAST_SHARE = 0.25  # of its planned value that a line costs where the others took too much
LARGEST_LOG_TOTAL = 16.0  # about 9 million; keeps sums of cents inside 64 bits
NEXT_ROWS = {"cpu": 32, "cuda": 4_096}  # rows that ask for their next order at once, padded


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
    before the start.
    """
    device = customers.key.device
    each = len(arms.paid_share) * plan.replicates
    count = len(customers.key) * each
    touched = (at_once - 1) // each + 2  # customers of one block, at most
    for start in range(0, count, at_once):
        number = torch.arange(start, start + at_once, device=device).clamp(max=count - 1)
        customer, cell = number // each, number % each
        replicate, arm = cell // len(arms.paid_share), cell % len(arms.paid_share)
        first = start // each
        block = torch.arange(first, first + touched, device=device)
        hazards = _hazards(customers, block.clamp(max=len(customers.key) - 1), calendar)
        times = hazards.rows(customer - first, calendar.level[replicate])
        u = uniforms(plan.seed, customers.key[customer], replicate, 0, TIME)
        began = torch.full_like(number, plan.start_ms)
        window = (arms.opens_ms[arm], arms.closes_ms[arm])
        due = times.draw(u, began, window, arms.hazard[arm, replicate], end_ms=plan.end_ms)
        kept = (due < plan.end_ms) & (torch.arange(at_once, device=device) < count - start)
        yield torch.stack([customer, replicate, arm, due], dim=1)[kept]


def advance_rows(
    model: TwinModel,
    rows: Rows,
    arms: Arms,
    plan: RolloutPlan,
    calendar: Calendar,
    tallies: Tallies,
) -> None:
    """Draw one line for every row, tally it, feed it back, and find out what comes next."""
    rows.plan_orders(calendar.rhythm, plan.seed)
    rows.open_orders(calendar.rhythm)
    step = rows.order * LINE_SLOTS + rows.line
    purposes = torch.tensor([[ITEM], [TOTAL]], device=step.device)
    u_item, u_total = uniforms(plan.seed, rows.key, rows.replicate, step, purposes)
    continues = rows.line > 0
    item = draw_items(model.item_logits(rows.h, continues), u_item)
    total = _line_total(model, rows, item, u_total)
    line = _priced_line(model, rows, item, total, arms)
    tallies.add(rows, item, line)
    rows.spend((total * 100).round().clamp(min=1).to(torch.int64))
    rows.h, rows.c = _fed_back(model, rows, item, line, continues)
    _move_on(rows, arms, plan, calendar)


def _line_total(model: TwinModel, rows: Rows, item: Tensor, u: Tensor) -> Tensor:
    """Return what a line of each row costs without any offer (float64).

    The model says how one line differs from another; together the lines of an order cost about
    what it was planned to.
    """
    mu, sigma = (part.double() for part in model.line_total(rows.h, item))
    expected = torch.exp((mu + sigma**2 / 2).clamp(max=LARGEST_LOG_TOTAL))
    rows.usual = rows.usual + expected
    log_total = mu + sigma * torch.special.ndtri(u)
    relative = torch.exp(log_total.clamp(max=LARGEST_LOG_TOTAL)) * (rows.line + 1) / rows.usual
    each = rows.value_left / (rows.planned - rows.line).clamp(min=1)
    total = relative * torch.maximum(each, LEAST_SHARE * rows.line_value)
    total = total.clamp(max=math.exp(LARGEST_LOG_TOTAL))
    rows.value_left = rows.value_left - total
    return total


def _priced_line(
    model: TwinModel, rows: Rows, item: Tensor, total: Tensor, arms: Arms
) -> dict[str, Tensor]:
    """Return the measures of one line of each row, in whole cents and units."""
    opens, closes = arms.opens_ms[rows.arm], arms.closes_ms[rows.arm]
    offered = (opens <= rows.order_ms) & (rows.order_ms < closes)
    more = torch.where(offered, arms.quantity[rows.arm, rows.replicate], 1.0)
    paid_share = torch.where(offered, arms.paid_share[rows.arm], 1.0)
    full = total * more * 100
    revenue = (full * paid_share).round().clamp(min=1).to(torch.int64)
    units = (total * more / model.item_price[item].double()).round().clamp(min=1)
    first = rows.line == 0
    discount = full.round().clamp(min=1).to(torch.int64) - revenue
    goods = (full * arms.cost_share[item]).round().to(torch.int64)
    funded = (discount * arms.funded_share).round().to(torch.int64)
    return {
        "buyers": (first & (rows.order == 0)).to(torch.int64),
        "orders": first.to(torch.int64),
        "lines": torch.ones_like(rows.line),
        "units": units.to(torch.int64),
        "revenue_cents": revenue,
        "discount_cents": discount,
        "margin_cents": revenue - goods + funded,
    }


def _fed_back(
    model: TwinModel, rows: Rows, item: Tensor, line: dict[str, Tensor], continues: Tensor
) -> tuple[Tensor, Tensor]:
    gap = (rows.order_ms - rows.last_ms).double() / DAY_MS
    encoded = model.encode_step(
        item=item,
        kind=torch.full_like(item, int(EventKind.PURCHASED)),
        country=rows.country,
        gap_days=torch.where(continues | rows.is_new, 0.0, gap),
        total=line["revenue_cents"].double() / 100,
        quantity=line["units"].double(),
        same_order=continues,
        occurred_at_ms=rows.order_ms,
        offer_depth=torch.zeros_like(gap),
        orders=rows.orders,
        mean_gap_days=rows.gaps_sum_ms.double() / rows.gaps_n.clamp(min=1) / DAY_MS,
    )
    h, c = model.core(encoded, rows.h, rows.c)
    return h, c


def _move_on(rows: Rows, arms: Arms, plan: RolloutPlan, calendar: Calendar) -> None:
    """Go to the next line of the order, or to the next order, or out of the horizon."""
    more = rows.line + 1 < rows.planned
    due = torch.full_like(rows.order_ms, plan.end_ms)
    done = (rows.active & ~more).nonzero().squeeze(1)
    for some in torch.split(done, NEXT_ROWS.get(done.device.type, NEXT_ROWS["cpu"])):
        due[some] = _next_orders(rows, some, arms, plan, calendar)
    rows.last_ms = rows.order_ms
    rows.active = rows.active & (more | (due < plan.end_ms))
    rows.order_ms = torch.where(more | ~rows.active, rows.order_ms, due)
    rows.order = torch.where(more, rows.order, rows.order + 1)
    rows.line = torch.where(more, rows.line + 1, 0)
    rows.is_new = torch.zeros_like(rows.is_new)


def _next_orders(
    rows: Rows, some: Tensor, arms: Arms, plan: RolloutPlan, calendar: Calendar
) -> Tensor:
    """Return when the next orders of some rows come (ms), the end of the horizon where not before.

    Computed in a padded block: a row's numbers do not depend on how many others are asked.
    """
    size = NEXT_ROWS.get(some.device.type, NEXT_ROWS["cpu"])
    index = torch.nn.functional.pad(some, (0, size - len(some)))
    arm, replicate = rows.arm[index], rows.replicate[index]
    every = torch.arange(size, device=some.device)
    times = _hazards(rows, index, calendar).rows(every, calendar.level[replicate])
    step = (rows.order[index] + 1) * LINE_SLOTS
    u = uniforms(plan.seed, rows.key[index], replicate, step, TIME)
    window = (arms.opens_ms[arm], arms.closes_ms[arm])
    due = times.draw(
        u, rows.order_ms[index], window, arms.hazard[arm, replicate], end_ms=plan.end_ms
    )
    return due[: len(some)]
