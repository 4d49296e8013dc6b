"""Admin pages of decisions: what may be chosen, what was decided for whom, and why."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from campaigns.models import Decision, LiveOffer
from campaigns.services import close_live_offer
from campaigns.tables import percent
from common.admin import ServiceAdmin
from common.clock import now
from twins.admin_search import ByPseudonym

ARM_COLOURS = {"treatment": "success", "control": "info", "none": "warning"}


@admin.register(LiveOffer)
class LiveOfferAdmin(ServiceAdmin):
    """Offers that decisions choose from; opened over the API, closed here too."""

    list_display = (
        "campaign", "shown_depth", "shown_skus", "holdout_share", "shown_response", "starts_at",
        "stops_at", "opened_by",
    )  # fmt: skip
    list_select_related = ("campaign",)
    ordering = ("-opened_at", "-id")
    actions = ("close",)
    fields = (
        "id", "campaign", "depth", "skus", "least_order_value", "holdout_share", "response",
        "starts_at", "ends_at", "closed_at", "opened_by", "opened_at",
    )  # fmt: skip

    @display(description="depth")  # type: ignore[untyped-decorator]
    def shown_depth(self, offer: LiveOffer) -> str:
        return percent(str(offer.depth))

    @display(description="products")  # type: ignore[untyped-decorator]
    def shown_skus(self, offer: LiveOffer) -> str:
        return f"{len(offer.skus)} named" if offer.skus else "all"

    @display(description="response")  # type: ignore[untyped-decorator]
    def shown_response(self, offer: LiveOffer) -> str:
        return str(offer.response["kind"])

    def has_close_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("campaigns.change_liveoffer"))

    @admin.action(description="Close: decisions choose it no more", permissions=["close"])
    def close(self, request: HttpRequest, queryset: QuerySet[LiveOffer]) -> None:
        for live_offer_id in queryset.values_list("id", flat=True):
            close_live_offer(live_offer_id=live_offer_id, at=now())
        self.message_user(
            request, "Closed. Whoever has been made the offer keeps it.", messages.SUCCESS
        )


@admin.register(Decision)
class DecisionAdmin(ByPseudonym):
    """Decisions with their reasons, the newest first; found by pseudonym."""

    list_display = (
        "decided_at", "pseudonym", "shown_arm", "words", "outcome", "outcome_at", "asked_by",
    )  # fmt: skip
    ordering = ("-decided_at", "-id")
    change_form_outer_before_template = "admin/campaigns/decision.html"
    fields = (
        "id", "pseudonym", "decided_at", "asked_by", "live_offer", "arm", "show_until",
        "model_version", "stream_version", "rules", "outcome", "outcome_at", "reported_at",
    )  # fmt: skip

    @display(description="arm", label=ARM_COLOURS)  # type: ignore[untyped-decorator]
    def shown_arm(self, decision: Decision) -> str:
        return decision.arm or "none"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Decision]:
        rows: QuerySet[Decision] = super().get_queryset(request)
        match = request.resolver_match
        if match is not None and (match.url_name or "").endswith("_changelist"):
            return rows.defer("candidates", "rules", "twin")  # some kilobytes each
        return rows.select_related("live_offer__campaign")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        decision = self.get_object(request, unquote(object_id))
        shown = {} if decision is None else {"decision": decision, "twin": decision.twin}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})
