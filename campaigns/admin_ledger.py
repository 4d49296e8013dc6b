"""Admin pages of the policy ledger: what was forecast of each launch, and what came of it."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from campaigns.models import PolicyLedgerEntry
from campaigns.tables import percent
from common.admin import ReadOnlyAdmin

STATUS_COLOURS = {
    "launching": "info", "running": "info", "settled": "success", "cancelled": "warning",
}  # fmt: skip
WIDTH, LEFT, ROW = 760, 150, 34
EMPTY = "-"


@admin.register(PolicyLedgerEntry)
class PolicyLedgerEntryAdmin(ReadOnlyAdmin):
    """The ledger; launches begin over the API and are written by services only."""

    list_display = (
        "campaign", "scenario", "shown_forecast", "shown_measured", "shown_within",
        "shown_status", "ends_at", "launched_at",
    )  # fmt: skip
    list_filter = ("status", "campaign")
    list_select_related = ("campaign",)
    ordering = ("-launched_at", "-id")
    change_form_outer_before_template = "admin/campaigns/ledger_entry.html"
    fields = (
        "id", "campaign", "scenario", "simulation", "model_version", "model_sha256", "response",
        "holdout_share", "rules", "treated", "control", "left_out", "starts_at", "ends_at",
        "offer_starts_at", "offer_ends_at", "launched_by", "launched_at", "settled_at",
    )  # fmt: skip
    readonly_fields = ("scenario",)

    @display(description="scenario")  # type: ignore[untyped-decorator]
    def scenario(self, entry: PolicyLedgerEntry) -> str:
        return scenario_of(entry)

    @display(description="forecast, per customer")  # type: ignore[untyped-decorator]
    def shown_forecast(self, entry: PolicyLedgerEntry) -> str:
        return in_words(entry, entry.forecast["per_customer"]["revenue"])

    @display(description="measured")  # type: ignore[untyped-decorator]
    def shown_measured(self, entry: PolicyLedgerEntry) -> str:
        outcomes = (entry.measured or {}).get("outcomes")
        return in_words(entry, outcomes["revenue"]["uplift"]) if outcomes else EMPTY

    @display(description="as foreseen", boolean=True)  # type: ignore[untyped-decorator]
    def shown_within(self, entry: PolicyLedgerEntry) -> bool | None:
        grades = (entry.measured or {}).get("against_forecast")
        return grades["revenue"]["within"] if grades else None

    @display(description="status", label=STATUS_COLOURS)  # type: ignore[untyped-decorator]
    def shown_status(self, entry: PolicyLedgerEntry) -> str:
        return entry.status

    def get_queryset(self, request: HttpRequest) -> QuerySet[PolicyLedgerEntry]:
        entries: QuerySet[PolicyLedgerEntry] = super().get_queryset(request)
        return entries.select_related("campaign", "simulation")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        entry = self.get_object(request, unquote(object_id))
        page = page_of(entry) if entry else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **page})


def scenario_of(entry: PolicyLedgerEntry) -> str:
    """The scenario as people say it."""
    when = f"after {entry.delay_days} days" if entry.delay_days else "at once"
    return f"{percent(str(entry.depth))} {when}"


def in_words(entry: PolicyLedgerEntry, ends: dict[str, Any]) -> str:
    """An uplift with its interval, in the currency of the forecast."""
    text = f"{float(ends['mean']):+,.2f} {entry.forecast['currency']}"
    if ends["low"] is None:
        return text
    return f"{text} [{float(ends['low']):,.2f}, {float(ends['high']):,.2f}]"


def page_of(entry: PolicyLedgerEntry) -> dict[str, Any]:
    """What the page of one launch shows above its fields."""
    measured = entry.measured or {}
    bars = {"Forecast": entry.forecast["per_customer"]["revenue"]}
    if measured.get("against_forecast"):
        grade = measured["against_forecast"]["revenue"]
        if grade["expected"]:
            bars["With sampling error"] = {"mean": grade["forecast"]["mean"], **grade["expected"]}
    if measured.get("outcomes"):
        bars["Measured"] = measured["outcomes"]["revenue"]["uplift"]
    return {
        "entry": entry,
        "scenario": scenario_of(entry),
        "chart": chart_of(entry, bars),
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
            "forecast": forecast,
            "measured": outcomes.get(name, {}).get("uplift"),
            "within": grades.get(name, {}).get("within"),
        }
        for name, forecast in entry.forecast["per_customer"].items()
    ]


def chart_of(entry: PolicyLedgerEntry, bars: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The intervals as horizontal bars over one scale that holds 0, for the SVG."""
    values = [
        float(value) for ends in bars.values() for value in ends.values() if value is not None
    ]
    low, high = min([*values, 0.0]), max([*values, 0.0])
    scale = (WIDTH - LEFT - 20) / ((high - low) or 1.0)

    def x(value: Any) -> str:
        return f"{LEFT + (float(value) - low) * scale:.1f}"

    rows = []
    for place, (name, ends) in enumerate(bars.items()):
        whole = ends["low"] is not None
        start, end = (ends["low"], ends["high"]) if whole else (ends["mean"], ends["mean"])
        row = {"name": name, "y": place * ROW + 10, "from": x(start), "mean": x(ends["mean"])}
        width = f"{(float(end) - float(start)) * scale:.1f}"
        rows.append({**row, "width": width, "text": in_words(entry, ends)})
    return {"rows": rows, "zero": x(0.0), "width": WIDTH, "height": len(rows) * ROW + 26}
