"""What the pages' charts are drawn from: data and options for Chart.js, which comes with the admin.

The browser gets JSON in attributes of a canvas; no script of ours draws anything. See ADR 0014.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from campaigns.models import SimulationRun
from campaigns.tables import percent, shown_scenario

GAIN, PLAIN = "rgb(16, 133, 96)", "rgb(120, 120, 140)"  # readable on light and dark pages alike
GAIN_AREA, MEASURED_AREA = "rgba(16, 133, 96, 0.2)", "rgba(70, 110, 200, 0.45)"
INTERVAL_AREA, SAMPLING_AREA = "rgba(16, 133, 96, 0.4)", "rgba(16, 133, 96, 0.18)"
TICKS = {"color": "#9ca3af"}
LEAST_HEIGHT, ROW_HEIGHT = 70, 46
DAY_HEIGHT = 280


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: ``kind`` is line or bar, ``words`` what it shows for those who cannot see it."""

    kind: str
    data: str
    options: str
    words: str
    height: int


def day_curve(run: SimulationRun, asked: int | None = None) -> Chart:
    """The shown scenario's revenue by day with its 90 % band, beside that of the untreated."""
    result: dict[str, Any] = run.result or {}
    shown = shown_scenario(result, asked)
    treated: dict[str, list[str]] = shown["treated"]["revenue_by_day"]
    untreated: list[str] = result["control"]["revenue_by_day"]["mean"]
    band = {"pointStyle": False, "borderWidth": 0, "backgroundColor": GAIN_AREA}
    low = [max(value, 0.0) for value in _numbers(treated["low"])]
    sets = [
        {"label": "this scenario", "data": _numbers(treated["mean"]), **_line(GAIN)},
        {"label": "untreated", "data": _numbers(untreated), **_line(PLAIN, dashed=True)},
        {"label": "upper end", "data": _numbers(treated["high"]), "fill": "+1", **band},
        {"label": "lower end", "data": low, **band},
    ]
    depth, currency = percent(shown["depth"]), result["currency"]
    return Chart(
        kind="line",
        data=json.dumps({"labels": _days(run.as_of, run.horizon_days), "datasets": sets}),
        options=_options(tooltip="index"),
        words=f"Revenue by day in {currency} at {depth} off, with its 90 % band, and untreated",
        height=DAY_HEIGHT,
    )


def interval_chart(
    bars: Mapping[str, Mapping[str, Any]], *, words: str, colours: Sequence[str] = ()
) -> Chart:
    """Horizontal bars from ``low`` to ``high`` with a mark at ``mean``, on a scale that holds 0.

    Without an interval (``low`` is None) there is the mark alone.
    """
    means = [float(ends["mean"]) for ends in bars.values()]
    reach = [_reach(ends) for ends in bars.values()]
    areas = [*colours, *[INTERVAL_AREA] * (len(bars) - len(colours))]
    mark = {"type": "line", "showLine": False, "pointStyle": "rectRot", "pointRadius": 6}
    interval = {"barThickness": 18, "borderSkipped": False, "borderRadius": 2, "order": 1}
    sets = [
        {"label": "mean", "data": means, "backgroundColor": GAIN, "order": 0, **mark},
        {"label": "90 % interval", "data": reach, "backgroundColor": areas, **interval},
    ]
    return Chart(
        kind="bar",
        data=json.dumps({"labels": list(bars), "datasets": sets}),
        options=_options(tooltip="nearest", across=True),
        words=words,
        height=LEAST_HEIGHT + ROW_HEIGHT * len(bars),
    )


def _options(*, tooltip: str, across: bool = False) -> str:
    value = {"beginAtZero": True, "ticks": {**TICKS, "maxTicksLimit": 8}}
    names = {"ticks": TICKS if across else {**TICKS, "maxTicksLimit": 10}}
    axes = {"x": value, "y": names} if across else {"x": names, "y": value}
    options = {
        "maintainAspectRatio": False,
        "animation": False,
        "indexAxis": "y" if across else "x",
        "interaction": {"mode": tooltip, "intersect": False, "axis": "y" if across else "x"},
        "plugins": {"legend": {"display": False}},  # pages name the colours themselves
        "scales": axes,
    }
    return json.dumps(options)


def _line(colour: str, *, dashed: bool = False) -> dict[str, Any]:
    dash = {"borderDash": [5, 4]} if dashed else {}
    return {"borderColor": colour, "borderWidth": 2, "pointStyle": False, **dash}


def _days(start: datetime, count: int) -> list[str]:
    return [f"{start + timedelta(days=day):%d %b}" for day in range(count)]


def _reach(ends: Mapping[str, Any]) -> list[float]:
    low, high = (ends["mean"] if ends[end] is None else ends[end] for end in ("low", "high"))
    return [float(low), float(high)]


def _numbers(amounts: Sequence[str]) -> list[float]:
    return [float(amount) for amount in amounts]
