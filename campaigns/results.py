"""From integer sums to the answer that people read."""

from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from campaigns.economics import Ledger, best_of, described, grid_of, ledger_of
from campaigns.intervals import LEVEL, Interval, prediction_interval
from campaigns.models import SimulationRun
from campaigns.outcomes import MEASURES, Sums
from campaigns.segments import LEAST_SHOWN, SEGMENTS
from campaigns.statements import (
    ASSUMED,
    ESTIMATED,
    EXACT_ZERO,
    LIMITS,
    NOT_POSITIVE,
    learned_statement,
)

CENT = Decimal("0.01")
COUNTS = ("buyers", "orders", "lines", "units")
MONEY = {"revenue": "revenue_cents", "discount_cost": "discount_cents"}
UPLIFTS = ("revenue", "orders", "buyers", "discount_cost")


def result_of(run: SimulationRun, sums: Sums) -> dict[str, Any]:
    """The result of a run as JSON: money in decimal strings, counts and shares as numbers."""
    ledger = ledger_of(run, sums)
    arms, uplifts, money = _arms(sums), _uplifts(sums), _economics(ledger)
    draws = _by_replicate(sums, ledger)
    scenarios = [
        {
            "depth": depth,
            "delay_days": delay,
            "treated": arms[i + 1],
            "uplift": uplifts[i],
            "economics": money[i],
            "by_replicate": draws[i],
            "segments": _segments(sums, i, known=ledger.margin is not None),
        }
        for i, (depth, delay) in enumerate(grid_of(run))
    ]
    pinned = int(run.manifest["customers"]["pinned"])
    return {
        "currency": run.campaign.currency,
        "horizon": {"starts_at": run.manifest["as_of"], "days": run.horizon_days},
        "replicates": run.replicates,
        "interval": {
            "level": LEVEL,
            "kind": "Student t prediction interval over replicates",
        },
        "customers": {
            "pinned": pinned,
            "simulated": sums.customers,
            "erased_meanwhile": pinned - sums.customers,
        },
        "response": described_response(run),
        "economics": described(run),
        "control": arms[0],
        "scenarios": scenarios,
        "best_scenario": best_scenario(sums, ledger),
        "best_by": "revenue" if ledger.profit is None else "profit",
        "depth_zero": EXACT_ZERO,
        "limits": list(LIMITS),
        "manifest": run.manifest,
        "manifest_sha256": run.manifest_sha256,
    }


def described_response(run: SimulationRun) -> dict[str, Any]:
    """The response model by name, and which share of the uplift rests on an assumption."""
    spec = run.manifest["response"]
    if spec["kind"] == "assumed":
        return {
            "name": "assumed",
            "provenance": "assumption",
            "assumption_share": 1.0,
            "elasticity": {"mean": spec["mean"], "spread": spec["spread"]},
            "statement": ASSUMED,
        }
    if spec["kind"] == "learned":
        return {
            "name": "learned",
            "provenance": "data",
            "assumption_share": 0.0,
            "elasticity": spec["estimate"],
            "statement": learned_statement(spec["estimate"]),
        }
    return {
        "name": "elasticity",
        "provenance": "data",
        "assumption_share": 0.0,
        "elasticity": spec["estimate"],
        "statement": ESTIMATED + (NOT_POSITIVE if spec["estimate"]["mean"] <= 0 else ""),
    }


def best_scenario(sums: Sums, ledger: Ledger) -> int | None:
    """The place in the grid of the best scenario that the budget allows; None where none is.

    By mean profit or, where the margin is not known, by mean incremental revenue.
    """
    revenue = sums.measures["revenue_cents"]
    gains = (revenue[1:] - revenue[0]).astype(np.float64)
    gains = gains if ledger.profit is None else ledger.profit
    return best_of(gains, ledger.within_budget)


def _economics(ledger: Ledger) -> list[dict[str, Any]]:
    """What each scenario costs and leaves; amounts are means with intervals."""
    figures = {
        "cost": ledger.cost,
        "margin": ledger.margin,
        "profit": ledger.profit,
        "bought_anyway": ledger.bought_anyway,
        "after_offer": ledger.after_offer,
    }
    intervals = {
        name: None if values is None else prediction_interval(values)
        for name, values in figures.items()
    }
    returns = [None if one is None else prediction_interval(one[None, :]) for one in ledger.roi]
    return [
        {
            **{name: one and _money(one, i) for name, one in intervals.items()},
            "roi": returned and _count(returned, 0),
            "payback_days": ledger.payback_days[i],
            "within_budget": ledger.within_budget[i],
        }
        for i, returned in enumerate(returns)
    ]


def _by_replicate(sums: Sums, ledger: Ledger) -> list[dict[str, Any]]:
    """Each scenario's uplift of revenue, cost and profit replicate by replicate.

    Simulations that share their luck are compared within each replicate: what is left is the offer.
    """
    revenue = sums.measures["revenue_cents"]
    figures = {"revenue": revenue[1:] - revenue[0], "cost": ledger.cost, "profit": ledger.profit}
    return [
        {
            name: None if values is None else [amount(cents) for cents in values[i]]
            for name, values in figures.items()
        }
        for i in range(len(ledger.cost))
    ]


def _segments(sums: Sums, scenario: int, *, known: bool) -> list[dict[str, Any]]:
    """The uplift of each part of the audience; of very few customers nothing is said."""
    return [
        {
            "segment": name,
            "customers": int(count) if count == 0 or count >= LEAST_SHOWN else None,
            "uplift": _uplift_of_segment(part, scenario, known) if count >= LEAST_SHOWN else None,
        }
        for name, count, part in zip(SEGMENTS, sums.segments, sums.by_segment, strict=True)
    ]


def _uplift_of_segment(part: NDArray[np.int64], scenario: int, known: bool) -> dict[str, Any]:
    uplift = part[:, scenario + 1] - part[:, 0]
    found = prediction_interval(uplift)
    place = {name: row for row, name in enumerate(MEASURES)}
    return {
        "revenue": _money(found, place["revenue_cents"]),
        "orders": _count(found, place["orders"]),
        "buyers": _count(found, place["buyers"]),
        "margin": _money(found, place["margin_cents"]) if known else None,
    }


def _arms(sums: Sums) -> list[dict[str, Any]]:
    figures = {name: prediction_interval(sums.measures[name]) for name in COUNTS}
    money = {name: prediction_interval(sums.measures[column]) for name, column in MONEY.items()}
    days = prediction_interval(sums.by_day)
    return [
        {
            **{name: _count(interval, arm) for name, interval in figures.items()},
            **{name: _money(interval, arm) for name, interval in money.items()},
            "per_customer": _per_customer(figures, money, arm, sums.customers),
            "revenue_by_day": {
                "mean": [amount(cents) for cents in days.mean[arm]],
                "low": [amount(cents) for cents in days.low[arm]],
                "high": [amount(cents) for cents in days.high[arm]],
            },
        }
        for arm in range(len(sums.by_day))
    ]


def _uplifts(sums: Sums) -> list[dict[str, Any]]:
    """Treated minus untreated within each replicate, whose luck both arms share."""
    intervals = {}
    for name in UPLIFTS:
        values = sums.measures[MONEY.get(name, name)]
        intervals[name] = prediction_interval(values[1:] - values[0])
    people = max(sums.customers, 1)
    return [
        {
            **{
                name: _money(interval, i) if name in MONEY else _count(interval, i)
                for name, interval in intervals.items()
            },
            "per_customer": {
                "revenue": amount(intervals["revenue"].mean[i] / people),
                "orders": _number(intervals["orders"].mean[i] / people),
            },
        }
        for i in range(len(sums.by_day) - 1)
    ]


def _per_customer(
    figures: dict[str, Interval], money: dict[str, Interval], arm: int, customers: int
) -> dict[str, Any]:
    people = max(customers, 1)
    counts = {name: _number(figures[name].mean[arm] / people) for name in COUNTS}
    amounts = {name: amount(money[name].mean[arm] / people) for name in MONEY}
    return {**counts, **amounts}


def _count(interval: Interval, i: int) -> dict[str, float]:
    return {name: _number(_end(interval, name)[i]) for name in ("mean", "low", "high")}


def _money(interval: Interval, i: int) -> dict[str, str]:
    return {name: amount(_end(interval, name)[i]) for name in ("mean", "low", "high")}


def _end(interval: Interval, name: str) -> NDArray[np.float64]:
    end: NDArray[np.float64] = getattr(interval, name)
    return end


def amount(cents: float) -> str:
    """Cents as a decimal string with two digits; zero has no sign."""
    value = (Decimal(float(cents)) / 100).quantize(CENT)
    return str(value + 0) if value else "0.00"


def _number(value: float) -> float:
    return round(float(value), 4) + 0.0  # no negative zero
