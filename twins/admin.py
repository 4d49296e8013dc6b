"""Admin pages: what every twin expects, and how good each model is."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.dateparse import parse_datetime
from unfold.decorators import display

from common.admin import ServiceAdmin
from common.clock import now
from common.errors import DtocError
from events.selectors import stream_versions
from twins.admin_fidelity import FidelityDayAdmin as FidelityDayAdmin
from twins.admin_history import chosen_version, history_of, shown_twin
from twins.admin_parked import ParkedStreamAdmin as ParkedStreamAdmin
from twins.admin_search import ByPseudonym
from twins.admin_why import why_of
from twins.documents import memory_of, predictions_of
from twins.gate import compared, objection
from twins.model_card import NOT_FOR, PURPOSE, card_of
from twins.models import ModelVersion, Twin, TwinSnapshot
from twins.reports import report_summary, report_tables
from twins.selectors import activations_of, find_active_model, snapshots_of
from twins.services import activate_model

STATE_COLOURS = {
    "active": "success", "rebuilt": "info", "trained": "info", "retired": "warning",
}  # fmt: skip
FOLD_COLOURS = {
    "advanced": "success", "rewound": "info", "refolded": "warning", "rebuilt": "info",
}  # fmt: skip
SHOWN_SNAPSHOTS = 15


@admin.register(Twin)
class TwinAdmin(ByPseudonym):
    """Twins; a twin's page shows what it expects at its last event and now."""

    list_display = (
        "pseudonym", "stream_version", "orders", "expects", "clock_at", "shown_mode",
        "model_version", "updated_at",
    )  # fmt: skip
    list_filter = ("model_version", "fold_mode", ("waits_since", admin.EmptyFieldListFilter))
    list_select_related = ("model_version",)
    ordering = ("-updated_at", "-id")
    change_form_outer_before_template = "admin/twins/twin.html"
    fields = (
        "pseudonym", "model_version", "stream_version", "clock_at", "fold_mode",
        "snapshot_version", "waits_since", "waiting_events", "updated_at", "memory",
    )  # fmt: skip

    @display(description="orders")  # type: ignore[untyped-decorator]
    def orders(self, twin: Twin) -> int:
        return int(twin.memory["orders"])

    @display(description="likeliest next item")  # type: ignore[untyped-decorator]
    def expects(self, twin: Twin) -> str:
        items = twin.forecast["top_items"]
        return f"{items[0]['sku']} ({items[0]['probability']:.1%})" if items else ""

    @display(description="fold", label=FOLD_COLOURS)  # type: ignore[untyped-decorator]
    def shown_mode(self, twin: Twin) -> str:
        return twin.fold_mode

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        twin = self.get_object(request, object_id)
        asked = {name: request.GET.get(name, "") for name in ("as_of", "version", "why")}
        context = {} if twin is None else twin_context(twin, **asked, at=now())
        shown: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **context}
        )
        return shown


@admin.register(TwinSnapshot)
class TwinSnapshotAdmin(ByPseudonym):
    """Copies of twins that never change."""

    list_display = ("pseudonym", "stream_version", "clock_at", "model_version", "taken_at")
    list_select_related = ("model_version",)
    ordering = ("-id",)
    fields = (
        "pseudonym", "model_version", "stream_version", "clock_at", "taken_at", "memory",
        "forecast",
    )  # fmt: skip


@admin.register(ModelVersion)
class ModelVersionAdmin(ServiceAdmin):
    """Model versions with their evaluation, and the pointer to the active one."""

    list_display = (
        "name", "shown_state", "top_10", "nll", "cut_off", "events_count", "created_at",
        "activated_at",
    )  # fmt: skip
    list_filter = ("state",)
    ordering = ("-created_at", "-id")
    actions = ("activate",)
    change_form_outer_before_template = "admin/twins/model.html"
    fields = (
        "id", "name", "state", "sha256", "cut_off", "validation_from", "events_count",
        "events_sha256", "seed", "code_version", "libraries", "created_at", "activated_at",
        "config",
    )  # fmt: skip

    @display(description="state", label=STATE_COLOURS)  # type: ignore[untyped-decorator]
    def shown_state(self, version: ModelVersion) -> str:
        return version.state

    @display(description="next item top-10")  # type: ignore[untyped-decorator]
    def top_10(self, version: ModelVersion) -> str:
        value = report_summary(version.report)["next_item_top_10"]
        return "" if value is None else f"{value:.3f}"

    @display(description="next item NLL")  # type: ignore[untyped-decorator]
    def nll(self, version: ModelVersion) -> str:
        value = version.next_item_nll
        return "" if value is None else f"{value:.3f}"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        version = self.get_object(request, object_id)
        context = {**(extra_context or {}), **(model_context(version) if version else {})}
        shown: HttpResponse = super().change_view(request, object_id, form_url, context)
        return shown

    def has_activate_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("twins.activate_modelversion"))

    @admin.action(description="Make this the active model", permissions=["activate"])
    def activate(self, request: HttpRequest, queryset: QuerySet[ModelVersion]) -> None:
        if len(queryset) != 1:
            self.message_user(request, "Choose exactly one model version.", messages.ERROR)
            return
        (version,) = queryset
        try:
            activate_model(model_id=version.id, at=now())
        except DtocError as error:
            self.message_user(request, str(error), messages.ERROR)
            return
        self.message_user(request, f"{version.name} is active; the advancer catches up.")


def model_context(version: ModelVersion) -> dict[str, Any]:
    """What the page of a model version shows: purpose, figures, the gate, and the whole card."""
    active = find_active_model()
    other = active if active and active.id != version.id else None
    return {
        "purpose": (PURPOSE, NOT_FOR),
        "tables": report_tables(version.report),
        "notes": version.report.get("validation", {}).get("notes", []),
        "active": other,
        "objection": objection(version, other) if other else "",
        "compared": compared(version, other) if other else [],
        "activations": activations_of(version),
        "card": card_of(version),
    }


def twin_context(live: Twin, *, as_of: str, version: str, why: str, at: datetime) -> dict[str, Any]:
    """What the page of a twin shows: it or its past, predictions, versions and snapshots.

    Why it predicts so is told where ``why`` asks for it: that needs the model in this process.
    """
    chosen = chosen_version(live, version)
    twin, problem = shown_twin(live, chosen)
    clock = twin.clock_at or at
    moments = {"at the last event": clock, "now": max(at, clock)}
    asked = parse_datetime(as_of)
    if asked and asked.tzinfo and asked >= clock:
        moments["as asked"] = asked
    items = twin.forecast["top_items"]
    largest = max((item["probability"] for item in items), default=1.0)
    basket = twin.forecast.get("next_basket", [])
    head = stream_versions([live.pseudonym]).get(live.pseudonym, live.stream_version)
    return {
        "twin": twin,
        "live": live,
        "problem": problem,
        "lag": head - live.stream_version,
        "items": [{**item, "width": 100 * item["probability"] / largest} for item in items],
        "basket": [{**item, "width": 100 * item["probability"]} for item in basket],
        "views": [view_of(twin, name, moment) for name, moment in moments.items()],
        "facts": memory_of(twin, as_of=max(at, clock)),
        "why": why_of(live, at=at) if why and twin is live else None,
        "history": history_of(live, chosen),
        "snapshots": snapshots_of(live.pseudonym)[:SHOWN_SNAPSHOTS],
    }


def view_of(twin: Twin, name: str, moment: datetime) -> dict[str, Any]:
    """Predictions as of one moment, as the page shows them."""
    predicted = predictions_of(twin, as_of=moment)
    days = predicted["days_to_next_order"]
    return {
        "name": name,
        "moment": moment,
        "chances": [
            {"days": name.removesuffix("_days"), "share": share, "width": 100 * share}
            for name, share in predicted["order_within"].items()
        ],
        "median": _date_in(moment, days["median"]),
        "low": _date_in(moment, days["low"]),
        "high": _date_in(moment, days["high"]),
        "churn": predicted["churn"],
        "next_days": predicted["next_90_days"],
        "line_total": predicted["next_line_total"],
    }


def _date_in(moment: datetime, days: float | None) -> str:
    """Days and the date they lead to, or that it never comes to that."""
    if days is None:
        return "not within five years"
    try:
        return f"{days:.1f} days ({moment + timedelta(days=days):%Y-%m-%d})"
    except OverflowError:
        return f"{days:,.0f} days"
