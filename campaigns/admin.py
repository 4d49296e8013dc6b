"""Admin pages: what campaigns there are, whom they are for, and what they would bring."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from campaigns.admin_decisions import DecisionAdmin as DecisionAdmin
from campaigns.admin_ledger import PolicyLedgerEntryAdmin as PolicyLedgerEntryAdmin
from campaigns.admin_simulations import SimulationRunAdmin as SimulationRunAdmin
from campaigns.forms.compose import AudienceForm, CampaignForm
from campaigns.forms.service_form import ServiceFormAdmin
from campaigns.ledger import launches
from campaigns.ledger_page import forecast_words, measured_words
from campaigns.models import Audience, Campaign, PolicyLedgerEntry, Product
from campaigns.selectors import simulations
from campaigns.tables import counts_words
from common.admin import ReadOnlyAdmin

SHOWN = 10  # simulations and launches on a campaign's page


@admin.register(Campaign)
class CampaignAdmin(ServiceFormAdmin):
    """Campaigns, with what was forecast and measured of the newest launch of each."""

    form = CampaignForm
    may_add = "campaigns.add_campaign"
    intro = (
        "A discount on everything for some days, and what it costs. It is made to nobody yet: "
        "simulate it next, on an audience."
    )
    list_display = (
        "name", "offer_kind", "offer_days", "currency", "forecast", "measured", "created_by",
        "created_at",
    )  # fmt: skip
    search_fields = ("name",)
    ordering = ("-created_at", "-id")
    change_form_outer_before_template = "admin/campaigns/campaign.html"
    fields = (
        "name", "offer_kind", "offer_days", "currency", "margin_rate", "funded_share",
        "contact_cost", "fixed_cost", "budget", "created_by", "created_at", "id",
    )  # fmt: skip

    @display(description="forecast, per customer")  # type: ignore[untyped-decorator]
    def forecast(self, campaign: Campaign) -> str:
        newest = _newest_launch(campaign)
        return forecast_words(newest) if newest else "-"

    @display(description="measured")  # type: ignore[untyped-decorator]
    def measured(self, campaign: Campaign) -> str:
        newest = _newest_launch(campaign)
        return measured_words(newest) if newest else "-"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Campaign]:
        rows: QuerySet[Campaign] = super().get_queryset(request)
        return rows.prefetch_related(Prefetch("launches", launches(), to_attr="newest_first"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        context = {**(extra_context or {}), **self._page(request, object_id)}
        return super().change_view(request, object_id, form_url, context)

    def _page(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        campaign = self.get_object(request, object_id)
        if campaign is None:
            return {}
        return {
            "campaign": campaign,
            "runs": simulations(UUID(str(campaign.pk))).defer("result", "manifest")[:SHOWN],
            "launches": [
                {
                    "entry": entry,
                    "forecast": forecast_words(entry),
                    "measured": measured_words(entry),
                }
                for entry in launches(campaign.pk)[:SHOWN]
            ],
            "may_simulate": request.user.has_perm("campaigns.add_simulationrun"),
        }


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    """Products; stored over the API or by ``import_products``."""

    list_display = ("sku", "name", "category", "price", "unit_cost", "stock", "updated_at")
    list_filter = ("category",)
    search_fields = ("sku", "name")
    ordering = ("sku",)


@admin.register(Audience)
class AudienceAdmin(ServiceFormAdmin):
    """Audiences as they were evaluated; who is in them is not shown."""

    form = AudienceForm
    may_add = "campaigns.add_audience"
    intro = (
        "Whom a campaign is for. All conditions hold at once, an empty one does not count; the "
        "audience is evaluated now and stays as it is."
    )
    list_display = ("id", "size", "filter", "evaluated_at", "created_by", "created_at")
    ordering = ("-created_at", "-id")
    change_form_outer_before_template = "admin/campaigns/audience.html"
    fields = (
        "id", "filter", "size", "shown_left_out", "sha256", "evaluated_at", "model_version",
        "created_by", "created_at",
    )  # fmt: skip
    readonly_fields = ("filter", "shown_left_out")

    @display(description="filter")  # type: ignore[untyped-decorator]
    def filter(self, audience: Audience) -> str:
        conditions = (f"{name} {value}" for name, value in audience.criteria.items())
        return ", ".join(conditions).replace("_", " ") or "everybody"

    @display(description="left out")  # type: ignore[untyped-decorator]
    def shown_left_out(self, audience: Audience) -> str:
        return counts_words(audience.left_out)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        may = request.user.has_perm("campaigns.add_simulationrun")
        context = {**(extra_context or {}), "audience_id": object_id, "may_simulate": may}
        return super().change_view(request, object_id, form_url, context)


def _newest_launch(campaign: Campaign) -> PolicyLedgerEntry | None:
    found: list[PolicyLedgerEntry] = getattr(campaign, "newest_first", [])
    return found[0] if found else None
