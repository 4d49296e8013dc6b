"""Looking at imports and exports; the only thing to do here is to cancel an import."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from common.admin import ReadOnlyAdmin, ServiceAdmin
from common.clock import now
from common.errors import DtocError
from events.api.import_schemas import OUTCOMES, report_body
from events.models_imports import Export, Import
from events.services.uploads import cancel_import

STATUS_COLOURS = {
    "queued": "info", "running": "info", "succeeded": "success", "failed": "danger",
    "cancelled": "warning", "expired": "warning",
}  # fmt: skip


@admin.register(Import)
class ImportAdmin(ServiceAdmin):
    """Imports with their progress and report, those of the command line among them."""

    list_display = (
        "file_name", "mapping", "shown_status", "progress", "accepted", "quarantined",
        "requested_by", "created_at",
    )  # fmt: skip
    list_filter = ("operation__status", "mapping")
    list_select_related = ("operation",)
    ordering = ("-created_at", "-id")
    fields = (
        "id", "file_name", "file_format", "file_bytes", "file_sha256", "mapping", "source",
        "shown_status", "progress", "report", "problem", "requested_by", "created_at",
    )  # fmt: skip
    readonly_fields = ("shown_status", "progress", "report", "problem")
    actions = ("cancel",)

    @display(description="status", label=STATUS_COLOURS)  # type: ignore[untyped-decorator]
    def shown_status(self, record: Import) -> str:
        return record.operation.status

    @display(description="progress")  # type: ignore[untyped-decorator]
    def progress(self, record: Import) -> str:
        total = record.operation.total
        share = f" ({record.rows / total:.0%})" if total else ""
        return f"{record.rows:,} of {total:,} rows{share}" if total else f"{record.rows:,} rows"

    @display(description="accepted")  # type: ignore[untyped-decorator]
    def accepted(self, record: Import) -> str:
        return f"{report_body(record)['accepted']:,}"

    @display(description="quarantined")  # type: ignore[untyped-decorator]
    def quarantined(self, record: Import) -> str:
        return f"{report_body(record)['quarantined']:,}"

    @display(description="report")  # type: ignore[untyped-decorator]
    def report(self, record: Import) -> SafeString:
        body = report_body(record)
        lines = [(label, f"{body[label]:,}", _reasons(body, label)) for label in OUTCOMES]
        return format_html_join("", "<div>{} {}{}</div>", lines)

    @display(description="problem")  # type: ignore[untyped-decorator]
    def problem(self, record: Import) -> str:
        return str((record.operation.error or {}).get("detail", ""))

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("events.cancel_import")

    @admin.action(description="Cancel selected imports", permissions=["cancel"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Import]) -> None:
        for import_id in queryset.values_list("id", flat=True):
            try:
                cancel_import(import_id=import_id, at=now())
            except DtocError as error:
                self.message_user(request, str(error), messages.WARNING)


def _reasons(body: dict[str, Any], label: str) -> SafeString:
    told = ", ".join(f"{why} {n:,}" for why, n in body["reasons"].get(label, {}).items())
    return format_html(" ({})", told) if told else SafeString("")


@admin.register(Export)
class ExportAdmin(ReadOnlyAdmin):
    """Where copies of the store lie, as far as this installation made them."""

    list_display = ("location", "file_format", "state", "rows", "taken_at")
    list_filter = ("state",)
    ordering = ("-taken_at", "-id")
