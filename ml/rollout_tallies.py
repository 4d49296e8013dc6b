"""Running sums of a rollout on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ml.rollout_plan import BY_DAY, MEASURES, Accounts, RolloutOutcome, RolloutPlan
from ml.timing import DAY_MS

if TYPE_CHECKING:
    from ml.rollout_rows import Rows

DAILY = ("revenue_cents", "margin_cents")  # the measures of ``BY_DAY``


@dataclass(slots=True)
class Tallies:
    """Running integer sums; flat over (arm, replicate)."""

    plan: RolloutPlan
    segment: Tensor  # of each customer, (B,)
    segments: int
    sums: Tensor  # (measures, S * A * R)
    by_day: Tensor  # (``BY_DAY``, A * R * D)
    by_customer: Tensor  # (A * B,)
    orders: Tensor  # of the control, (R * B,)
    items: Tensor  # lines of the control, (V,)

    @staticmethod
    def zero(plan: RolloutPlan, accounts: Accounts, items: int, device: torch.device) -> Tallies:
        """Return tallies of nothing."""
        cells, customers = len(plan.arms) * plan.replicates, len(accounts.segment)
        sizes = (
            (len(MEASURES), accounts.segments * cells), (len(BY_DAY), cells * plan.horizon_days),
            (len(plan.arms) * customers,), (plan.replicates * customers,), (items,),
        )  # fmt: skip
        zeros = [torch.zeros(size, dtype=torch.int64, device=device) for size in sizes]
        segment = torch.from_numpy(accounts.segment).to(device)
        return Tallies(plan, segment, accounts.segments, *zeros)

    def add(self, rows: Rows, item: Tensor, measures: dict[str, Tensor]) -> None:
        """Add one line of every active row."""
        counted = rows.active.to(torch.int64)
        cells = len(self.plan.arms) * self.plan.replicates
        cell = rows.arm * self.plan.replicates + rows.replicate
        columns = torch.stack([measures[name] * counted for name in MEASURES])
        self.sums.index_add_(1, self.segment[rows.customer] * cells + cell, columns)
        # Idle rows keep their last time, which lies inside the horizon or is the start.
        day = torch.div(rows.order_ms - self.plan.start_ms, DAY_MS, rounding_mode="floor")
        day = day.clamp(0, self.plan.horizon_days - 1)
        daily = torch.stack([measures[name] * counted for name in DAILY])
        self.by_day.index_add_(1, cell * self.plan.horizon_days + day, daily)
        customers = len(self.segment)
        self.by_customer.index_add_(0, rows.arm * customers + rows.customer, daily[0])
        control = counted * (rows.arm == 0)
        place = rows.replicate * customers + rows.customer
        self.orders.index_add_(0, place, control * measures["orders"])
        self.items.index_add_(0, item, control)

    def outcome(self) -> RolloutOutcome:
        """Return the sums as arrays."""
        arms, replicates = len(self.plan.arms), self.plan.replicates
        shape = (len(MEASURES), self.segments, arms, replicates)
        parts = self.sums.cpu().numpy().reshape(shape).swapaxes(0, 1)
        days = self.by_day.cpu().numpy().reshape(len(BY_DAY), arms, replicates, -1)
        return RolloutOutcome(
            **dict(zip(MEASURES, parts.sum(axis=0), strict=True)),
            **dict(zip(BY_DAY, days, strict=True)),
            by_segment=parts,
            customer_revenue_cents=self.by_customer.cpu().numpy().reshape(arms, -1),
            customer_orders=self.orders.cpu().numpy().reshape(replicates, -1),
            item_lines=self.items.cpu().numpy(),
        )
