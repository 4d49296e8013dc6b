"""The simulation page's pictures: colours of the heat map, points of the curves."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from campaigns.models import SimulationRun
from campaigns.tables import money, percent

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 260, 64, 24, 10
GAIN, LOSS = "16, 133, 96", "200, 60, 60"  # readable on light and dark pages alike
STRONGEST = 0.55


def heat_map(run: SimulationRun) -> list[dict[str, Any]]:
    """One row per depth with a cell per delay: mean, interval, and a colour that says how much."""
    result: dict[str, Any] = run.result or {}
    revenues = [scenario["uplift"]["revenue"] for scenario in result["scenarios"]]
    largest = max((abs(Decimal(figure["mean"])) for figure in revenues), default=Decimal(0))
    cells = [
        {**{end: money(figure[end]) for end in figure}, "colour": _colour(figure["mean"], largest)}
        for figure in revenues
    ]
    cells[result["best_scenario"]]["best"] = True
    width = len(run.delays_days)
    return [
        {"depth": percent(depth), "cells": cells[row * width : (row + 1) * width]}
        for row, depth in enumerate(run.depths)
    ]


def day_curve(run: SimulationRun) -> dict[str, Any]:
    """The best scenario's revenue by day against the control's, as SVG points with its band."""
    result: dict[str, Any] = run.result or {}
    best = result["scenarios"][result["best_scenario"]]
    treated = {end: _floats(best["treated"]["revenue_by_day"][end]) for end in CURVE_ENDS}
    control = _floats(result["control"]["revenue_by_day"]["mean"])
    band_low = [max(value, 0.0) for value in treated["low"]]
    top = max([*treated["high"], *control, 1.0])
    return {
        "depth": percent(best["depth"]),
        "delay_days": best["delay_days"],
        "treated": _points(treated["mean"], top),
        "control": _points(control, top),
        "band": f"{_points(treated['high'], top)} {_points(band_low, top, backwards=True)}",
        "ticks": [
            {"y": round(_y(top * share, top), 1), "label": f"{top * share:,.0f}"}
            for share in (0, 0.5, 1)
        ],
        "days": run.horizon_days,
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - 10,
        "base": HEIGHT - BOTTOM,
    }


CURVE_ENDS = ("mean", "low", "high")


def _floats(amounts: Sequence[str]) -> list[float]:
    return [float(amount) for amount in amounts]


def _points(values: Sequence[float], top: float, *, backwards: bool = False) -> str:
    step = (WIDTH - LEFT - 10) / max(len(values) - 1, 1)
    points = [f"{LEFT + day * step:.1f},{_y(value, top):.1f}" for day, value in enumerate(values)]
    return " ".join(reversed(points) if backwards else points)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top


def _colour(mean: str, largest: Decimal) -> str:
    value = Decimal(mean)
    if not largest or not value:
        return "transparent"
    strength = 0.06 + (STRONGEST - 0.06) * float(abs(value) / largest)
    return f"rgba({GAIN if value > 0 else LOSS}, {strength:.2f})"
