"""A simulation as text: the grid as a table, the summary below it, and CSV."""

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from rich.table import Table

from campaigns.models import SimulationRun

ENDS = ("mean", "low", "high")
CSV_NAMES = {
    "uplift": ("revenue", "orders", "buyers", "discount_cost"),
    "treated": ("revenue", "orders", "buyers", "discount_cost"),
    "economics": ("cost", "margin", "profit", "roi", "bought_anyway", "after_offer"),
}
CSV_FIGURES = [
    (part, name, end) for part, names in CSV_NAMES.items() for name in names for end in ENDS
]
CSV_FACTS = ("payback_days", "within_budget")


GAINS = {"profit": "Profit", "revenue": "Incremental revenue"}


def grid_table(run: SimulationRun) -> Table:
    """Profit or incremental revenue with its 90 % interval: depths down, delays across."""
    result = _result(run)
    title = f"{GAINS[best_by(result)]} in {result['currency']} over {run.horizon_days} days"
    table = Table(title=title, caption="mean over replicates, 90 % prediction interval below it")
    table.add_column("discount", justify="right")
    for delay in run.delays_days:
        table.add_column("at once" if delay == 0 else f"after {delay} d", justify="right")
    rows = iter(result["scenarios"])
    for depth in run.depths:
        cells = [_cell(gain_of(result, next(rows))) for _ in run.delays_days]
        table.add_row(percent(depth), *cells)
    return table


def summary(run: SimulationRun) -> Iterator[str]:
    """What a reader of the table has to know."""
    result = _result(run)
    people, control = result["customers"], result["control"]
    yield (
        f"{people['simulated']:,} twins x {len(result['scenarios'])} scenarios and the untreated "
        f"control x {run.replicates} replicates{_duration(run)}"
    )
    yield (
        f"Untreated: revenue {money(control['revenue']['mean'])} {result['currency']}, "
        f"{control['orders']['mean']:,.1f} orders, {control['buyers']['mean']:,.1f} buyers"
    )
    yield _best_line(result)
    if unknown := result.get("economics", {}).get("unknown"):
        yield unknown
    yield _response_line(result["response"])
    yield "A discount of 0 % equals the untreated twins, so its uplift is exactly 0: [0, 0]."
    yield f"Simulation {run.id}, seed {run.seed}, manifest SHA-256 {run.manifest_sha256}"


def csv_text(run: SimulationRun) -> str:
    """One row per scenario: uplifts, totals, and what they were computed with."""
    out = io.StringIO()
    writer = csv.writer(out)
    facts = ["currency", "response", "seed", "manifest_sha256"]
    names = ["_".join(figure) for figure in CSV_FIGURES]
    writer.writerow(["depth", "delay_days", *names, *CSV_FACTS, *facts])
    result = _result(run)
    shared = [result["currency"], result["response"]["name"], run.seed, run.manifest_sha256]
    for scenario in result["scenarios"]:
        figures = [_figure(scenario, *figure) for figure in CSV_FIGURES]
        figures += [scenario.get("economics", {}).get(fact) for fact in CSV_FACTS]
        writer.writerow([scenario["depth"], scenario["delay_days"], *figures, *shared])
    return out.getvalue()


def _figure(scenario: dict[str, Any], part: str, name: str, end: str) -> Any:
    """One figure; None, an empty cell, where it is not known."""
    interval = scenario.get(part, {}).get(name)
    return None if interval is None else interval[end]


def money(text: str) -> str:
    """An amount with separators and without the cents, which are far inside the interval."""
    value = Decimal(text)
    whole = abs(value) >= 1000
    return f"{round(value, 0 if whole else 2) + 0:,.{0 if whole else 2}f}"  # + 0: no negative zero


def percent(share: str) -> str:
    """A share as people say it."""
    return f"{(Decimal(share) * 100).normalize():f} %"


def counts_words(counts: dict[str, int]) -> str:
    """Counts by reason as people read them; those of 0 are left out."""
    parts = [f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count]
    return ", ".join(parts) or "nobody"


def scenario_words(scenario: dict[str, Any]) -> str:
    """A scenario as people say it."""
    delay = scenario["delay_days"]
    return f"{percent(scenario['depth'])} {f'after {delay} days' if delay else 'at once'}"


def best_by(result: dict[str, Any]) -> str:
    """What the best scenario is best by."""
    return str(result.get("best_by", "revenue"))


def gain_of(result: dict[str, Any], scenario: dict[str, Any]) -> dict[str, str]:
    """The figure of a scenario that the run's scenarios are compared by, with its interval."""
    gain: dict[str, str] = (
        scenario["economics"]["profit"]
        if best_by(result) == "profit"
        else scenario["uplift"]["revenue"]
    )
    return gain


def shown_scenario(result: dict[str, Any], asked: int | None = None) -> dict[str, Any]:
    """The scenario that is shown in detail: the one asked for, else the best offer.

    That is the best scenario or, where it is to offer nothing or the budget allows none, the one
    that gains most of those with an offer; where there is no offer at all, the last scenario.
    """
    scenarios: list[dict[str, Any]] = result["scenarios"]
    if asked is not None and 0 <= asked < len(scenarios):
        return scenarios[asked]
    if has_best_offer(result):
        return scenarios[int(result["best_scenario"])]
    offers = [scenario for scenario in scenarios if is_offer(scenario)]
    gains = [Decimal(gain_of(result, scenario)["mean"]) for scenario in offers]
    return offers[gains.index(max(gains))] if offers else scenarios[-1]


def has_best_offer(result: dict[str, Any]) -> bool:
    """Whether the best scenario is to offer something."""
    place = result["best_scenario"]
    return place is not None and is_offer(result["scenarios"][place])


def is_offer(scenario: dict[str, Any]) -> bool:
    """Whether anything is offered: a depth of 0 is no campaign."""
    return Decimal(scenario["depth"]) > 0


def _best_line(result: dict[str, Any]) -> str:
    if result["best_scenario"] is None:
        budget = result["economics"]["budget"]
        return f"No scenario costs at most {money(budget)} {result['currency']}, the budget"
    best = result["scenarios"][result["best_scenario"]]
    gain = gain_of(result, best)
    if not is_offer(best):
        return f"No offer is the best scenario by {best_by(result)}: none of the others gains"
    return (
        f"Best scenario by {best_by(result)}: {percent(best['depth'])} after "
        f"{best['delay_days']} days, {money(gain['mean'])} {result['currency']} "
        f"[{money(gain['low'])}, {money(gain['high'])}]"
    )


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
