"""Running sums of a rollout on the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ml.rollout_plan import BY_DAY, MEASURES, Accounts, Integers, RolloutOutcome, RolloutPlan
from ml.timing import DAY_MS

if TYPE_CHECKING:
    from ml.rollout_rows import Rows

DAILY = ("revenue_cents", "margin_cents")  # the measures of ``BY_DAY``


@dataclass(slots=True)
class Tallies:
    """Running integer sums by slot, flat over (slot, replicate).

    Until its offer opens an arm does what the control does, and only the control is computed. So
    the control has a slot for each era between openings, and each arm one for what follows its own
    opening; an arm's sums are those of its slot and of the eras before it.

    Shapes: E openings, A arms with the control, P = E + A slots, R replicates, S segments, D days,
    B customers, V items.
    """

    plan: RolloutPlan
    openings: Tensor  # (E,), ms
    segment: Tensor  # of each customer, (B,)
    segments: int
    sums: Tensor  # (measures, S * P * R)
    by_day: Tensor  # (``BY_DAY``, P * R * D)
    by_customer: Tensor  # (P * B,)
    orders: Tensor  # of the control, (R * B,)
    items: Tensor  # lines of the control, (V,)

    @staticmethod
    def zero(plan: RolloutPlan, accounts: Accounts, items: int, device: torch.device) -> Tallies:
        """Return tallies of nothing."""
        openings = np.unique(plan.leaves_ms()[1:])
        slots, customers = len(openings) + len(plan.arms), len(accounts.segment)
        cells = slots * plan.replicates
        sizes = (
            (len(MEASURES), accounts.segments * cells), (len(BY_DAY), cells * plan.horizon_days),
            (slots * customers,), (plan.replicates * customers,), (items,),
        )  # fmt: skip
        zeros = [torch.zeros(size, dtype=torch.int64, device=device) for size in sizes]
        opens, segment = (
            torch.from_numpy(each).to(device) for each in (openings, accounts.segment)
        )
        return Tallies(plan, opens, segment, accounts.segments, *zeros)

    @property
    def slots(self) -> int:
        """How many slots there are, P."""
        return len(self.openings) + len(self.plan.arms)

    def add(self, rows: Rows, active: Tensor, item: Tensor, measures: dict[str, Tensor]) -> None:
        """Add one line of every active row."""
        counted = active.to(torch.int64)
        cells = self.slots * self.plan.replicates
        era = torch.searchsorted(self.openings, rows.order_ms, right=True)
        slot = torch.where(rows.arm == 0, era, len(self.openings) + rows.arm)
        cell = slot * self.plan.replicates + rows.replicate
        columns = torch.stack([measures[name] * counted for name in MEASURES])
        self.sums.index_add_(1, self.segment[rows.customer] * cells + cell, columns)
        # Idle rows keep their last time, which lies inside the horizon or is the start.
        day = torch.div(rows.order_ms - self.plan.start_ms, DAY_MS, rounding_mode="floor")
        day = day.clamp(0, self.plan.horizon_days - 1)
        daily = torch.stack([measures[name] * counted for name in DAILY])
        self.by_day.index_add_(1, cell * self.plan.horizon_days + day, daily)
        customers = len(self.segment)
        self.by_customer.index_add_(0, slot * customers + rows.customer, daily[0])
        control = counted * (rows.arm == 0)
        place = rows.replicate * customers + rows.customer
        self.orders.index_add_(0, place, control * measures["orders"])
        self.items.index_add_(0, item, control)

    def outcome(self) -> RolloutOutcome:
        """Return the sums as arrays, by arm."""
        slots, replicates = self.slots, self.plan.replicates
        shares = self._shares()
        parts = self.sums.cpu().numpy().reshape(len(MEASURES), self.segments, slots, replicates)
        days = shares @ self.by_day.cpu().numpy().reshape(len(BY_DAY), slots, -1)
        days = days.reshape(len(BY_DAY), len(shares), replicates, -1)
        measures = (shares @ parts).swapaxes(0, 1)
        return RolloutOutcome(
            **dict(zip(MEASURES, measures.sum(axis=0), strict=True)),
            **dict(zip(BY_DAY, days, strict=True)),
            by_segment=measures,
            customer_revenue_cents=shares @ self.by_customer.cpu().numpy().reshape(slots, -1),
            customer_orders=self.orders.cpu().numpy().reshape(replicates, -1),
            item_lines=self.items.cpu().numpy(),
        )

    def _shares(self) -> Integers:
        """Return which slots (A, P) make up each arm, as 0 and 1."""
        openings, arms = len(self.openings), len(self.plan.arms)
        leaves = self.plan.leaves_ms()
        before = np.searchsorted(np.unique(leaves[1:]), leaves, side="right")
        before[0] = openings + 1
        eras = np.arange(openings + 1) < before[:, None]
        return np.hstack([eras, np.eye(arms, dtype=bool)[:, 1:]]).astype(np.int64)
