"""Admin pages: who is known (by pseudonym only), and what people asked for."""

import json
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from common.admin import ReadOnlyAdmin, ServiceAdmin
from common.clock import now
from common.errors import DtocError
from customers.erasure import registered_stores
from customers.links import links_of
from customers.models import Customer, DataSubjectRequest
from customers.services import request_erasure

CONFIRMATION = "erase"


@admin.register(Customer)
class CustomerAdmin(ServiceAdmin):
    """Customers by pseudonym; nothing here is ever decrypted."""

    list_display = ("pseudonym", "country", "status", "registered_at")
    list_filter = ("status", "country")
    search_fields = ("pseudonym__exact",)
    search_help_text = "a whole pseudonym"
    ordering = ("-registered_at", "pseudonym")
    fields = ("pseudonym", "country", "status", "registered_at", "identity_kinds", "see_also")
    readonly_fields = fields
    actions = ("erase",)

    @admin.display(description="Identities")
    def identity_kinds(self, customer: Customer) -> str:
        kinds = customer.identities.order_by("kind").values_list("kind", flat=True)
        return ", ".join(kinds) or "none"

    @admin.display(description="See also")
    def see_also(self, customer: Customer) -> SafeString:
        links = [(url, label) for label, url in links_of(customer.pseudonym)]
        return format_html_join(" · ", '<a class="text-primary-600" href="{}">{}</a>', links)

    def has_erase_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("customers.erase_customer"))

    @admin.action(description="Erase selected customers on request", permissions=["erase"])
    def erase(self, request: HttpRequest, queryset: QuerySet[Customer]) -> TemplateResponse | None:
        """Shows what will go; erases once the word was typed."""
        pseudonyms = list(queryset.values_list("pseudonym", flat=True))
        if request.POST.get("confirmation", "").strip().lower() != CONFIRMATION:
            return self._confirmation(request, pseudonyms)
        for pseudonym in pseudonyms:
            self._erase_one(request, pseudonym)
        return None

    def _confirmation(self, request: HttpRequest, pseudonyms: list[UUID]) -> TemplateResponse:
        counts = [
            (store.name, sum(store.count(pseudonym) for pseudonym in pseudonyms))
            for store in registered_stores()
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": f"Erase {len(pseudonyms)} customers for good",
            "pseudonyms": pseudonyms,
            "counts": counts,
            "word": CONFIRMATION,
            "opts": self.model._meta,
            "action": "erase",
        }
        return TemplateResponse(request, "admin/customers/erase_confirmation.html", context)

    def _erase_one(self, request: HttpRequest, pseudonym: UUID) -> None:
        # Messages are kept in cookies and sessions, so they name the request, never the person.
        try:
            erasure = request_erasure(
                pseudonym=pseudonym, requested_by=f"admin:{request.user.pk}", at=now()
            )
        except DtocError as error:
            self.message_user(request, error.title, messages.WARNING)
        else:
            self.message_user(request, f"Erasure {erasure.id} is under way.", messages.SUCCESS)


@admin.register(DataSubjectRequest)
class DataSubjectRequestAdmin(ReadOnlyAdmin):
    """Requests move through services only; the receipt can be read and copied here."""

    list_display = ("id", "right", "status", "due", "requested_at", "requested_by", "completed_at")
    list_filter = ("status", "right")
    search_fields = ("id__exact",)
    search_help_text = "a whole request id"
    ordering = ("-requested_at",)
    fields = (
        "id", "right", "status", "due", "requested_by", "requested_at", "completed_at", "retry_at",
        "steps_done", "found", "signed_receipt",
    )  # fmt: skip
    readonly_fields = fields

    @admin.display(description="Due", ordering="due_at")
    def due(self, request: DataSubjectRequest) -> SafeString:
        days = (request.due_at - now()).days
        colour = "gray" if not request.is_open else _traffic_light(days)
        rest = f" ({days} days left)" if request.is_open else ""
        return format_html(
            '<span style="color:{}">● </span>{}{}', colour, f"{request.due_at:%Y-%m-%d}", rest
        )

    @admin.display(description="Steps")
    def steps_done(self, request: DataSubjectRequest) -> SafeString:
        lines = [(step["name"], step["done_at"], _facts(step)) for step in request.steps]
        return format_html_join("", "<div>✓ {} <small>{} {}</small></div>", lines)

    @admin.display(description="Still found")
    def found(self, request: DataSubjectRequest) -> str:
        return "; ".join(f"{f['what']} in {f['place']}" for f in request.findings) or "nothing"

    @admin.display(description="Receipt")
    def signed_receipt(self, request: DataSubjectRequest) -> SafeString:
        style = "white-space: pre-wrap; overflow-wrap: anywhere"  # the key is one long line
        return format_html('<pre style="{}">{}</pre>', style, _pretty(request.receipt))


def _traffic_light(days_left: int) -> str:
    if days_left < 3:
        return "red"
    return "orange" if days_left < 10 else "green"


def _facts(step: dict[str, Any]) -> str:
    counts = {name: n for name, n in step.items() if isinstance(n, int) and name != "attempt"}
    return ", ".join(f"{name} {n}" for name, n in counts.items())


def _pretty(receipt: dict[str, Any] | None) -> str:
    return json.dumps(receipt, indent=2) if receipt else "not yet"
