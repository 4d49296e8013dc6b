"""Admin pages: what could not be stored, a way to put it right, and what is rejected right now."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import Truncator
from django.utils.timesince import timesince, timeuntil
from unfold.decorators import display

from common.admin import ServiceAdmin
from common.clock import now
from common.errors import DtocError
from events.errors import MendInvalid
from events.models import QuarantinedEvent
from events.quarantined import opened_body, readable
from events.services.bulk_replay import BulkReplay, replay_all
from events.services.mend import mend
from events.services.rejected import rejected_items
from events.services.replay import ReplayReport, replay
from events.services.resolve import discard

STATUS_COLOURS = {
    "waiting": "warning", "replayed": "success", "discarded": "danger", "expired": "info",
}  # fmt: skip
NAME = "events_quarantinedevent"
MOST_SELECTED = 1_000
REASONS = (
    "unknown_type", "schema_error", "price_not_positive", "no_customer", "unknown_customer",
    "time_in_future", "malformed",
)  # fmt: skip


class ReasonFilter(admin.SimpleListFilter):
    """The reasons that cleaning knows; asking the table for them would read all of it."""

    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.replace("_", " ")) for name in REASONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(reason=self.value()) if self.value() else queryset


class StatusFilter(admin.SimpleListFilter):
    """Those that wait, unless another status is asked for."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*QuarantinedEvent.Status.choices, ("all", "all")]

    def choices(self, changelist: Any) -> Any:
        chosen = self.value() or "waiting"
        for value, title in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": chosen == value, "query_string": query, "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = self.value() or "waiting"
        return queryset if chosen == "all" else queryset.filter(status=chosen)


@admin.register(QuarantinedEvent)
class QuarantinedEventAdmin(ServiceAdmin):
    """What could not be stored. A body is shown on demand only, and every time that is logged."""

    list_display = (
        "received", "source", "shown_reason", "shortened", "expires", "shown_status",
    )  # fmt: skip
    list_filter = (StatusFilter, ReasonFilter)
    list_per_page = 50
    ordering = ("-id",)
    search_fields = ("source",)
    search_help_text = "a whole source, event id or pseudonym"
    actions = ("replay_selected", "discard_selected")
    list_before_template = "admin/events/quarantine_list.html"
    change_form_outer_before_template = "admin/events/quarantined.html"
    fields = (
        "source", "reason", "detail", "form", "event_id", "stream", "received_at", "status",
        "expires_at", "attempts", "last_problem", "mended_at", "mended_by", "resolved_at",
        "resolved_by", "stored_event_id", "stored_version",
    )  # fmt: skip
    readonly_fields = fields

    @display(description="received", ordering="id")  # type: ignore[untyped-decorator]
    def received(self, row: QuarantinedEvent) -> str:
        at = now()
        if at - row.received_at < timedelta(minutes=1):
            return "just now"
        return f"{timesince(row.received_at, at, depth=1)} ago"

    @display(description="expires")  # type: ignore[untyped-decorator]
    def expires(self, row: QuarantinedEvent) -> str:
        if not row.is_waiting:
            return ""
        at = now()
        return f"in {timeuntil(row.expires_at, at, depth=1)}" if row.expires_at > at else "now"

    @display(description="reason")  # type: ignore[untyped-decorator]
    def shown_reason(self, row: QuarantinedEvent) -> str:
        return row.reason.replace("_", " ")

    @display(description="detail")  # type: ignore[untyped-decorator]
    def shortened(self, row: QuarantinedEvent) -> str:
        return Truncator(row.detail).chars(90)

    @display(description="status", label=STATUS_COLOURS)  # type: ignore[untyped-decorator]
    def shown_status(self, row: QuarantinedEvent) -> str:
        return row.status

    def get_queryset(self, request: HttpRequest) -> QuerySet[QuarantinedEvent]:
        rows: QuerySet[QuarantinedEvent] = super().get_queryset(request)
        return rows.defer("body")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            asked = UUID(term)
        except ValueError:
            return queryset.filter(source=term), False
        return queryset.filter(event_id=asked) | queryset.filter(stream=asked), False

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        steps = {"open": self.open, "replay": self.replay, "discard": self.discard}
        own = [path(f"<int:row_id>/{n}/", view(v), name=f"{NAME}_{n}") for n, v in steps.items()]
        own += [
            path("<int:row_id>/mend/", view(self.mend), name=f"{NAME}_mend"),
            path("replay/", view(self.replay_matching), name=f"{NAME}_replay_all"),
            path("rejected/", view(self.rejected), name="events_rejected_changelist"),
            path("rejected/data/", view(self.rejected_data), name="events_rejected_data"),
        ]
        return [*own, *super().get_urls()]

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("events.resolve_quarantined"))

    def has_open_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("events.open_quarantined"))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        chosen = {name: request.GET.get(name, "") for name in ("reason", "q")}
        context = {
            "chosen_reason": chosen["reason"],
            "chosen_source": chosen["q"],
            "may_resolve": self.has_resolve_permission(request),
        }
        return super().changelist_view(request, {**(extra_context or {}), **context})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        row = self.get_object(request, object_id)
        context = {} if row is None else self._page(request, row)
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **context}
        )

    def _page(self, request: HttpRequest, row: QuarantinedEvent, **more: Any) -> dict[str, Any]:
        return {
            "row": row,
            "may_open": row.is_waiting and self.has_open_permission(request),
            "may_resolve": row.is_waiting and self.has_resolve_permission(request),
            **more,
        }

    # One event

    def open(self, request: HttpRequest, row_id: int) -> HttpResponse:
        """The page with the body, and the form to mend it; a POST, so that no link opens one."""
        row = self._row(request, row_id, self.has_open_permission)
        try:
            body = opened_body(row, by=_who(request), at=now())
        except DtocError as error:
            messages.error(request, str(error))
            return redirect(f"admin:{NAME}_change", row_id)
        if body is None:
            return redirect(f"admin:{NAME}_change", row_id)
        return self._opened(request, row, _pretty(body))

    def mend(self, request: HttpRequest, row_id: int) -> HttpResponse:
        """The mended body is kept and replayed; where it is no event, its form comes back."""
        may = self.has_open_permission(request)  # who mends has seen the body
        row = self._row(request, row_id, self.has_resolve_permission if may else _nobody)
        text = request.POST.get("body", "")
        try:
            result = mend(row_id=row_id, body=json.loads(text), by=_who(request), at=now())
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            return self._opened(request, row, text, [{"pointer": where, "detail": error.msg}])
        except MendInvalid as invalid:
            return self._opened(request, row, text, invalid.fields["errors"])
        except DtocError as error:
            messages.error(request, str(error))
        else:
            self._tell(request, ReplayReport([result]))
        return redirect(f"admin:{NAME}_change", row_id)

    def replay(self, request: HttpRequest, row_id: int) -> HttpResponse:
        self._row(request, row_id, self.has_resolve_permission)
        self._tell(request, replay(ids=[row_id], by=_who(request), at=now()))
        return redirect(f"admin:{NAME}_change", row_id)

    def discard(self, request: HttpRequest, row_id: int) -> HttpResponse:
        self._row(request, row_id, self.has_resolve_permission)
        done = discard(ids=[row_id], by=_who(request), at=now())
        messages.info(request, "Discarded; the body is destroyed." if done else "It was resolved.")
        return redirect(f"admin:{NAME}_change", row_id)

    def _row(self, request: HttpRequest, row_id: int, may: Any) -> QuarantinedEvent:
        if request.method != "POST" or not may(request):
            raise PermissionDenied
        row = QuarantinedEvent.objects.filter(id=row_id).first()
        if row is None:
            raise Http404
        return row

    def _opened(
        self, request: HttpRequest, row: QuarantinedEvent, text: str, errors: Sequence[Any] = ()
    ) -> HttpResponse:
        page = self._page(request, row, body=text, errors=errors)
        context = {
            **self.admin_site.each_context(request),
            **page,
            "opts": self.model._meta,
            "title": str(row),
            "rows": min(max(text.count("\n") + 2, 8), 32),
        }
        return TemplateResponse(request, "admin/events/opened.html", context)

    # Many events

    @admin.action(description="Replay selected", permissions=["resolve"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        ids = self._selected(request, queryset)
        self._tell(request, replay(ids=ids, by=_who(request), at=now()))

    @admin.action(description="Discard selected", permissions=["resolve"])
    def discard_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        ids = self._selected(request, queryset)
        done = discard(ids=ids, by=_who(request), at=now())
        rest = len(ids) - done
        resolved = f" {rest} had been resolved before." if rest else ""
        self.message_user(request, f"{done} discarded, their bodies are destroyed.{resolved}")

    def _selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[int]:
        ids = list(queryset.values_list("id", flat=True)[: MOST_SELECTED + 1])
        if len(ids) > MOST_SELECTED:
            text = f"Only the first {MOST_SELECTED:,} were taken: do it again for the rest."
            self.message_user(request, text, messages.WARNING)
        return ids[:MOST_SELECTED]

    def replay_matching(self, request: HttpRequest) -> HttpResponse:
        """All that wait with the reason and of the source that the list was filtered by."""
        if request.method != "POST" or not self.has_resolve_permission(request):
            raise PermissionDenied
        reason, source = request.POST.get("reason", ""), request.POST.get("source", "")
        if not reason and not source:
            messages.error(request, "Choose a reason or a source first.")
        else:
            done = replay_all(reason=reason, source=source, by=_who(request), at=now())
            self._tell_bulk(request, done)
        return redirect(f"admin:{NAME}_changelist")

    def _tell_bulk(self, request: HttpRequest, done: BulkReplay) -> None:
        if done.report is not None:
            self._tell(request, done.report)
        elif done.operation is not None:
            total = f"{done.operation.total:,} events"
            messages.info(request, f"{total} are being replayed: see Long work for the progress.")

    def _tell(self, request: HttpRequest, report: ReplayReport) -> None:
        counts = report.counts()
        level = messages.WARNING if counts["waiting"] else messages.SUCCESS
        self.message_user(request, summary_of(report), level)

    # Live

    def rejected(self, request: HttpRequest) -> HttpResponse:
        """The page; its rows are fetched by the script in it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": "Rejected, live",
            "opts": self.model._meta,
            "source": request.GET.get("source", ""),
            "data_url": reverse("admin:events_rejected_data"),
        }
        return TemplateResponse(request, "admin/events/rejected.html", context)

    def rejected_data(self, request: HttpRequest) -> HttpResponse:
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        live = rejected_items(request.GET.get("source") or None)
        shown = {"available": live.available, "sources": live.sources, "items": live.items[:200]}
        return JsonResponse(shown)


def summary_of(report: ReplayReport) -> str:
    """What became of a replay, in one sentence or two."""
    counts, problems = report.counts(), report.problems().most_common()
    words = {
        "stored": "stored", "duplicate": "stored before", "waiting": "still waiting",
        "refused": "refused, as the person was erased", "gone": "resolved before",
    }  # fmt: skip
    told = [f"{counts[name]} {word}" for name, word in words.items() if counts[name]]
    if len(report.results) == 1 and problems:
        result = report.results[0]
        return f"Still waiting: {result.reason}: {result.detail}."
    why = ", ".join(f"{count} {reason}" for reason, count in problems)
    return f"{', '.join(told) or 'Nothing to replay'}.{f' Why they wait: {why}.' if why else ''}"


def _who(request: HttpRequest) -> str:
    return f"admin:{request.user.pk}"


def _nobody(request: HttpRequest) -> bool:
    return False


def _pretty(body: bytes) -> str:
    value = readable(body)
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
