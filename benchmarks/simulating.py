"""Rollouts of many twins, against a bare loop over the same cell and heads."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.result import Result, compare

if TYPE_CHECKING:
    from ml.twin import TwinModel

ITEMS, CUSTOMERS, REPLICATES, TILE = 3_700, 400, 10, 256
START_MS = 1_300_000_000_000


def run(folder: Path, rounds: int) -> Result:
    """Lines drawn per second, with clocks, noise and tallies, and without."""
    import torch

    from ml.encoding import Dictionaries
    from ml.twin import TwinConfig, TwinModel

    torch.manual_seed(0)
    items = tuple(f"S{number:05d}" for number in range(ITEMS))
    model = TwinModel(TwinConfig(), Dictionaries(items=items, countries=("GB",)))
    return compare(
        name="simulate",
        unit="lines/s",
        limit_is="the same cell and heads in a bare loop",
        rounds=rounds,
        path=lambda: _rolled_out(model),
        limit=lambda: _bare(model),
    )


def _rolled_out(model: "TwinModel") -> float:
    from ml.response import AssumedResponse
    from ml.rollout import RolloutPlan, Scenario, rollout

    plan = RolloutPlan(
        scenarios=(Scenario(0.2, 0),),
        horizon_days=90,
        offer_days=14,
        replicates=REPLICATES,
        seed=1,
        start_ms=START_MS,
    )
    countries = ["GB"] * CUSTOMERS
    states = model.initial_state(countries)
    keys = np.arange(CUSTOMERS, dtype=np.int64)
    begun = time.perf_counter()
    outcome = rollout(model, states, keys, countries, plan, AssumedResponse(mean=1.5, spread=0.5))
    return float(outcome.lines.sum()) / (time.perf_counter() - begun)


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
