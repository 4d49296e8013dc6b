"""A back-test as tables to print and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from campaigns.backtest.words import FIGURES, notes
from ml.protocols.tables import Table
from ml.uplift.backtest import Backtest
from ml.uplift.calibration import Calibration
from ml.uplift.comparison import OUTCOMES, Compared
from ml.uplift.intervals import Estimate
from ml.uplift.ranking import Ranking

TITLES = {"spend": "spend", "bought": "share who buy"}
DIGITS = {"spend": 2, "bought": 3}


def tables(report: Backtest) -> Iterator[Table]:
    """The tables in the order in which they are read."""
    yield _uplift_table(report)
    for outcome in OUTCOMES:
        yield _offers_table(report, outcome)
    yield _ranking_table(report.rankings)
    for outcome in OUTCOMES:
        yield _calibration_table(outcome, report.calibrations[outcome])


def as_json(report: Backtest) -> dict[str, Any]:
    """All figures, for machines; nan becomes null."""
    ask = report.ask
    return {
        "train_until": ask.train_until, "wave": ask.wave, "seed": ask.seed, "refits": ask.refits,
        "window": {"start": ask.wave, "end": report.end, "ended_by": report.ended_by},
        "customers": report.customers,
        "learned_waves": list(report.learned_waves),
        "overlap": {"kept": _figure(report.overlap), "customer_steps": report.together},
        "uplift": [_compared(row) for row in report.compared],
        "covered": {outcome: dict(_covered(report, outcome)) for outcome in OUTCOMES},
        "simple_forecasts": [
            {"name": rule.name, "spend": _figure(rule.spend), "bought": _figure(rule.bought)}
            for rule in report.simple
        ],
        "ranking": [_ranked(found) for found in report.rankings],
        "calibration": {name: _calibrated(c) for name, c in report.calibrations.items()},
        "notes": list(notes(report)),
    }  # fmt: skip


def _uplift_table(report: Backtest) -> Table:
    rows = []
    for outcome in OUTCOMES:
        row, digits = report.rows(outcome)[0], DIGITS[outcome]
        rows += [
            (TITLES[outcome], "measured", cell(row.measured, digits), "", ""),
            ("", "the model", cell(row.predicted, digits), _percent(row.off_by), _yes(row.held)),
            ("", "  of it caused by the offers", cell(row.effect, digits), "", ""),
        ]
        rows += [
            ("", rule.name, cell(getattr(rule, outcome), digits),
             _percent(_over(getattr(rule, outcome), row)), _yes(_holds(rule, row)))
            for rule in report.simple
        ]  # fmt: skip
    headings = ("uplift of", "says", "per customer, 90 %", "off by", "holds the measured")
    return Table(_title(report), headings, tuple(rows))


def _title(report: Backtest) -> str:
    row = report.rows("spend")[0]
    return (
        f"Offered minus not offered, hours {report.ask.wave} to {report.end}: {row.offered:,} "
        f"customers with an offer, {row.others:,} without"
    )


def _offers_table(report: Backtest, outcome: str) -> Table:
    digits = DIGITS[outcome]
    rows = [
        (row.subject, f"{row.offered:,}", cell(row.predicted, digits), cell(row.effect, digits),
         cell(row.measured, digits), _percent(row.off_by), _yes(row.held))
        for row in report.rows(outcome)
    ]  # fmt: skip
    held = _covered(report, outcome)
    title = (
        f"Uplift of {TITLES[outcome]} by offer: {held['offers_held']} of {held['offers']} offers "
        f"and {held['types_held']} of {held['types']} types within their 90 % interval"
    )
    headings = ("offer", "offered", "predicted", "caused", "measured", "off by", "held")
    return Table(title, headings, tuple(rows))


def _ranking_table(rankings: tuple[Ranking, ...]) -> Table:
    columns = {
        found.outcome: [getattr(found, name) for name in FIGURES] + [e for _, e in found.at]
        for found in rankings
    }
    names = [*FIGURES.values(), *(f"uplift among the best {s:.0%}" for s, _ in rankings[0].at)]
    at_random = [_by_chance(found) for found in rankings]
    rows = [
        (name, *(part for found, chance in zip(rankings, at_random, strict=True)
                 for part in (cell(columns[found.outcome][n], 3), chance[n])))
        for n, name in enumerate(names)
    ]  # fmt: skip
    headings = ("targeting by the model", "spend", "at random", "share who buy", "at random")
    return Table("Ranking of customers by predicted uplift", headings, tuple(rows))


def _by_chance(found: Ranking) -> list[str]:
    everybody = f"{found.everybody.value:.3f}"
    half = f"{found.everybody.value / 2:.3f}"
    return ["0", "0", half, "0", "0"] + [everybody] * len(found.at)


def _calibration_table(outcome: str, found: Calibration) -> Table:
    digits = DIGITS[outcome]
    rows = [
        (str(n + 1), f"{group.customers:,}", f"{group.predicted:.{digits}f}",
         cell(group.measured, digits))
        for n, group in enumerate(found.groups)
    ]  # fmt: skip
    title = f"Calibration of {TITLES[outcome]} by decile: slope {cell(found.slope, 2)}"
    return Table(title, ("decile", "customers", "predicted", "measured"), tuple(rows))


def cell(figure: Estimate, digits: int) -> str:
    """A figure with its interval."""
    if not math.isfinite(figure.value):
        return "-"
    value, low, high = (f"{v:+.{digits}f}" for v in (figure.value, figure.low, figure.high))
    return value if low == value == high else f"{value} [{low}, {high}]"


def _covered(report: Backtest, outcome: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for level, name in (("offer", "offers"), ("type", "types")):
        held = [row.held for row in report.rows(outcome) if row.level == level]
        found |= {name: len(held), f"{name}_held": sum(held)}
    return found


def _compared(row: Compared) -> dict[str, Any]:
    return {
        "subject": row.subject, "outcome": row.outcome, "offered": row.offered,
        "others": row.others, "predicted": _figure(row.predicted), "caused": _figure(row.effect),
        "measured": _figure(row.measured), "off_by": _number(row.off_by), "held": row.held,
    }  # fmt: skip


def _ranked(found: Ranking) -> dict[str, Any]:
    figures = {name: _figure(getattr(found, name)) for name in (*FIGURES, "everybody")}
    best = {f"uplift_at_{share:.0%}".rstrip("%"): _figure(e) for share, e in found.at}
    return {"outcome": found.outcome, **figures, **best}


def _calibrated(found: Calibration) -> dict[str, Any]:
    groups = [
        {
            "customers": g.customers,
            "predicted": _number(g.predicted),
            "measured": _figure(g.measured),
        }
        for g in found.groups
    ]
    return {"slope": _figure(found.slope), "groups": groups}


def _figure(figure: Estimate) -> dict[str, float | None]:
    return {name: _number(getattr(figure, name)) for name in ("value", "low", "high")}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _over(figure: Estimate, row: Compared) -> float:
    return figure.value / row.measured.value - 1 if row.measured.value else math.nan


def _holds(rule: Any, row: Compared) -> bool:
    return bool(getattr(rule, row.outcome).holds(row.measured.value))


def _percent(share: float) -> str:
    return f"{share:+.0%}" if math.isfinite(share) else "-"


def _yes(held: bool) -> str:
    return "yes" if held else "no"
