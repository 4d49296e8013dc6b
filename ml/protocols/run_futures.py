"""Protocol D, run: the twins as of the cut, rolled out without any campaign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.events import Floats, Integers
from ml.protocols.data import Lines
from ml.protocols.futures import curve_correlation, ratio, weekly, weeks_covered
from ml.protocols.tables import TWIN, ProtocolReport, Section, Stage, quiet
from ml.response import AssumedResponse
from ml.rollout import RolloutPlan, rollout
from ml.timing import DAY_MS
from ml.twin import TwinModel

HORIZON_DAYS, REPLICATES = 90, 20
CUSTOMERS_AT_ONCE = 256
CENTS = 100
METRICS = {"orders": "orders / actual", "revenue": "revenue / actual",
           "buyers": "buyers / actual", "curve": "weekly curve, correlation",
           "weeks_covered": "weeks in the 90 % interval"}  # fmt: skip
NOTES = (
    "brackets hold the central 95 % of the futures, which knows nothing of the model's own error",
    "the rollout adds up over customers, so the calibration of per-customer orders (PIT) and item "
    "shares are not measured yet",
)


@dataclass(frozen=True, slots=True)
class Truth:
    """What the known customers did from the cut on."""

    orders: int
    buyers: int
    revenue_by_day: Floats

    @staticmethod
    def of(lines: Lines, cut_day: int, horizon: int) -> Truth:
        known = np.unique(lines.customer[lines.day < cut_day])
        after = (lines.day >= cut_day) & (lines.day < cut_day + horizon)
        inside = lines.rows(after & np.isin(lines.customer, known))
        by_day = np.bincount(inside.day - cut_day, inside.total, horizon).astype(np.float64)
        return Truth(len(np.unique(inside.order)), len(np.unique(inside.customer)), by_day)


def run(
    lines: Lines,
    model: TwinModel,
    *,
    cut_day: int,
    horizon: int = HORIZON_DAYS,
    replicates: int = REPLICATES,
    seed: int = 0,
    stage: Stage = quiet,
) -> ProtocolReport:
    """Return how the futures of a model that saw nothing from the cut on compare with the truth."""
    truth = Truth.of(lines, cut_day, horizon)
    who = np.unique(lines.customer[lines.day < cut_day])
    report = ProtocolReport(
        "D", f"Simulated futures: {len(who):,} customers, {replicates} futures of {horizon} days",
        (Section("Futures against what happened", METRICS),), notes=list(NOTES),
    )  # fmt: skip
    with stage("rollout", "customers", len(who)) as advance:
        parts = []
        for start in range(0, len(who), CUSTOMERS_AT_ONCE):
            block = who[start : start + CUSTOMERS_AT_ONCE]
            parts.append(_rolled(lines, model, block, cut_day, horizon, replicates, seed))
            advance(len(block))
    orders, buyers, by_day = (sum(part[n] for part in parts) for n in range(3))
    simulated = weekly(np.asarray(by_day)) / CENTS
    actual = weekly(truth.revenue_by_day)
    report.add(TWIN, {
        "orders": ratio(np.asarray(orders), truth.orders),
        "revenue": ratio(simulated.sum(axis=1), float(truth.revenue_by_day.sum())),
        "buyers": ratio(np.asarray(buyers), truth.buyers),
        "curve": curve_correlation(simulated, actual),
        "weeks_covered": weeks_covered(simulated, actual),
    })  # fmt: skip
    return report


def _rolled(
    lines: Lines,
    model: TwinModel,
    who: Integers,
    cut_day: int,
    horizon: int,
    replicates: int,
    seed: int,
) -> tuple[Integers, Integers, Integers]:
    """Return orders and buyers (R,) and revenue in cents (R, D) of some customers."""
    past = lines.rows((lines.day < cut_day) & np.isin(lines.customer, who))
    every = lines.customer_countries()
    countries = [every[customer] for customer in who.tolist()]
    states = model.advance(model.initial_state(countries), past.events().select(who))
    plan = RolloutPlan(
        scenarios=(), horizon_days=horizon, offer_days=0, replicates=replicates, seed=seed,
        start_ms=cut_day * DAY_MS,
    )  # fmt: skip
    nothing = AssumedResponse(mean=0.0, spread=0.0)
    outcome = rollout(model, states, who + 1, countries, plan, nothing)
    return outcome.orders[0], outcome.buyers[0], outcome.by_day[0]
