"""What a rollout is asked for and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

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
    def distinct(self) -> tuple[RolloutPlan, Integers]:
        """The plan without the scenarios that equal the control, and each arm's place in it (A,).

        Those that offer nothing, or nothing within the horizon.
        """
        inside = [
            scenario.depth > 0 and self.offer_days > 0 and scenario.delay_days < self.horizon_days
            for scenario in self.scenarios
        ]
        kept = tuple(one for one, differs in zip(self.scenarios, inside, strict=True) if differs)
        differs = np.array([False, *inside])
        return replace(self, scenarios=kept), np.where(differs, np.cumsum(differs), 0)

    @property
    def end_ms(self) -> int:
        """The first moment after the horizon."""
        return self.start_ms + self.horizon_days * DAY_MS

    def windows_ms(self) -> list[tuple[int, int]]:
        """Return when the offer of each arm opens and closes."""
        starts = [self.start_ms + arm.delay_days * DAY_MS for arm in self.arms]
        return [(start, start + self.offer_days * DAY_MS) for start in starts]

    def leaves_ms(self) -> Integers:
        """Return when each arm (A,) ceases to be one row with the control: as its offer opens."""
        return np.array([opens for opens, _ in self.windows_ms()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """How a rollout is counted: what the goods cost, and which customers are counted together.

    ``cost_share`` is of an item's regular price, ``funded_share`` of a discount: what somebody else
    pays of it. ``segment`` is each customer's, of ``segments``.

    Shapes: B customers, V items; ``cost_share`` (V,), ``segment`` (B,).
    """

    cost_share: NDArray[np.float64]
    funded_share: float
    segment: Integers
    segments: int

    @staticmethod
    def plain(customers: int, items: int) -> Accounts:
        """Return accounts in which goods cost nothing and all customers are counted together."""
        nothing, together = np.zeros(items), np.zeros(customers, np.int64)
        return Accounts(cost_share=nothing, funded_share=0.0, segment=together, segments=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutOutcome:
    """What the twins did, summed over customers; arm 0 is the control.

    Sums of integers: parts computed apart add up to the whole, exactly. ``units`` follow from line
    totals and reference prices. ``revenue_cents`` is what was paid, ``discount_cents`` what the
    offer took off it, ``margin_cents`` what the goods leave of what was paid, and the funded share
    of the discount. ``by_segment`` are the same measures, in this order, of parts of the customers.
    ``customer_revenue_cents`` is summed over replicates instead. Of the control alone:
    ``customer_orders``, and ``item_lines`` summed over replicates.

    Shapes: A arms, R replicates, D days, B customers, V items, S segments, M measures; (A, R),
    ``by_day`` and ``margin_by_day`` (A, R, D) in cents, ``by_segment`` (S, M, A, R),
    ``customer_revenue_cents`` (A, B), ``customer_orders`` (R, B), ``item_lines`` (V,).
    """

    buyers: Integers
    orders: Integers
    lines: Integers
    units: Integers
    revenue_cents: Integers
    discount_cents: Integers
    margin_cents: Integers
    by_day: Integers
    margin_by_day: Integers
    by_segment: Integers
    customer_revenue_cents: Integers
    customer_orders: Integers
    item_lines: Integers

    @staticmethod
    def empty(
        plan: RolloutPlan, customers: int, items: int = 0, segments: int = 1
    ) -> RolloutOutcome:
        """Return the outcome of nobody having bought anything."""
        arms, replicates = len(plan.arms), plan.replicates
        sums = {name: np.zeros((arms, replicates), np.int64) for name in MEASURES}
        days = {name: np.zeros((arms, replicates, plan.horizon_days), np.int64) for name in BY_DAY}
        return RolloutOutcome(
            **sums,
            **days,
            by_segment=np.zeros((segments, len(MEASURES), arms, replicates), np.int64),
            customer_revenue_cents=np.zeros((arms, customers), np.int64),
            customer_orders=np.zeros((replicates, customers), np.int64),
            item_lines=np.zeros(items, np.int64),
        )

    def arms(self, places: Integers) -> RolloutOutcome:
        """Return the outcome with these of its arms, some of them perhaps more than once."""
        return replace(
            self,
            **{name: getattr(self, name)[places] for name in (*MEASURES, *BY_DAY)},
            by_segment=self.by_segment[:, :, places],
            customer_revenue_cents=self.customer_revenue_cents[places],
        )

    @staticmethod
    def combined(parts: Sequence[RolloutOutcome]) -> RolloutOutcome:
        """Return the outcome of all customers of the parts, in their order."""
        sums = {
            name: np.sum([getattr(part, name) for part in parts], axis=0)
            for name in (*MEASURES, *BY_DAY, "by_segment", "item_lines")
        }
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts], axis=1)
            for name in BY_CUSTOMER
        }
        return RolloutOutcome(**sums, **joined)


BY_CUSTOMER = ("customer_revenue_cents", "customer_orders")
BY_DAY = ("by_day", "margin_by_day")
APART = (*BY_DAY, "by_segment", "item_lines", *BY_CUSTOMER)
MEASURES = tuple(f.name for f in fields(RolloutOutcome) if f.name not in APART)
