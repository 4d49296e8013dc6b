"""What a rollout is asked for and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ml.errors import MlError
from ml.noise import REPLICATE_LIMIT
from ml.timing import DAY_MS

Integers = NDArray[np.int64]

DEEPEST = 0.9
LONGEST_DAYS = 3_650


class BadPlan(MlError):
    """A plan has at least one replicate and one day, and depths and delays inside their ranges."""

    code = "bad-plan"
    template = "{field} is {value}, expected {expected}: change the plan and retry"


class StartBeforeClock(MlError):
    """A twin cannot be rolled out from before its last event."""

    code = "start-before-clock"
    template = (
        "customer row {customer} has its clock at {clock_ms} ms, after the start at {start_ms} "
        "ms: start later, or take the twin as it was"
    )


@dataclass(frozen=True, slots=True)
class Scenario:
    """``depth`` (share off everything) from ``delay_days`` after the start."""

    depth: float
    delay_days: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """Which futures to draw: every scenario beside the untreated control, ``replicates`` times.

    The horizon is [start_ms, start_ms + horizon_days); an offer is open for ``offer_days``.
    """

    scenarios: tuple[Scenario, ...]
    horizon_days: int
    offer_days: int
    replicates: int
    seed: int  # 0 to 2**63 - 1
    start_ms: int

    def __post_init__(self) -> None:
        ranges: list[tuple[str, float, float, float]] = [
            ("horizon_days", self.horizon_days, 1, LONGEST_DAYS),
            ("offer_days", self.offer_days, 0, LONGEST_DAYS),
            ("replicates", self.replicates, 1, REPLICATE_LIMIT - 1),
            ("seed", self.seed, 0, 2**63 - 1),
            ("start_ms", self.start_ms, 1, 2**53),
        ]
        for scenario in self.scenarios:
            ranges.append(("depth", scenario.depth, 0, DEEPEST))
            ranges.append(("delay_days", scenario.delay_days, 0, LONGEST_DAYS))
        for field, value, low, high in ranges:
            if not low <= value <= high:
                raise BadPlan(field=field, value=value, expected=f"{low} to {high}")

    @property
    def arms(self) -> tuple[Scenario, ...]:
        """The control, then the scenarios."""
        return (Scenario(0.0), *self.scenarios)

    @property
    def end_ms(self) -> int:
        """The first moment after the horizon."""
        return self.start_ms + self.horizon_days * DAY_MS

    def windows_ms(self) -> list[tuple[int, int]]:
        """Return when the offer of each arm opens and closes."""
        starts = [self.start_ms + arm.delay_days * DAY_MS for arm in self.arms]
        return [(start, start + self.offer_days * DAY_MS) for start in starts]


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutOutcome:
    """What the twins did, summed over customers; arm 0 is the control.

    Sums of integers: parts computed apart add up to the whole, exactly. ``units`` follow from line
    totals and reference prices. ``revenue_cents`` is what was paid, ``discount_cents`` what the
    offer took off it. ``customer_revenue_cents`` is summed over replicates instead. Of the control
    alone: ``customer_orders``, and ``item_lines`` summed over replicates.

    Shapes: A arms, R replicates, D days, B customers, V items; (A, R), ``by_day`` (A, R, D) revenue
    in cents, ``customer_revenue_cents`` (A, B), ``customer_orders`` (R, B), ``item_lines`` (V,).
    """

    buyers: Integers
    orders: Integers
    lines: Integers
    units: Integers
    revenue_cents: Integers
    discount_cents: Integers
    by_day: Integers
    customer_revenue_cents: Integers
    customer_orders: Integers
    item_lines: Integers

    @staticmethod
    def empty(plan: RolloutPlan, customers: int, items: int = 0) -> RolloutOutcome:
        """Return the outcome of nobody having bought anything."""
        arms, replicates = len(plan.arms), plan.replicates
        sums = {name: np.zeros((arms, replicates), np.int64) for name in MEASURES}
        return RolloutOutcome(
            **sums,
            by_day=np.zeros((arms, replicates, plan.horizon_days), np.int64),
            customer_revenue_cents=np.zeros((arms, customers), np.int64),
            customer_orders=np.zeros((replicates, customers), np.int64),
            item_lines=np.zeros(items, np.int64),
        )

    @staticmethod
    def combined(parts: Sequence[RolloutOutcome]) -> RolloutOutcome:
        """Return the outcome of all customers of the parts, in their order."""
        sums = {
            name: np.sum([getattr(part, name) for part in parts], axis=0)
            for name in (*MEASURES, "by_day", "item_lines")
        }
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts], axis=1)
            for name in BY_CUSTOMER
        }
        return RolloutOutcome(**sums, **joined)


BY_CUSTOMER = ("customer_revenue_cents", "customer_orders")
MEASURES = tuple(
    f.name for f in fields(RolloutOutcome) if f.name not in ("by_day", "item_lines", *BY_CUSTOMER)
)
