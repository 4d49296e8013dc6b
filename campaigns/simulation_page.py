"""What the admin's page of one simulation shows above its fields."""

from typing import Any

from campaigns.charts import day_curve
from campaigns.compare import comparable_with
from campaigns.models import SimulationRun
from campaigns.page_rows import heat_map, money_rows, segment_rows
from campaigns.progress import progress_of
from campaigns.tables import GAINS, best_by, has_best_offer, scenario_words, shown_scenario
from common.canonical_json import dumps

ROUTE = "admin:campaigns_simulationrun"


def page_of(run: SimulationRun, *, shown: int | None = None) -> dict[str, Any]:
    """The page's context; ``shown`` is the place of a scenario in the grid."""
    page: dict[str, Any] = {
        "run": run,
        "operation": run.operation,
        "progress": progress_of(run.operation, f"{ROUTE}_progress", run.id),
        "manifest": dumps(run.manifest).decode(),
    }
    return page if run.result is None else page | _result_of(run, run.result, shown)


def _result_of(run: SimulationRun, result: dict[str, Any], shown: int | None) -> dict[str, Any]:
    scenario = shown_scenario(result, shown)
    return {
        "result": result,
        "gain": GAINS[best_by(result)],
        "best": result["best_scenario"] is not None,
        "best_is_offer": has_best_offer(result),
        "margin_known": best_by(result) == "profit",
        "heat_map": heat_map(run, shown),
        "place": result["scenarios"].index(scenario),
        "words": scenario_words(scenario),
        "money_rows": money_rows(run, shown),
        "segment_rows": segment_rows(run, shown),
        "curve": day_curve(run, shown),
        "comparable": comparable_with(run),
    }
