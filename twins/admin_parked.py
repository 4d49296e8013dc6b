"""The admin page of streams whose fold fails."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from common.admin import ServiceAdmin
from common.clock import now
from twins.admin_search import ByPseudonym
from twins.models import ParkedStream
from twins.services import AdvanceReport, retry_stream

MOST_SELECTED = 200


@admin.register(ParkedStream)
class ParkedStreamAdmin(ByPseudonym, ServiceAdmin):
    """Streams that the advancer passes over, why, and when they are tried again."""

    list_display = (
        "pseudonym", "error", "reason", "shown_attempts", "first_failed_at", "last_failed_at",
        "next_try_at", "model_version",
    )  # fmt: skip
    list_filter = ("error", "model_version")
    list_select_related = ("model_version",)
    ordering = ("next_try_at", "id")
    actions = ("retry_now",)

    @display(description="attempts", label="danger")  # type: ignore[untyped-decorator]
    def shown_attempts(self, parked: ParkedStream) -> int:
        return parked.attempts

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("twins.retry_parkedstream"))

    @admin.action(description="Retry now", permissions=["retry"])
    def retry_now(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        if len(queryset) > MOST_SELECTED:
            told = (
                f"Choose at most {MOST_SELECTED} streams: the others are tried when they are due."
            )
            self.message_user(request, told, messages.ERROR)
            return
        report = AdvanceReport()
        for pseudonym in queryset.values_list("pseudonym", flat=True):
            report += retry_stream(pseudonym=pseudonym, at=now(), now=True)
        level = messages.WARNING if report.parked else messages.SUCCESS
        told = f"{report.streams} streams are folded and free, {report.parked} failed again."
        self.message_user(request, told, level)
