"""The rows of a rollout on the device: a tile of fixed size in which rows come and go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ml.events import EventKind, Integers
from ml.noise import uniforms
from ml.rollout_draws import days_to_order, draw_items
from ml.rollout_plan import MEASURES, RolloutOutcome, RolloutPlan
from ml.states import TwinStates
from ml.survival import TimeTensors
from ml.timing import DAY_MS
from ml.twin import TwinModel

MOST_LINES = 200  # of one order; the order ends there
LINE_SLOTS = 256  # steps set aside for the lines of one order
TIME, ITEM, TOTAL, SAME_ORDER = 1, 2, 3, 4  # purposes of the random numbers
LARGEST_LOG_TOTAL = 16.0  # about 9 million; keeps sums of cents inside 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """What the offer of each arm does. Shapes: A arms, R replicates; (A, R) or (A,)."""

    hazard: Tensor
    quantity: Tensor
    paid_share: Tensor
    opens_ms: Tensor
    closes_ms: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Customers:
    """The twins at the start, and their time to the next order. Shapes: (B, H) or (B,)."""

    h: Tensor
    c: Tensor
    key: Tensor
    country: Tensor
    last_ms: Tensor  # the last event; the start where there was none
    is_new: Tensor  # there was none
    orders: Tensor
    last_order_ms: Tensor
    gaps_n: Tensor
    gaps_sum_ms: Tensor
    time: TimeTensors

    @staticmethod
    def of(
        model: TwinModel,
        states: TwinStates,
        keys: Integers,
        country: Integers,
        start_ms: int,
        tile: int,
    ) -> Customers:
        """Return the customers on the model's device; heads are computed in padded tiles."""
        device = model.device

        def on_device(array: Integers) -> Tensor:
            return torch.tensor(array, dtype=torch.int64, device=device)

        h = torch.tensor(states.h, device=device)
        clock = on_device(states.clock_ms)
        padded = torch.nn.functional.pad(h, (0, 0, 0, -len(h) % tile))
        times = [_times(model, part) for part in torch.split(padded, tile)]
        columns = [
            torch.cat([getattr(time, name) for time in times])[: len(h)]
            for name in ("scale_days", "shape", "never_share")
        ]
        return Customers(
            h=h,
            c=torch.tensor(states.c, device=device),
            key=on_device(keys),
            country=on_device(country),
            last_ms=torch.where(clock == 0, start_ms, clock),
            is_new=clock == 0,
            orders=on_device(states.orders),
            last_order_ms=on_device(states.last_order_ms),
            gaps_n=on_device(states.gaps_n),
            gaps_sum_ms=on_device(states.gaps_sum_ms),
            time=TimeTensors(*columns),
        )


def _times(model: TwinModel, h: Tensor) -> TimeTensors:
    return _doubled(model.output(h).time)


def _doubled(time: TimeTensors) -> TimeTensors:
    """Return the parameters in float64: hazards are differences of nearly equal numbers."""
    return TimeTensors(time.scale_days.double(), time.shape.double(), time.never_share.double())


@dataclass(slots=True)
class Tallies:
    """Running integer sums on the device; flat over (arm, replicate)."""

    plan: RolloutPlan
    sums: Tensor  # (measures, A * R)
    by_day: Tensor  # (A * R * D,)
    by_customer: Tensor  # (A * B,)

    @staticmethod
    def zero(plan: RolloutPlan, customers: int, device: torch.device) -> Tallies:
        """Return tallies of nothing."""
        cells = len(plan.arms) * plan.replicates
        sizes = (
            (len(MEASURES), cells),
            (cells * plan.horizon_days,),
            (len(plan.arms) * customers,),
        )
        zeros = [torch.zeros(size, dtype=torch.int64, device=device) for size in sizes]
        return Tallies(plan, *zeros)

    def add(self, rows: Rows, measures: dict[str, Tensor]) -> None:
        """Add one line of every active row."""
        counted = rows.active.to(torch.int64)
        cell = rows.arm * self.plan.replicates + rows.replicate
        columns = torch.stack([measures[name] * counted for name in MEASURES])
        self.sums.index_add_(1, cell, columns)
        revenue = measures["revenue_cents"] * counted
        # Idle rows keep their last time, which lies inside the horizon or is the start.
        day = torch.div(rows.order_ms - self.plan.start_ms, DAY_MS, rounding_mode="floor")
        day = day.clamp(0, self.plan.horizon_days - 1)
        self.by_day.index_add_(0, cell * self.plan.horizon_days + day, revenue)
        customers = len(self.by_customer) // len(self.plan.arms)
        self.by_customer.index_add_(0, rows.arm * customers + rows.customer, revenue)

    def outcome(self) -> RolloutOutcome:
        """Return the sums as arrays."""
        arms, replicates = len(self.plan.arms), self.plan.replicates
        sums = self.sums.cpu().numpy().reshape(len(MEASURES), arms, replicates)
        return RolloutOutcome(
            **dict(zip(MEASURES, sums, strict=True)),
            by_day=self.by_day.cpu().numpy().reshape(arms, replicates, -1),
            customer_revenue_cents=self.by_customer.cpu().numpy().reshape(arms, -1),
        )


@dataclass(slots=True)
class Rows:
    """A tile of rows. Shapes: T rows, H hidden; (T, H) or (T,)."""

    h: Tensor
    c: Tensor
    active: Tensor
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
    orders: Tensor  # opened ever, the present one from its first line on
    last_order_ms: Tensor  # when the last one was opened
    gaps_n: Tensor
    gaps_sum_ms: Tensor

    @staticmethod
    def idle(tile: int, hidden: int, device: torch.device) -> Rows:
        """Return a tile without rows."""
        columns = {}
        for field in fields(Rows):
            width = (hidden,) if field.name in ("h", "c") else ()
            flag = torch.bool if field.name in ("active", "is_new") else torch.int64
            kind = torch.float32 if width else flag
            columns[field.name] = torch.zeros((tile, *width), dtype=kind, device=device)
        return Rows(**columns)

    def admit(self, arrivals: Tensor, customers: Customers) -> None:
        """Put rows (customer, replicate, arm, time of the first order) into free places."""
        if not len(arrivals):
            return
        place = (~self.active).nonzero().squeeze(1)[: len(arrivals)]
        customer, replicate, arm, order_ms = arrivals.unbind(1)
        for name in CARRIED:
            getattr(self, name)[place] = getattr(customers, name)[customer]
        self.customer[place], self.replicate[place], self.arm[place] = customer, replicate, arm
        self.order_ms[place] = order_ms
        self.order[place], self.line[place] = 0, 0
        self.active[place] = True

    def open_orders(self) -> None:
        """Count the present order wherever this is its first line."""
        opened = self.line == 0
        again = opened & (self.orders > 0)
        self.gaps_n += again
        self.gaps_sum_ms += torch.where(again, self.order_ms - self.last_order_ms, 0)
        self.last_order_ms = torch.where(opened, self.order_ms, self.last_order_ms)
        self.orders += opened


CARRIED = tuple(f.name for f in fields(Customers) if f.name != "time")


def first_orders(
    customers: Customers, arms: Arms, plan: RolloutPlan, at_once: int
) -> Iterator[Tensor]:
    """Yield the rows that order within the horizon: (customer, replicate, arm, time in ms).

    No order has come between the twin's last event and the start; nothing continues an order from
    before the start.
    """
    device = customers.key.device
    each = len(arms.paid_share) * plan.replicates
    count = len(customers.key) * each
    for start in range(0, count, at_once):
        number = torch.arange(start, start + at_once, device=device).clamp(max=count - 1)
        customer, cell = number // each, number % each
        replicate, arm = cell // len(arms.paid_share), cell % len(arms.paid_share)
        last_ms = customers.last_ms[customer]
        u = uniforms(plan.seed, customers.key[customer], replicate, 0, TIME)
        time = TimeTensors(
            customers.time.scale_days[customer],
            customers.time.shape[customer],
            customers.time.never_share[customer],
        )
        elapsed = (plan.start_ms - last_ms).double() / DAY_MS
        due = _next_order_ms(time, u, last_ms, elapsed, arms, arm, replicate, plan)
        due = due.clamp(min=plan.start_ms)  # rounding must not put it before the start
        kept = (due < plan.end_ms) & (torch.arange(at_once, device=device) < count - start)
        yield torch.stack([customer, replicate, arm, due], dim=1)[kept]


def _next_order_ms(
    time: TimeTensors,
    u: Tensor,
    last_ms: Tensor,
    elapsed_days: Tensor,
    arms: Arms,
    arm: Tensor,
    replicate: Tensor,
    plan: RolloutPlan,
) -> Tensor:
    """Return when the next order comes; the end of the horizon where it comes later or never."""
    window = [(ms[arm] - last_ms).double() / DAY_MS for ms in (arms.opens_ms, arms.closes_ms)]
    multiplier = arms.hazard[arm, replicate]
    days = days_to_order(time, u, elapsed_days, (window[0], window[1]), multiplier)
    left = (plan.end_ms - last_ms).double() / DAY_MS
    within = days < left
    ms = (torch.where(within, days, 0.0) * DAY_MS).floor().to(torch.int64)
    return torch.where(within, last_ms + ms, plan.end_ms)


def advance_rows(
    model: TwinModel,
    rows: Rows,
    arms: Arms,
    plan: RolloutPlan,
    tallies: Tallies,
) -> None:
    """Draw one line for every row, tally it, feed it back, and find out what comes next."""
    rows.open_orders()
    step = rows.order * LINE_SLOTS + rows.line
    purposes = torch.tensor([[ITEM], [TOTAL], [SAME_ORDER]], device=step.device)
    u_item, u_total, u_same = uniforms(plan.seed, rows.key, rows.replicate, step, purposes)
    continues = rows.line > 0
    item = draw_items(model.item_logits(rows.h, continues), u_item)
    line = _priced_line(model, rows, item, u_total, arms)
    tallies.add(rows, line)
    rows.h, rows.c = _fed_back(model, rows, item, line, continues)
    _move_on(model, rows, u_same, arms, plan)


def _priced_line(
    model: TwinModel, rows: Rows, item: Tensor, u: Tensor, arms: Arms
) -> dict[str, Tensor]:
    """Return the measures of one line of each row, in whole cents and units."""
    mu, sigma = model.line_total(rows.h, item)
    log_total = mu.double() + sigma.double() * torch.special.ndtri(u)
    total = torch.exp(log_total.clamp(max=LARGEST_LOG_TOTAL))
    opens, closes = arms.opens_ms[rows.arm], arms.closes_ms[rows.arm]
    offered = (opens <= rows.order_ms) & (rows.order_ms < closes)
    more = torch.where(offered, arms.quantity[rows.arm, rows.replicate], 1.0)
    paid_share = torch.where(offered, arms.paid_share[rows.arm], 1.0)
    full = total * more * 100
    revenue = (full * paid_share).round().clamp(min=1).to(torch.int64)
    units = (total * more / model.item_price[item].double()).round().clamp(min=1)
    first = rows.line == 0
    return {
        "buyers": (first & (rows.order == 0)).to(torch.int64),
        "orders": first.to(torch.int64),
        "lines": torch.ones_like(rows.line),
        "units": units.to(torch.int64),
        "revenue_cents": revenue,
        "discount_cents": full.round().clamp(min=1).to(torch.int64) - revenue,
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


def _move_on(model: TwinModel, rows: Rows, u_same: Tensor, arms: Arms, plan: RolloutPlan) -> None:
    """Go to the next line of the order, or to the next order, or out of the horizon."""
    heads = model.output(rows.h)
    more = u_same < torch.sigmoid(heads.same_order_logit.double())
    more = more & (rows.line + 1 < MOST_LINES)
    u = uniforms(plan.seed, rows.key, rows.replicate, (rows.order + 1) * LINE_SLOTS, TIME)
    none = torch.zeros_like(u)
    due = _next_order_ms(
        _doubled(heads.time), u, rows.order_ms, none, arms, rows.arm, rows.replicate, plan
    )
    rows.last_ms = rows.order_ms
    rows.active = rows.active & (more | (due < plan.end_ms))
    rows.order_ms = torch.where(more | ~rows.active, rows.order_ms, due)
    rows.order = torch.where(more, rows.order, rows.order + 1)
    rows.line = torch.where(more, rows.line + 1, 0)
    rows.is_new = torch.zeros_like(rows.is_new)
