"""A simulation as text: the grid as a table, the summary below it, and CSV."""

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from rich.table import Table

from campaigns.models import SimulationRun

CSV_NAMES = ("revenue", "orders", "buyers", "discount_cost")
CSV_FIGURES = [
    (part, name, end)
    for part in ("uplift", "treated")
    for name in CSV_NAMES
    for end in ("mean", "low", "high")
]


def grid_table(run: SimulationRun) -> Table:
    """Incremental revenue with its 90 % interval: depths down, delays across."""
    result = _result(run)
    title = f"Incremental revenue in {result['currency']} over {run.horizon_days} days"
    table = Table(title=title, caption="mean over replicates, 90 % prediction interval below it")
    table.add_column("discount", justify="right")
    for delay in run.delays_days:
        table.add_column("at once" if delay == 0 else f"after {delay} d", justify="right")
    rows = iter(result["scenarios"])
    for depth in run.depths:
        cells = [_cell(next(rows)["uplift"]["revenue"]) for _ in run.delays_days]
        table.add_row(percent(depth), *cells)
    return table


def summary(run: SimulationRun) -> Iterator[str]:
    """What a reader of the table has to know."""
    result = _result(run)
    people, control = result["customers"], result["control"]
    best = result["scenarios"][result["best_scenario"]]
    revenue = best["uplift"]["revenue"]
    yield (
        f"{people['simulated']:,} twins x {len(result['scenarios'])} scenarios and the untreated "
        f"control x {run.replicates} replicates{_duration(run)}"
    )
    yield (
        f"Untreated: revenue {money(control['revenue']['mean'])} {result['currency']}, "
        f"{control['orders']['mean']:,.1f} orders, {control['buyers']['mean']:,.1f} buyers"
    )
    yield (
        f"Best scenario: {percent(best['depth'])} after {best['delay_days']} days, "
        f"{money(revenue['mean'])} {result['currency']} "
        f"[{money(revenue['low'])}, {money(revenue['high'])}]"
    )
    yield _response_line(result["response"])
    yield "A discount of 0 % equals the untreated twins, so its uplift is exactly 0: [0, 0]."
    yield f"Simulation {run.id}, seed {run.seed}, manifest SHA-256 {run.manifest_sha256}"


def csv_text(run: SimulationRun) -> str:
    """One row per scenario: uplifts, totals, and what they were computed with."""
    out = io.StringIO()
    writer = csv.writer(out)
    facts = ["currency", "response", "seed", "manifest_sha256"]
    names = ["_".join(figure) for figure in CSV_FIGURES]
    writer.writerow(["depth", "delay_days", *names, *facts])
    result = _result(run)
    shared = [result["currency"], result["response"]["name"], run.seed, run.manifest_sha256]
    for scenario in result["scenarios"]:
        figures = [scenario[part][name][end] for part, name, end in CSV_FIGURES]
        writer.writerow([scenario["depth"], scenario["delay_days"], *figures, *shared])
    return out.getvalue()


def money(text: str) -> str:
    """An amount with separators and without the cents, which are far inside the interval."""
    value = Decimal(text)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:,.2f}"


def percent(share: str) -> str:
    """A share as people say it."""
    return f"{(Decimal(share) * 100).normalize():f} %"


def _duration(run: SimulationRun) -> str:
    begun, ended = run.operation.started_at, run.operation.finished_at
    return f" in {(ended - begun).total_seconds():.1f} s" if begun and ended else ""


def _cell(figure: dict[str, str]) -> str:
    return f"{money(figure['mean'])}\n[{money(figure['low'])}, {money(figure['high'])}]"


def _response_line(response: dict[str, Any]) -> str:
    figures = response["elasticity"]
    spread = figures.get("spread", figures.get("standard_error"))
    kind = "spread" if "spread" in figures else "standard error"
    return (
        f"Response model: {response['name']} (elasticity {figures['mean']:.2f}, {kind} "
        f"{spread:.2f}); {response['assumption_share']:.0%} of the uplift rests on assumption"
    )


def _result(run: SimulationRun) -> dict[str, Any]:
    result: dict[str, Any] = run.result or {}
    return result
