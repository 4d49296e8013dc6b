"""Rollouts of many twins, against a bare loop over the same cell and heads."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.result import Result, compare

if TYPE_CHECKING:
    from ml.states import TwinStates
    from ml.twin import TwinModel

ITEMS, TILE = 3_700, 256
START_MS = 1_300_000_000_000
GRID = tuple((depth / 20, delay) for depth in range(1, 6) for delay in (0, 7, 14, 21))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """What is rolled out. Scenarios are (depth, delay in days)."""

    customers: int = 400
    replicates: int = 10
    horizon_days: int = 30
    scenarios: tuple[tuple[float, int], ...] = ((0.2, 0),)


LARGER = {
    "four times the customers": _Size(customers=1_600),
    "four times the replicates": _Size(replicates=40),
    "three times the horizon": _Size(horizon_days=90),
    "20 scenarios, lines shared with the control counted": _Size(customers=60, scenarios=GRID),
}


def run(folder: Path, rounds: int) -> list[Result]:
    """Lines drawn per second, with clocks, noise and tallies, and without; and how that scales.

    The one scenario of the first figure opens at once and shares no line with the control.
    """
    import torch

    from ml.encoding import Dictionaries
    from ml.twin import TwinConfig, TwinModel

    torch.set_num_threads(1)  # as in a worker, beside which others run
    torch.manual_seed(0)
    items = tuple(f"S{number:05d}" for number in range(ITEMS))
    model = TwinModel(TwinConfig(), Dictionaries(items=items, countries=("GB",)))
    first = compare(
        name="simulate",
        unit="lines/s",
        limit_is="the same cell and heads in a bare loop",
        rounds=rounds,
        path=lambda: _rolled_out(model, _Size()),
        limit=lambda: _bare(model),
    )
    return [first, *(_scaled(model, name, size, rounds) for name, size in LARGER.items())]


def _scaled(model: "TwinModel", name: str, size: _Size, rounds: int) -> Result:
    return compare(
        name="simulate",
        unit="lines/s",
        limit_is=f"the size above; here {name}",
        rounds=rounds,
        path=lambda: _rolled_out(model, size),
        limit=lambda: _rolled_out(model, _Size()),
    )


def _rolled_out(model: "TwinModel", size: _Size) -> float:
    from ml.response import AssumedResponse
    from ml.rollout import RolloutPlan, Scenario, rollout

    plan = RolloutPlan(
        scenarios=tuple(Scenario(*scenario) for scenario in size.scenarios),
        horizon_days=size.horizon_days,
        offer_days=14,
        replicates=size.replicates,
        seed=1,
        start_ms=START_MS,
    )
    countries = ["GB"] * size.customers
    states = _with_history(model.initial_state(countries))
    keys = np.arange(size.customers, dtype=np.int64)
    begun = time.perf_counter()
    outcome = rollout(model, states, keys, countries, plan, AssumedResponse(mean=1.5, spread=0.5))
    return float(outcome.lines.sum()) / (time.perf_counter() - begun)


def _with_history(states: "TwinStates") -> "TwinStates":
    """Return twins that have ordered five times, about 20 lines each, as wholesalers do."""
    day = 86_400_000
    draw = np.random.default_rng(1)
    last = START_MS - draw.integers(1, 40 * day, len(states))
    values = {
        "orders": 5, "purchase_days": 5, "lines": 100, "gaps_n": 4, "gaps_sum_ms": 120 * day,
        "gap_days": 30, "gap_before_days": 30, "spend_cents": 150_000, "last_day_cents": 30_000,
    }  # fmt: skip
    same = {name: np.full(len(states), value) for name, value in values.items()}
    return states.replaced(
        **same,
        clock_ms=last,
        last_order_ms=last,
        last_day=last // day,
        first_day=last // day - 120,
    )


def _bare(model: "TwinModel", steps: int = 60) -> float:
    """The tensors of a step without a clock, noise or tally: draw from the softmax, feed back."""
    import torch

    rows = torch.zeros(TILE, dtype=torch.int64)
    ones = torch.ones(TILE, dtype=torch.float64)
    with torch.inference_mode():
        h, c = model.start(rows)
        begun = time.perf_counter()
        for _ in range(steps):
            model.output(h)
            scores = model.item_logits(h, same_order=ones.bool())
            shares = torch.softmax(scores, dim=-1).cumsum(dim=-1)
            item = torch.searchsorted(shares, torch.rand(TILE, 1)).squeeze(-1).clamp(max=ITEMS - 1)
            mean, _ = model.line_total(h, item)
            x = model.encode_step(
                item=item,
                kind=rows + 1,
                country=rows,
                gap_days=ones,
                total=mean.double().exp(),
                quantity=ones,
                same_order=ones,
                occurred_at_ms=rows + START_MS,
                offer_depth=ones * 0,
                orders=ones,
                mean_gap_days=ones,
            )
            h, c = model.core(x, h, c)
    return TILE * steps / (time.perf_counter() - begun)
