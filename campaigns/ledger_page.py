"""What the admin's page of one launch shows above its fields."""

from typing import Any

from campaigns.charts import INTERVAL_AREA, MEASURED_AREA, SAMPLING_AREA, interval_chart
from campaigns.models import PolicyLedgerEntry
from campaigns.progress import progress_of
from campaigns.tables import percent, scenario_words

ROUTE = "admin:campaigns_policyledgerentry"
NONE_YET = "-"


def scenario_of(entry: PolicyLedgerEntry) -> str:
    """The scenario as people say it."""
    return scenario_words({"depth": str(entry.depth), "delay_days": entry.delay_days})


def forecast_words(entry: PolicyLedgerEntry) -> str:
    """The uplift in revenue per customer that was forecast."""
    return _in_words(entry, entry.forecast["per_customer"]["revenue"])


def measured_words(entry: PolicyLedgerEntry) -> str:
    """The uplift in revenue per customer that was measured."""
    outcomes = (entry.measured or {}).get("outcomes")
    return _in_words(entry, outcomes["revenue"]["uplift"]) if outcomes else NONE_YET


def response_words(entry: PolicyLedgerEntry) -> str:
    """The response model, and how much of the forecast uplift rests on an assumption."""
    name, share = entry.response["name"], entry.response["assumption_share"]
    return str(name) if share is None else f"{name}; {share:.0%} of the uplift rests on assumption"


def rules_words(entry: PolicyLedgerEntry) -> str:
    """The settings that the launch keeps to."""
    rules = entry.rules
    holdout = f"{percent(str(rules['global_holdout_share']))} of all customers kept out"
    if not rules["contact_cap"]:
        return f"{holdout}, no limit on contacts"
    cap = f"at most {rules['contact_cap']} offers in {rules['contact_cap_days']} days"
    return f"{holdout}, {cap}"


def page_of(entry: PolicyLedgerEntry) -> dict[str, Any]:
    """The page's context."""
    measured = entry.measured or {}
    bars = {"Forecast": (entry.forecast["per_customer"]["revenue"], INTERVAL_AREA)}
    if measured.get("against_forecast"):
        grade = measured["against_forecast"]["revenue"]
        if grade["expected"]:
            widened = {"mean": grade["forecast"]["mean"], **grade["expected"]}
            bars["With sampling error"] = (widened, SAMPLING_AREA)
    if measured.get("outcomes"):
        bars["Measured"] = (measured["outcomes"]["revenue"]["uplift"], MEASURED_AREA)
    words = f"Uplift in revenue per customer, {entry.forecast['currency']}, with 90 % intervals"
    return {
        "entry": entry,
        "scenario": scenario_of(entry),
        "chart": interval_chart(
            {name: ends for name, (ends, _) in bars.items()},
            colours=[colour for _, colour in bars.values()],
            words=words,
        ),
        "progress": progress_of(entry.operation, f"{ROUTE}_progress", entry.id),
        "measured": measured,
        "rows": rows_of(entry),
    }


def rows_of(entry: PolicyLedgerEntry) -> list[dict[str, Any]]:
    """Every outcome of the forecast beside what was measured of it, per customer."""
    measured = entry.measured or {}
    outcomes, grades = measured.get("outcomes") or {}, measured.get("against_forecast") or {}
    return [
        {
            "name": name,
            "forecast": _shown(name, forecast),
            "measured": _shown(name, outcomes.get(name, {}).get("uplift")),
            "within": grades.get(name, {}).get("within"),
        }
        for name, forecast in entry.forecast["per_customer"].items()
    ]


def _shown(name: str, ends: dict[str, Any] | None) -> dict[str, str | None] | None:
    """Money with two digits, counts with four: they are of one customer."""
    digits = 2 if name == "revenue" else 4
    if ends is None:
        return None
    return {
        end: None if value is None else f"{float(value):,.{digits}f}" for end, value in ends.items()
    }


def _in_words(entry: PolicyLedgerEntry, ends: dict[str, Any]) -> str:
    text = f"{float(ends['mean']):+,.2f} {entry.forecast['currency']}"
    if ends["low"] is None:
        return text
    return f"{text} [{float(ends['low']):,.2f}, {float(ends['high']):,.2f}]"
