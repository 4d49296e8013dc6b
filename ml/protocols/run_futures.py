"""Protocol D, run: the twins as of the cut, rolled out without any campaign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.events import Floats, Integers
from ml.metrics import Figure
from ml.protocols.data import Lines
from ml.protocols.futures import (
    curve_correlation,
    distance_from_even,
    pit,
    ratio,
    weekly,
    weeks_covered,
)
from ml.protocols.tables import TWIN, ProtocolReport, Section, Stage, quiet
from ml.response import AssumedResponse
from ml.rollout import RolloutOutcome, RolloutPlan, rollout
from ml.timing import DAY_MS
from ml.twin import TwinModel

HORIZON_DAYS, REPLICATES = 90, 20
CUSTOMERS_AT_ONCE = 256
CENTS = 100
METRICS = {"orders": "orders / actual", "revenue": "revenue / actual",
           "buyers": "buyers / actual", "curve": "weekly curve, correlation",
           "weeks_covered": "weeks in the 90 % interval",
           "pit": "orders per customer, distance from even",
           "items": "item shares in common"}  # fmt: skip
BEFORE = "as in the days before"
NOTES = (
    "brackets hold the central 95 % of the futures, whose level moves from week to week as the "
    "shop's did before the cut",
    "one year of data cannot know Christmas: no honest model foresees the level of that quarter",
    "orders per customer: Kolmogorov-Smirnov distance of where the truth lies among the futures "
    "(PIT, ties drawn) from the even distribution; item shares: 1 less half the sum of differences",
)


@dataclass(frozen=True, slots=True)
class Truth:
    """What customers did in some days in a row. Shapes: D days, C customers, V items."""

    orders_of: Integers  # (C,) of the customers asked about
    revenue_by_day: Floats
    item_lines: Integers  # (V,)

    @property
    def orders(self) -> int:
        return int(self.orders_of.sum())

    @property
    def buyers(self) -> int:
        return int((self.orders_of > 0).sum())

    @staticmethod
    def of(lines: Lines, who: Integers, first_day: int, horizon: int) -> Truth:
        """Return what these customers did in the ``horizon`` days from ``first_day`` on."""
        asked = (lines.day >= first_day) & (lines.day < first_day + horizon)
        inside = lines.rows(asked & np.isin(lines.customer, who))
        _, opening = np.unique(inside.order, return_index=True)
        place = np.searchsorted(who, inside.customer[opening])
        by_day = np.bincount(inside.day - first_day, inside.total, horizon).astype(np.float64)
        return Truth(
            orders_of=np.bincount(place, minlength=len(who)),
            revenue_by_day=by_day,
            item_lines=np.bincount(inside.item, minlength=len(lines.items)),
        )


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
    who = np.unique(lines.customer[lines.day < cut_day])
    truth = Truth.of(lines, who, cut_day, horizon)
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
    futures = RolloutOutcome.combined(parts)
    simulated = weekly(futures.by_day[0]) / CENTS
    actual = weekly(truth.revenue_by_day)
    places = pit(futures.customer_orders, truth.orders_of, seed=seed)
    report.add(TWIN, {
        "orders": ratio(futures.orders[0], truth.orders),
        "revenue": ratio(simulated.sum(axis=1), float(truth.revenue_by_day.sum())),
        "buyers": ratio(futures.buyers[0], truth.buyers),
        "curve": curve_correlation(simulated, actual),
        "weeks_covered": weeks_covered(simulated, actual),
        "pit": _plain(distance_from_even(places), len(places)),
        "items": _shares(_by_item(lines, model, futures.item_lines), truth.item_lines),
    })  # fmt: skip
    before = Truth.of(lines, who, cut_day - horizon, horizon)
    report.add(BEFORE, {
        "orders": ratio(np.array([before.orders]), truth.orders),
        "revenue": ratio(
            np.array([before.revenue_by_day.sum()]), float(truth.revenue_by_day.sum())
        ),
        "buyers": ratio(np.array([before.buyers]), truth.buyers),
        "items": _shares(before.item_lines, truth.item_lines),
    })  # fmt: skip
    shares = np.histogram(places, bins=10, range=(0, 1))[0] / len(places)
    told = " ".join(f"{share:.3f}" for share in shares)
    report.notes.append(f"tenths of the PIT of orders per customer, .100 each if even: {told}")
    return report


def _plain(value: float, n: int) -> Figure:
    return {"value": value, "low": value, "high": value, "n": n}


def _shares(simulated: Integers, actual: Integers) -> Figure:
    """Return how much of two distributions of lines over items (V,) is common to both."""
    if not simulated.sum() or not actual.sum():
        return {"n": 0}
    common = np.minimum(simulated / simulated.sum(), actual / actual.sum()).sum()
    return _plain(float(common), int((actual > 0).sum()))


def _by_item(lines: Lines, model: TwinModel, item_lines: Integers) -> Integers:
    """Return lines by the items of the shop; the model knows those sold before the cut."""
    rows = {sku: row for row, sku in enumerate(model.dictionaries.items)}
    row = np.array([rows.get(sku, -1) for sku in lines.items])
    return np.where(row >= 0, item_lines[row], 0)


def _rolled(
    lines: Lines,
    model: TwinModel,
    who: Integers,
    cut_day: int,
    horizon: int,
    replicates: int,
    seed: int,
) -> RolloutOutcome:
    """Return the futures of some customers."""
    past = lines.rows((lines.day < cut_day) & np.isin(lines.customer, who))
    every = lines.customer_countries()
    countries = [every[customer] for customer in who.tolist()]
    states = model.advance(model.initial_state(countries), past.events().select(who))
    plan = RolloutPlan(
        scenarios=(), horizon_days=horizon, offer_days=0, replicates=replicates, seed=seed,
        start_ms=cut_day * DAY_MS,
    )  # fmt: skip
    nothing = AssumedResponse(mean=0.0, spread=0.0)
    return rollout(model, states, who + 1, countries, plan, nothing)
