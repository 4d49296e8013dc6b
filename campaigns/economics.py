"""What a scenario costs and leaves: margin, profit, return, payback, and whether it is affordable.

All figures are computed within each replicate, whose luck both arms share, and then summed up as
means with intervals. A scenario of depth 0 is no campaign: nobody is contacted, nothing is spent.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from campaigns.models import SimulationRun
from campaigns.outcomes import Sums

Floats = NDArray[np.float64]

MARGIN_UNKNOWN = (
    "Margin, profit and return are not known: the campaign states no margin_rate. Unit costs of "
    "products then take its place where they are known."
)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The figures of every scenario, in cents. Shapes: C scenarios, R replicates; (C, R).

    ``margin`` is treated minus untreated; it, ``profit`` and ``roi`` are None where the margin is
    not known, and ``roi`` also where nothing is spent. ``cost`` is the shop's part of the discount,
    the contacts and the fixed cost; ``upfront`` (C,) are the latter two. ``bought_anyway`` is what
    the untreated buy while the offer is open, ``after_offer`` the uplift once it has closed: below
    0 it was bought earlier instead. ``payback_days`` count from the horizon's start.
    """

    cost: Floats
    upfront: Floats
    margin: Floats | None
    profit: Floats | None
    roi: list[Floats | None]
    bought_anyway: Floats
    after_offer: Floats
    payback_days: list[int | None]
    within_budget: list[bool]


def ledger_of(run: SimulationRun, sums: Sums) -> Ledger:
    """The figures of a run from its sums."""
    terms = run.manifest["economics"]
    offered = np.array([Decimal(depth) > 0 for depth, _ in grid_of(run)])
    contact, fixed = (_cents(terms[name]) for name in ("contact_cost", "fixed_cost"))
    upfront = offered * (contact * sums.customers + fixed)
    own_share = 1 - float(terms["funded_share"])
    cost = own_share * sums.measures["discount_cents"][1:] + upfront[:, None]
    margin = _uplift(sums.measures["margin_cents"]) if terms["margin_rate"] is not None else None
    profit = None if margin is None else margin - upfront[:, None]
    budget = np.inf if terms["budget"] is None else _cents(terms["budget"])
    windows = _windows(run)
    return Ledger(
        cost=cost,
        upfront=upfront,
        margin=margin,
        profit=profit,
        roi=_returns(profit, cost),
        bought_anyway=np.stack([sums.by_day[0][:, one].sum(axis=1) for one, _ in windows]),
        after_offer=_after(sums, windows),
        payback_days=_paybacks(sums, upfront, known=margin is not None),
        within_budget=(cost.mean(axis=1) <= budget).tolist(),
    )


def best_of(values: Floats, allowed: list[bool]) -> int | None:
    """The place of the largest mean (C, R) among those allowed, the first of equals."""
    means = np.where(allowed, values.mean(axis=1), -np.inf)
    return int(np.argmax(means)) if any(allowed) else None


def grid_of(run: SimulationRun) -> list[tuple[str, int]]:
    """Depth and delay of every scenario, in the order of the results."""
    return [(depth, delay) for depth in run.depths for delay in run.delays_days]


def _uplift(values: NDArray[np.int64]) -> Floats:
    return np.asarray(values[1:] - values[0], dtype=np.float64)


def _cents(amount: str) -> float:
    return float(Decimal(amount) * 100)


def _windows(run: SimulationRun) -> list[tuple[slice, slice]]:
    """The days of the horizon on which each scenario's offer is open, and those after it."""
    opens = [delay for _, delay in grid_of(run)]
    closes = [min(first + run.campaign.offer_days, run.horizon_days) for first in opens]
    return [
        (slice(first, last), slice(last, None)) for first, last in zip(opens, closes, strict=True)
    ]


def _after(sums: Sums, windows: list[tuple[slice, slice]]) -> Floats:
    uplift = _uplift(sums.by_day)
    return np.stack(
        [days[:, later].sum(axis=1) for days, (_, later) in zip(uplift, windows, strict=True)]
    )


def _returns(profit: Floats | None, cost: Floats) -> list[Floats | None]:
    if profit is None:
        return [None] * len(cost)
    return [
        gain / spent if (spent > 0).all() else None
        for gain, spent in zip(profit, cost, strict=True)
    ]


def _paybacks(sums: Sums, upfront: Floats, *, known: bool) -> list[int | None]:
    """After how many days the mean margin gained has paid what was spent upfront, for good."""
    if not known:
        return [None] * len(upfront)
    gained = _uplift(sums.margin_by_day).mean(axis=1).cumsum(axis=1)
    return [_days_until(days, spent) for days, spent in zip(gained, upfront, strict=True)]


def _days_until(gained: Floats, spent: float) -> int | None:
    short = np.flatnonzero(gained < spent)
    if not len(short):
        return 0 if spent == 0 else 1
    last = int(short[-1])
    return None if last == len(gained) - 1 else last + 2


def described(run: SimulationRun) -> dict[str, Any]:
    """The terms as the result names them, and what is not known because one is missing."""
    terms: dict[str, Any] = run.manifest["economics"]
    unknown = MARGIN_UNKNOWN if terms["margin_rate"] is None else ""
    return {**terms, "unknown": unknown}
