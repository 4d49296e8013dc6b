"""Admin pages: what campaigns there are, whom they are for, and what they would bring."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from campaigns.admin_ledger import PolicyLedgerEntryAdmin as PolicyLedgerEntryAdmin
from campaigns.charts import day_curve, heat_map, money_rows, segment_rows
from campaigns.errors import UnknownSimulation
from campaigns.models import Audience, Campaign, Product, SimulationRun
from campaigns.selectors import simulation_by_id
from campaigns.services import repeat_simulation
from campaigns.tables import GAINS, best_by, csv_text, has_best_offer
from common.admin import ReadOnlyAdmin, ServiceAdmin
from common.canonical_json import dumps
from common.clock import now
from common.errors import DtocError

STATUS_COLOURS = {
    "queued": "info", "running": "info", "succeeded": "success", "failed": "danger",
    "cancelled": "warning", "expired": "warning",
}  # fmt: skip


@admin.register(Campaign)
class CampaignAdmin(ReadOnlyAdmin):
    """Campaigns; created over the API."""

    list_display = ("name", "offer_kind", "offer_days", "currency", "created_by", "created_at")
    search_fields = ("name",)
    ordering = ("-created_at", "-id")
    fields = (
        *list_display, "margin_rate", "funded_share", "contact_cost", "fixed_cost", "budget", "id",
        "its_simulations",
    )  # fmt: skip
    readonly_fields = ("its_simulations",)

    @display(description="simulations")  # type: ignore[untyped-decorator]
    def its_simulations(self, campaign: Campaign) -> SafeString:
        url = reverse("admin:campaigns_simulationrun_changelist")
        return format_html('<a href="{}?campaign__id__exact={}">Show them</a>', url, campaign.id)


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    """Products; stored over the API or by ``import_products``."""

    list_display = ("sku", "name", "category", "price", "unit_cost", "stock", "updated_at")
    list_filter = ("category",)
    search_fields = ("sku", "name")
    ordering = ("sku",)


@admin.register(Audience)
class AudienceAdmin(ReadOnlyAdmin):
    """Audiences as they were evaluated; who is in them is not shown."""

    list_display = ("id", "size", "filter", "evaluated_at", "created_by", "created_at")
    ordering = ("-created_at", "-id")
    fields = (
        "id", "filter", "size", "left_out", "sha256", "evaluated_at", "model_version",
        "created_by", "created_at",
    )  # fmt: skip
    readonly_fields = ("filter",)

    @display(description="filter")  # type: ignore[untyped-decorator]
    def filter(self, audience: Audience) -> str:
        conditions = (f"{name} {value}" for name, value in audience.criteria.items())
        return ", ".join(conditions).replace("_", " ") or "everybody"


@admin.register(SimulationRun)
class SimulationRunAdmin(ServiceAdmin):
    """Simulations with their progress, and the page with the grid and the curve."""

    list_display = ("campaign", "shown_status", "progress", "grid", "response_name", "created_at")
    list_filter = ("operation__status", "campaign")
    list_select_related = ("campaign", "operation", "audience")
    ordering = ("-created_at", "-id")
    list_after_template = "admin/campaigns/refresh.html"
    change_form_outer_before_template = "admin/campaigns/simulation.html"
    fields = (
        "id", "campaign", "audience", "grid", "horizon_days", "replicates", "seed",
        "response_name", "as_of", "repeats", "requested_by", "created_at",
    )  # fmt: skip
    readonly_fields = ("grid", "response_name")

    @display(description="status", label=STATUS_COLOURS)  # type: ignore[untyped-decorator]
    def shown_status(self, run: SimulationRun) -> str:
        return run.operation.status

    @display(description="progress")  # type: ignore[untyped-decorator]
    def progress(self, run: SimulationRun) -> SafeString:
        return render_to_string("admin/campaigns/progress.html", progress_of(run))

    @display(description="grid")  # type: ignore[untyped-decorator]
    def grid(self, run: SimulationRun) -> str:
        return f"{len(run.depths)} depths x {len(run.delays_days)} delays"

    @display(description="response")  # type: ignore[untyped-decorator]
    def response_name(self, run: SimulationRun) -> str:
        return str(run.response["kind"])

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        name = "campaigns_simulationrun"
        own = [
            path("<uuid:run_id>/csv/", view(self.csv), name=f"{name}_csv"),
            path("<uuid:run_id>/repeat/", view(self.repeat), name=f"{name}_repeat"),
        ]
        return [*own, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        unfinished = self.get_queryset(request).filter(operation__status__in=("queued", "running"))
        context = {**(extra_context or {}), "refresh": unfinished.exists()}
        return super().changelist_view(request, context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: Any = None,
    ) -> Any:
        run = self.get_queryset(request).filter(id=_uuid_or_404(object_id)).first()
        asked = request.GET.get("scenario", "")
        place = int(asked) if asked.isdecimal() and len(asked) < 6 else None
        page = page_of(run, may_repeat=self.may_repeat(request), shown=place) if run else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **page})

    def get_queryset(self, request: HttpRequest) -> QuerySet[SimulationRun]:
        runs: QuerySet[SimulationRun] = super().get_queryset(request)
        return runs.select_related("campaign", "operation", "audience")

    def csv(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """The grid as CSV."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = _run_or_404(run_id)
        if run.result is None:
            raise Http404
        name = f'attachment; filename="simulation-{run.id}.csv"'
        return HttpResponse(
            csv_text(run), content_type="text/csv", headers={"Content-Disposition": name}
        )

    def repeat(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Begin the same run again; a POST, because it changes something."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.may_repeat(request):
            raise PermissionDenied
        try:
            again = repeat_simulation(
                simulation_id=run_id, requested_by=str(request.user), at=now()
            )
        except DtocError as error:
            messages.error(request, str(error))
            return redirect("admin:campaigns_simulationrun_change", run_id)
        return redirect("admin:campaigns_simulationrun_change", again.id)

    def may_repeat(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("campaigns.add_simulationrun"))


def progress_of(run: SimulationRun) -> dict[str, Any]:
    """How far a run is, for the progress bar."""
    operation = run.operation
    share = operation.done / operation.total if operation.total else 0.0
    rate = _customers_per_second(run)
    left = (operation.total - operation.done) / rate if rate else None
    return {
        "done": operation.done,
        "total": operation.total,
        "percent": round(100 * share, 1),
        "rate": rate,
        "seconds_left": None if operation.is_finished else left,
        "refresh": not operation.is_finished,
    }


def page_of(run: SimulationRun, *, may_repeat: bool, shown: int | None = None) -> dict[str, Any]:
    """What the page of one run shows above its fields; ``shown`` is a place in the grid."""
    page: dict[str, Any] = {
        "run": run,
        "operation": run.operation,
        "progress": progress_of(run),
        "refresh": not run.operation.is_finished,
        "may_repeat": may_repeat and run.operation.is_finished,
        "manifest": dumps(run.manifest).decode(),
    }
    if run.result is not None:
        page |= {
            "result": run.result,
            "gain": GAINS[best_by(run.result)],
            "best": run.result["best_scenario"] is not None,
            "best_is_offer": has_best_offer(run.result),
            "margin_known": best_by(run.result) == "profit",
            "heat_map": heat_map(run, shown),
            "money_rows": money_rows(run, shown),
            "segment_rows": segment_rows(run, shown),
            "curve": day_curve(run, shown),
        }
    return page


def _customers_per_second(run: SimulationRun) -> float | None:
    operation = run.operation
    if operation.started_at is None or not operation.done:
        return None
    seconds = ((operation.finished_at or now()) - operation.started_at).total_seconds()
    return operation.done / seconds if seconds > 0 else None


def _run_or_404(run_id: UUID) -> SimulationRun:
    try:
        return simulation_by_id(run_id)
    except UnknownSimulation:
        raise Http404 from None


def _uuid_or_404(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None
