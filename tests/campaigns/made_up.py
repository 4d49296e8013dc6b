"""Finished simulations whose sums are made up: how they come about is not what is tested there."""

import numpy as np

from campaigns.models import Campaign, SimulationRun
from campaigns.outcomes import MEASURES, Sums
from campaigns.results import result_of
from campaigns.segments import SEGMENTS
from campaigns.services import Economics, create_campaign
from common.models import Operation
from tests.builders import NOON
from tests.campaigns.builders import started


def composed(name: str = "Spring", **economics) -> Campaign:
    return create_campaign(
        name=name,
        offer_days=14,
        currency="GBP",
        created_by="a test",
        at=NOON,
        economics=Economics(**economics),
    )


def with_result(run: SimulationRun, *, gain_cents: int = 50_000) -> SimulationRun:
    """The run as if it had succeeded: every scenario with an offer gains about ``gain_cents``.

    Arms of depth 0 equal the control. Equal seeds make equal sums.
    """
    result = result_of(run, _sums(run, gain_cents))
    SimulationRun.objects.filter(id=run.id).update(result=result)
    Operation.objects.filter(id=run.operation_id).update(
        status="succeeded", done=run.operation.total
    )
    return SimulationRun.objects.select_related("operation").get(id=run.id)


def simulated(*, gain_cents: int = 50_000, **changes) -> SimulationRun:
    """A run that has begun and has such a result."""
    return with_result(started(**changes), gain_cents=gain_cents)


def _sums(run: SimulationRun, gain_cents: int) -> Sums:
    draw = np.random.default_rng(run.seed)
    offers = [float(depth) > 0 for depth in run.depths for _ in run.delays_days]
    control = draw.integers(100_000, 200_000, run.replicates)
    gains = gain_cents + draw.integers(-9_000, 9_000, (len(offers), run.replicates))
    money = control + np.vstack([np.zeros_like(control), gains * np.array(offers)[:, None]])
    discounts = np.vstack([np.zeros_like(control), np.outer(offers, np.full_like(control, 5_000))])
    measures = dict.fromkeys(MEASURES, money // 10000)
    measures |= {"revenue_cents": money, "margin_cents": money, "discount_cents": discounts}
    days = np.repeat(money[:, :, None] // run.horizon_days, run.horizon_days, axis=2)
    people = np.zeros(len(SEGMENTS), np.int64)
    people[2] = run.manifest["customers"]["pinned"]
    parts = np.zeros((len(SEGMENTS), len(MEASURES), *money.shape), np.int64)
    parts[2] = np.stack([measures[name] for name in MEASURES])
    return Sums(people, measures, days, days, parts)
