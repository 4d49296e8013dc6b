"""The simulation page's tables: the heat map, what a scenario costs and leaves, its segments."""

from decimal import Decimal
from typing import Any

from campaigns.models import SimulationRun
from campaigns.tables import best_by, gain_of, money, percent, shown_scenario

GAIN, LOSS = "16, 133, 96", "200, 60, 60"  # readable on light and dark pages alike
STRONGEST = 0.55
AFFORDABLE = {"within_budget": True}  # runs of before there were budgets


def heat_map(run: SimulationRun, asked: int | None = None) -> list[dict[str, Any]]:
    """One row per depth with a cell per delay: mean, interval, and a colour that says how much.

    The cell of the shown scenario says so. Figures are the profit or, where the margin is not
    known, the incremental revenue.
    """
    result: dict[str, Any] = run.result or {}
    revenues = [gain_of(result, scenario) for scenario in result["scenarios"]]
    largest = max((abs(Decimal(figure["mean"])) for figure in revenues), default=Decimal(0))
    cells: list[dict[str, Any]] = [
        {**{end: money(figure[end]) for end in figure}, "colour": _colour(figure["mean"], largest)}
        for figure in revenues
    ]
    shown = shown_scenario(result, asked)
    for place, (cell, scenario) in enumerate(zip(cells, result["scenarios"], strict=True)):
        cell["place"], cell["shown"] = place, scenario is shown
        cell["too_dear"] = not scenario.get("economics", AFFORDABLE)["within_budget"]
    if result["best_scenario"] is not None:
        cells[result["best_scenario"]]["best"] = True
    width = len(run.delays_days)
    return [
        {"depth": percent(depth), "cells": cells[row * width : (row + 1) * width]}
        for row, depth in enumerate(run.depths)
    ]


MEANINGS = {
    "cost": "the shop's part of the discount, contacts, fixed cost",
    "margin": "what goods leave, treated minus untreated",
    "profit": "that margin less contacts and fixed cost",
    "bought_anyway": "what the untreated buy while the offer is open",
    "after_offer": "more or less revenue once the offer has closed; below 0: bought earlier",
    "roi": "profit for each unit of cost",
}


def money_rows(run: SimulationRun, asked: int | None = None) -> list[dict[str, str]]:
    """What the shown scenario costs and leaves, a row for each figure that is known."""
    result: dict[str, Any] = run.result or {}
    figures: dict[str, Any] = shown_scenario(result, asked).get("economics", {})
    rows = [
        {"name": name.replace("_", " "), "meaning": meaning, **_in_words(figures[name])}
        for name, meaning in MEANINGS.items()
        if figures.get(name) is not None
    ]
    if figures.get("margin") is not None:
        days = figures["payback_days"]
        meaning = "until the margin gained has paid contacts and fixed cost for good"
        within = f"{days} days" if days is not None else "not within the horizon"
        rows.append({"name": "payback", "mean": within, "interval": "", "meaning": meaning})
    return rows


def segment_rows(run: SimulationRun, asked: int | None = None) -> list[dict[str, Any]]:
    """The shown scenario's uplift in each part of the audience."""
    result: dict[str, Any] = run.result or {}
    names = ("buyers", "orders", "revenue", *(["margin"] if best_by(result) == "profit" else []))
    return [
        {
            "segment": part["segment"],
            "customers": "1 to 4" if part["customers"] is None else part["customers"],
            "cells": [_cell_of(part["uplift"], name) for name in names],
        }
        for part in shown_scenario(result, asked).get("segments", [])
    ]


def _cell_of(uplift: dict[str, Any] | None, name: str) -> dict[str, str]:
    return {"mean": "-"} if uplift is None else _in_words(uplift[name])


def _in_words(figure: dict[str, Any]) -> dict[str, str]:
    low, high = money(str(figure["low"])), money(str(figure["high"]))
    return {"mean": money(str(figure["mean"])), "interval": f"{low} to {high}"}


def _colour(mean: str, largest: Decimal) -> str:
    value = Decimal(mean)
    if not largest or not value:
        return "transparent"
    strength = 0.06 + (STRONGEST - 0.06) * float(abs(value) / largest)
    return f"rgba({GAIN if value > 0 else LOSS}, {strength:.2f})"
