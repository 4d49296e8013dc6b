"""What the pages show, as CSV; the grid itself is in ``campaigns.tables``."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from campaigns.compare import Comparison, figures_of
from campaigns.models import SimulationRun
from campaigns.tables import ENDS, csv_text

SEGMENT_FIGURES = ("buyers", "orders", "revenue", "margin")
SIDE_FIGURES = ("revenue", "orders", "buyers", "cost", "margin", "profit", "roi")


def segments_csv(run: SimulationRun) -> str:
    """A row for each scenario and part of the audience; empty where too few to be shown."""
    names = [f"uplift_{name}_{end}" for name in SEGMENT_FIGURES for end in ENDS]
    return _text(["depth", "delay_days", "segment", "customers", *names], _segment_rows(run))


def _segment_rows(run: SimulationRun) -> Iterator[list[Any]]:
    for scenario in (run.result or {})["scenarios"]:
        for part in scenario.get("segments", []):
            uplift = part["uplift"] or {}
            figures = [_end(uplift.get(name), end) for name in SEGMENT_FIGURES for end in ENDS]
            place = [scenario["depth"], scenario["delay_days"]]
            yield [*place, part["segment"], part["customers"], *figures]


def days_csv(run: SimulationRun) -> str:
    """A row for each scenario and day; the untreated come first, without depth and delay."""
    return _text(
        ["depth", "delay_days", "day", *(f"revenue_{end}" for end in ENDS)], _day_rows(run)
    )


def _day_rows(run: SimulationRun) -> Iterator[list[Any]]:
    result: dict[str, Any] = run.result or {}
    curves: list[tuple[Any, Any, Any]] = [(None, None, result["control"])]
    curves += [(one["depth"], one["delay_days"], one["treated"]) for one in result["scenarios"]]
    for depth, delay, arm in curves:
        days = zip(*(arm["revenue_by_day"][end] for end in ENDS), strict=True)
        for day, ends in enumerate(days, start=1):
            yield [depth, delay, day, *ends]


def comparison_csv(found: Comparison) -> str:
    """A row for each side."""
    names = [f"{name}_{end}" for name in SIDE_FIGURES for end in ENDS]
    facts = ["simulation_id", "campaign", "depth", "delay_days", "verdict", "response"]
    apart = [f"difference_in_{found.compared_by}_{end}" for end in ENDS]
    return _text([*facts, *names, *apart], _side_rows(found))


def _side_rows(found: Comparison) -> Iterator[list[Any]]:
    for side in found.sides:
        run, figures = side.run, figures_of(side.scenario)
        facts = [run.id, run.campaign.name, side.scenario["depth"], side.scenario["delay_days"]]
        shown = [_end(figures[name], end) for name in SIDE_FIGURES for end in ENDS]
        apart = [_end(side.difference, end) for end in ENDS]
        yield [*facts, side.verdict, run.manifest["response"]["kind"], *shown, *apart]


CSV_PARTS = {"grid": csv_text, "segments": segments_csv, "days": days_csv}


def _end(figure: dict[str, Any] | None, end: str) -> Any:
    return None if figure is None else figure[end]


def _text(header: list[str], rows: Iterable[list[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
