"""Running sums of a rollout on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ml.rollout_plan import MEASURES, RolloutOutcome, RolloutPlan
from ml.timing import DAY_MS

if TYPE_CHECKING:
    from ml.rollout_rows import Rows


@dataclass(slots=True)
class Tallies:
    """Running integer sums; flat over (arm, replicate)."""

    plan: RolloutPlan
    sums: Tensor  # (measures, A * R)
    by_day: Tensor  # (A * R * D,)
    by_customer: Tensor  # (A * B,)
    orders: Tensor  # of the control, (R * B,)
    items: Tensor  # lines of the control, (V,)

    @staticmethod
    def zero(plan: RolloutPlan, customers: int, items: int, device: torch.device) -> Tallies:
        """Return tallies of nothing."""
        cells = len(plan.arms) * plan.replicates
        sizes = (
            (len(MEASURES), cells), (cells * plan.horizon_days,), (len(plan.arms) * customers,),
            (plan.replicates * customers,), (items,),
        )  # fmt: skip
        zeros = [torch.zeros(size, dtype=torch.int64, device=device) for size in sizes]
        return Tallies(plan, *zeros)

    def add(self, rows: Rows, item: Tensor, measures: dict[str, Tensor]) -> None:
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
        control = counted * (rows.arm == 0)
        place = rows.replicate * customers + rows.customer
        self.orders.index_add_(0, place, control * measures["orders"])
        self.items.index_add_(0, item, control)

    def outcome(self) -> RolloutOutcome:
        """Return the sums as arrays."""
        arms, replicates = len(self.plan.arms), self.plan.replicates
        sums = self.sums.cpu().numpy().reshape(len(MEASURES), arms, replicates)
        customers = len(self.by_customer) // arms
        return RolloutOutcome(
            **dict(zip(MEASURES, sums, strict=True)),
            by_day=self.by_day.cpu().numpy().reshape(arms, replicates, -1),
            customer_revenue_cents=self.by_customer.cpu().numpy().reshape(arms, -1),
            customer_orders=self.orders.cpu().numpy().reshape(replicates, customers),
            item_lines=self.items.cpu().numpy(),
        )
