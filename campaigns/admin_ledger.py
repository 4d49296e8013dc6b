"""Admin pages of the policy ledger: launch, watch, settle; what was forecast, what came of it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import URLPattern, path
from unfold.decorators import display

from campaigns.errors import UnknownLaunch
from campaigns.forms.run import LaunchForm
from campaigns.forms.service_form import ServiceFormAdmin
from campaigns.ledger_page import (
    forecast_words,
    measured_words,
    page_of,
    response_words,
    rules_words,
    scenario_of,
)
from campaigns.models import PolicyLedgerEntry, SimulationRun
from campaigns.progress import bar_response
from campaigns.services import cancel_launch, settle_launch
from campaigns.tables import counts_words
from common.clock import now
from common.errors import DtocError

STATUS_COLOURS = {
    "launching": "info", "running": "info", "settled": "success", "cancelled": "warning",
}  # fmt: skip
NAME = "campaigns_policyledgerentry"
LAUNCHING = (
    "Launching {run}, simulated on {size} customers: everybody is assigned to an arm, the forecast "
    "of the scenario is written down, and once its window is over it is graded."
)
NO_SIMULATION = (
    "Choose a simulation that has succeeded, then launch one of its scenarios from there."
)


@admin.register(PolicyLedgerEntry)
class PolicyLedgerEntryAdmin(ServiceFormAdmin):
    """The ledger; what it holds is written by services only."""

    form = LaunchForm
    may_add = "campaigns.add_policyledgerentry"
    list_display = (
        "campaign", "scenario", "shown_forecast", "shown_measured", "shown_within",
        "shown_status", "ends_at", "launched_at",
    )  # fmt: skip
    list_filter = ("status", "campaign")
    list_select_related = ("campaign",)
    ordering = ("-launched_at", "-id")
    change_form_outer_before_template = "admin/campaigns/ledger_entry.html"
    fields = (
        "id", "campaign", "scenario", "simulation", "model_version", "model_sha256",
        "shown_response", "holdout_share", "shown_rules", "treated", "control", "shown_left_out",
        "starts_at", "ends_at", "offer_starts_at", "offer_ends_at", "launched_by", "launched_at",
        "settled_at",
    )  # fmt: skip
    readonly_fields = ("scenario", "shown_response", "shown_rules", "shown_left_out")

    @display(description="scenario")  # type: ignore[untyped-decorator]
    def scenario(self, entry: PolicyLedgerEntry) -> str:
        return scenario_of(entry)

    @display(description="response")  # type: ignore[untyped-decorator]
    def shown_response(self, entry: PolicyLedgerEntry) -> str:
        return response_words(entry)

    @display(description="rules")  # type: ignore[untyped-decorator]
    def shown_rules(self, entry: PolicyLedgerEntry) -> str:
        return rules_words(entry)

    @display(description="left out")  # type: ignore[untyped-decorator]
    def shown_left_out(self, entry: PolicyLedgerEntry) -> str:
        return counts_words(entry.left_out)

    @display(description="forecast, per customer")  # type: ignore[untyped-decorator]
    def shown_forecast(self, entry: PolicyLedgerEntry) -> str:
        return forecast_words(entry)

    @display(description="measured")  # type: ignore[untyped-decorator]
    def shown_measured(self, entry: PolicyLedgerEntry) -> str:
        return measured_words(entry)

    @display(description="as foreseen", boolean=True)  # type: ignore[untyped-decorator]
    def shown_within(self, entry: PolicyLedgerEntry) -> bool | None:
        grades = (entry.measured or {}).get("against_forecast")
        return grades["revenue"]["within"] if grades else None

    @display(description="status", label=STATUS_COLOURS)  # type: ignore[untyped-decorator]
    def shown_status(self, entry: PolicyLedgerEntry) -> str:
        return entry.status

    def get_queryset(self, request: HttpRequest) -> QuerySet[PolicyLedgerEntry]:
        entries: QuerySet[PolicyLedgerEntry] = super().get_queryset(request)
        return entries.select_related("campaign", "simulation", "operation")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        steps = {"progress": self.bar, "settle": self.settle, "cancel": self.cancel}
        own = [
            path(f"<uuid:launch_id>/{n}/", view(v), name=f"{NAME}_{n}") for n, v in steps.items()
        ]
        return [*own, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A launch is of one simulation, which the page's address names."""
        run = _simulation(request)
        if run is None and self.has_add_permission(request):
            messages.info(request, NO_SIMULATION)
            return redirect("admin:campaigns_simulationrun_changelist")
        intro = {"intro": LAUNCHING.format(run=run, size=run.audience.size)} if run else {}
        return super().add_view(request, form_url, {**(extra_context or {}), **intro})

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **kwargs)
        if obj is None:
            form.simulation = _simulation(request)
        return form

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        entry = self.get_object(request, unquote(object_id))
        page = page_of(entry) | {"may_settle": self.may_settle(request)} if entry else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **page})

    def may_settle(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("campaigns.change_policyledgerentry"))

    def bar(self, request: HttpRequest, launch_id: UUID) -> HttpResponse:
        """The progress bar alone; once all have an arm the page that asks loads itself anew."""
        entry = self.get_object(request, str(launch_id))
        if entry is None or not self.has_view_permission(request):
            raise Http404
        return bar_response(entry.operation, f"admin:{NAME}_progress", entry.id)

    def settle(self, request: HttpRequest, launch_id: UUID) -> HttpResponse:
        """Measure the launch now."""
        return self._done(request, launch_id, lambda: settle_launch(launch_id=launch_id, at=now()))

    def cancel(self, request: HttpRequest, launch_id: UUID) -> HttpResponse:
        """End the launch, which is then never measured."""
        return self._done(request, launch_id, lambda: cancel_launch(launch_id=launch_id, at=now()))

    def _done(
        self, request: HttpRequest, launch_id: UUID, step: Callable[[], PolicyLedgerEntry]
    ) -> HttpResponse:
        """The launch's page after a step; a POST, because it changes something for good."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.may_settle(request):
            raise PermissionDenied
        try:
            entry = step()
            self.log_change(request, entry, entry.status)
        except UnknownLaunch:
            raise Http404 from None
        except DtocError as error:
            messages.error(request, str(error))
        return redirect(f"admin:{NAME}_change", launch_id)


def _simulation(request: HttpRequest) -> SimulationRun | None:
    """The simulation that is to be launched; None where the address names none with a result."""
    try:
        asked = UUID(request.GET.get("simulation", ""))
    except ValueError:
        return None
    found = SimulationRun.objects.filter(id=asked, result__isnull=False)
    return found.select_related("campaign", "audience").first()
