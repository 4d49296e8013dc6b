"""The admin page of fidelity: how well the live twins foresaw what came, day by day."""

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from common.admin import ReadOnlyAdmin
from common.clock import now
from twins.fidelity import Fidelity, drift_of, fidelity_by_day, fidelity_by_segment
from twins.models import FidelityDay
from twins.selectors import active_model_id, model_versions

SHOWN_DAYS = 90
SEGMENT_DAYS = 28
TWIN_COLOUR, RIVAL_COLOUR = "rgb(16, 133, 96)", "rgb(150, 150, 165)"


@admin.register(FidelityDay)
class FidelityDayAdmin(ReadOnlyAdmin):
    """Charts above, the rows that they are drawn from below."""

    list_display = ("day", "model_version", "segment", "opens", "lines", "known", "hits_10", "nll")
    list_filter = ("model_version", "segment", "opens")
    list_select_related = ("model_version",)
    ordering = ("-day", "segment", "-opens", "slot")
    list_before_template = "admin/twins/fidelity.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        asked = request.GET.get("model_version__id__exact")
        model_id = UUID(asked) if asked else active_model_id()
        context = fidelity_context(model_id, at=now()) if model_id else {}
        shown: HttpResponse = super().changelist_view(
            request, {"title": "Fidelity", **(extra_context or {}), **context}
        )
        return shown


def fidelity_context(model_id: UUID, *, at: datetime) -> dict[str, Any]:
    """What the page shows of one model version."""
    today = at.date()
    days = fidelity_by_day(model_id, since=today - timedelta(days=SHOWN_DAYS), until=today)
    segments = fidelity_by_segment(
        model_id, since=today - timedelta(days=SEGMENT_DAYS), until=today
    )
    return {
        "fidelity_model": model_versions().filter(id=model_id).first(),
        "fidelity_days": len(days),
        "fidelity_charts": _charts(days),
        "fidelity_segments": [
            (_named(segment, opens), fidelity) for segment, opens, fidelity in segments
        ],
        "fidelity_drift": drift_of(model_id, at=at),
        "segment_days": SEGMENT_DAYS,
    }


def _named(segment: str, opens: bool) -> str:
    orders = {"first": "customers with their first order"}
    who = orders.get(segment, f"customers with {segment} orders")
    return f"{who}: {'the line that opens an order' if opens else 'further lines of an order'}"


def _charts(days: Mapping[date, Fidelity]) -> list[dict[str, str]]:
    labels = [f"{day:%d %b}" for day in days]
    values = list(days.values())
    twin_nll = [round(day.mean_nll, 3) for day in values]
    rival = [round(day.mean_popularity_nll, 3) for day in values]
    top_10 = [round(100 * day.top_10, 2) for day in values]
    return [
        {
            "title": "Surprise: nats per line, less is better",
            "data": _chart(labels, twins=twin_nll, rival=rival),
            "options": _options(legend=True),
        },
        {
            "title": "Lines whose item was among the ten likeliest, in per cent",
            "data": _chart(labels, twins=top_10),
            "options": _options(legend=False),
        },
    ]


def _chart(labels: list[str], twins: list[float], rival: list[float] | None = None) -> str:
    sets = [{"label": "the twins", "data": twins, "borderColor": TWIN_COLOUR}]
    if rival is not None:
        named = "best sellers of the last 28 days"
        sets.append({"label": named, "data": rival, "borderColor": RIVAL_COLOUR})
    return json.dumps({"labels": labels, "datasets": sets})


def _options(*, legend: bool) -> str:
    return json.dumps(
        {
            "maintainAspectRatio": False,
            "plugins": {"legend": {"display": legend, "position": "bottom", "align": "start"}},
            "scales": {"x": {"ticks": {"maxTicksLimit": 10}}, "y": {"display": True}},
        }
    )
