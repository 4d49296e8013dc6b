"""Admin pages of simulations: start one, watch it, read its grid, stop it, do it again."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from unfold.decorators import display

from campaigns.admin_compare import compared_csv, comparison_page
from campaigns.downloads import CSV_PARTS
from campaigns.errors import UnknownSimulation
from campaigns.forms.run import SimulationForm
from campaigns.forms.service_form import ServiceFormAdmin
from campaigns.models import SimulationRun
from campaigns.progress import bar, bar_response
from campaigns.selectors import simulation_by_id
from campaigns.services import repeat_simulation
from campaigns.simulation_page import page_of
from common.clock import now
from common.errors import DtocError
from common.operations import cancel_operation

STATUS_COLOURS = {
    "queued": "info", "running": "info", "succeeded": "success", "failed": "danger",
    "cancelled": "warning", "expired": "warning",
}  # fmt: skip
NAME = "campaigns_simulationrun"


@admin.register(SimulationRun)
class SimulationRunAdmin(ServiceFormAdmin):
    """Simulations with their progress, and the page with the grid and the curve."""

    form = SimulationForm
    may_add = "campaigns.add_simulationrun"
    intro = (
        "Each discount is simulated with each delay, beside the untreated, on the same futures of "
        "the same customers. Workers do it; the page shows how far they are."
    )
    conditional_fields = {
        "elasticity": "response_kind == 'assumed'",
        "spread": "response_kind == 'assumed'",
    }
    list_display = (
        "campaign", "shown_status", "progress", "grid", "response_name", "audience", "created_at",
    )  # fmt: skip
    list_filter = ("operation__status", "campaign")
    list_select_related = ("campaign", "operation", "audience")
    ordering = ("-created_at", "-id")
    actions = ("compare",)
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
        return bar(run.operation, f"admin:{NAME}_progress", run.id)

    @display(description="grid")  # type: ignore[untyped-decorator]
    def grid(self, run: SimulationRun) -> str:
        return f"{len(run.depths)} depths x {len(run.delays_days)} delays"

    @display(description="response")  # type: ignore[untyped-decorator]
    def response_name(self, run: SimulationRun) -> str:
        return str(run.response["kind"])

    @admin.action(description="Compare the selected simulations", permissions=["view"])
    def compare(self, request: HttpRequest, queryset: QuerySet[SimulationRun]) -> HttpResponse:
        ids = queryset.order_by("created_at", "id").values_list("id", flat=True)
        listed = ",".join(str(run_id) for run_id in ids)
        return redirect(f"{reverse(f'admin:{NAME}_compare')}?ids={listed}")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        steps = {"progress": self.bar, "repeat": self.repeat, "cancel": self.cancel}
        own = [path(f"<uuid:run_id>/{n}/", view(v), name=f"{NAME}_{n}") for n, v in steps.items()]
        own += [
            path("<uuid:run_id>/csv/<slug:part>/", view(self.csv), name=f"{NAME}_csv"),
            path("compare/", view(self.side_by_side), name=f"{NAME}_compare"),
            path("compare/csv/", view(self.side_by_side_csv), name=f"{NAME}_compare_csv"),
        ]
        return [*own, *super().get_urls()]

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
        page = page_of(run, shown=place) | self._allowed(request) if run else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **page})

    def _allowed(self, request: HttpRequest) -> dict[str, bool]:
        return {
            "may_run": self.has_add_permission(request),
            "may_launch": bool(request.user.has_perm("campaigns.add_policyledgerentry")),
        }

    def get_queryset(self, request: HttpRequest) -> QuerySet[SimulationRun]:
        runs: QuerySet[SimulationRun] = super().get_queryset(request)
        return runs.select_related("campaign", "operation", "audience")

    def bar(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """The progress bar alone; once the run has ended the page that asks loads itself anew."""
        run = self._viewed(request, run_id)
        return bar_response(run.operation, f"admin:{NAME}_progress", run.id)

    def csv(self, request: HttpRequest, run_id: UUID, part: str) -> HttpResponse:
        """The grid, the segments or the days as CSV."""
        run = self._viewed(request, run_id)
        if run.result is None or part not in CSV_PARTS:
            raise Http404
        name = f'attachment; filename="simulation-{run.id}-{part}.csv"'
        return HttpResponse(
            CSV_PARTS[part](run), content_type="text/csv", headers={"Content-Disposition": name}
        )

    def repeat(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """Begin the same run again."""

        def again() -> UUID:
            run = repeat_simulation(simulation_id=run_id, requested_by=str(request.user), at=now())
            return run.id

        return self._done(request, run_id, again)

    def cancel(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        """End the run; what has been computed of it is not shown."""

        def stopped() -> UUID:
            cancel_operation(operation_id=_run_or_404(run_id).operation_id, at=now())
            return run_id

        return self._done(request, run_id, stopped)

    def _done(self, request: HttpRequest, run_id: UUID, step: Callable[[], UUID]) -> HttpResponse:
        """The page of the run that a step leads to; a POST, because it changes something."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_add_permission(request):
            raise PermissionDenied
        try:
            return redirect(f"admin:{NAME}_change", step())
        except DtocError as error:
            messages.error(request, str(error))
            return redirect(f"admin:{NAME}_change", run_id)

    def side_by_side(self, request: HttpRequest) -> HttpResponse:
        """Two to six simulations beside each other."""
        self._check_viewing(request)
        return comparison_page(request, self.admin_site.each_context(request))

    def side_by_side_csv(self, request: HttpRequest) -> HttpResponse:
        """The same as CSV."""
        self._check_viewing(request)
        return compared_csv(request)

    def _check_viewing(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _viewed(self, request: HttpRequest, run_id: UUID) -> SimulationRun:
        self._check_viewing(request)
        return _run_or_404(run_id)


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
