"""One step of a rollout: a line of every row, fed back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ml.events import EventKind
from ml.noise import uniforms
from ml.rollout_draws import draw_items
from ml.rollout_orders import Arms, Orders
from ml.rollout_rows import ITEM, LINE_SLOTS, TOTAL, Rows
from ml.rollout_tallies import Tallies
from ml.timing import DAY_MS
from ml.twin import TwinModel

ITEM_ROWS = {"cpu": 64, "cuda": 16_384}  # rows whose scores of all items are held at once
LEAST_SHARE = 0.25  # of its planned value that a line costs where the others took too much
LARGEST_LOG_TOTAL = 16.0  # about 9 million; keeps sums of cents inside 64 bits


@dataclass(slots=True)
class Tile:
    """A fixed number of places for rows (T,), some of them idle: every step has one shape."""

    rows: Rows
    active: Tensor

    @staticmethod
    def idle(count: int, hidden: int, carried: int, device: torch.device) -> Tile:
        """Return a tile in which all places are free."""
        active = torch.zeros(count, dtype=torch.bool, device=device)
        return Tile(Rows.idle(count, hidden, carried, device), active)

    def fill(self, orders: Orders) -> bool:
        """Free places are given to rows that have an order; False where none is left at all."""
        free = (~self.active).nonzero().squeeze(1)
        for rows in orders.take(len(free)):
            place, free = free[: len(rows)], free[len(rows) :]
            self.rows.put(place, rows)
            self.active[place] = True
        return len(free) < len(self.active)

    def step(self, model: TwinModel, arms: Arms, seed: int, tallies: Tallies) -> Rows | None:
        """Draw one line for every row, tally it and feed it back; return rows at an order's end."""
        draw_lines(model, self.rows, self.active, arms, seed, tallies)
        more = self.rows.line < self.rows.planned
        ended = (self.active & ~more).nonzero().squeeze(1)
        self.active = self.active & more
        return self.rows[ended] if len(ended) else None


def draw_lines(
    model: TwinModel, rows: Rows, active: Tensor, arms: Arms, seed: int, tallies: Tallies
) -> None:
    """Draw one line for every row, tally those of the active ones, and feed all of them back."""
    step = rows.order * LINE_SLOTS + rows.line
    purposes = torch.tensor([[ITEM], [TOTAL]], device=step.device)
    u_item, u_total = uniforms(seed, rows.key, rows.replicate, step, purposes)
    continues = rows.line > 0
    item = _drawn_items(model, rows.h, continues, u_item)
    total = _line_total(model, rows, item, u_total)
    line = _priced_line(model, rows, item, total, arms)
    tallies.add(rows, active, item, line)
    rows.spend((total * 100).round().clamp(min=1).to(torch.int64))
    rows.h, rows.c = _fed_back(model, rows, item, line, continues)
    rows.last_ms = rows.order_ms.clone()  # ``put`` writes into both
    rows.line = rows.line + 1


def _drawn_items(model: TwinModel, h: Tensor, continues: Tensor, u: Tensor) -> Tensor:
    """Return the item of each row; a few rows at a time, whose scores stay in the cache."""
    size = ITEM_ROWS.get(h.device.type, ITEM_ROWS["cpu"])
    parts = zip(*(torch.split(column, size) for column in (h, continues, u)), strict=True)
    return torch.cat([draw_items(model.item_logits(some, more), own) for some, more, own in parts])


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
