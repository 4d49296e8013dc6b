"""Looking at the store: events, streams, quarantine and counters, all of them read-only."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import F, QuerySet
from django.db.models.expressions import RawSQL
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin
from events.admin_imports import ExportAdmin as ExportAdmin
from events.admin_imports import ImportAdmin as ImportAdmin
from events.admin_quarantine import QuarantinedEventAdmin as QuarantinedEventAdmin
from events.admin_types import CustomTypeAdmin as CustomTypeAdmin
from events.catalogue import CATALOGUE
from events.custom_types import custom_type_names
from events.models import Event, Intake, Stream


class EventTypeFilter(admin.SimpleListFilter):
    """The types that there are; asking the table for its distinct types would read all of it."""

    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in sorted([*CATALOGUE, *custom_type_names()])]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        return queryset.filter(type=self.value()) if self.value() else queryset


class OutlierFilter(admin.SimpleListFilter):
    """Order lines far from what their item usually sells like; a small index holds them."""

    title = "mark"
    parameter_name = "mark"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("outlier", "outlier")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> QuerySet[Event]:
        if self.value() == "outlier":
            return queryset.filter(metadata__contains={"outlier": True})
        return queryset


class LagFilter(admin.SimpleListFilter):
    """Streams whose twin has events to fold."""

    title = "twin"
    parameter_name = "lag"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("behind", "behind")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Stream]) -> QuerySet[Stream]:
        if self.value() == "behind":
            return queryset.filter(version__gt=F("advanced_version"))
        return queryset


class ByPseudonym(ReadOnlyAdmin):
    """Search takes a whole pseudonym; anything else finds nothing, and reads nothing."""

    search_fields = ("stream",)
    search_help_text = "a whole pseudonym"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term:
            return queryset, False
        try:
            return queryset.filter(stream=UUID(search_term.strip())), False
        except ValueError:
            return queryset.none(), False


@admin.register(Event)
class EventAdmin(ByPseudonym):
    """Events in the order of their arrival, the newest first."""

    list_display = (
        "occurred_at", "type", "stream", "version", "is_technical", "is_outlier", "recorded_at",
    )  # fmt: skip
    list_filter = (EventTypeFilter, OutlierFilter)
    # With the key behind them: the feed's index.
    ordering = (RawSQL("events_event.epoch", ()).desc(), RawSQL("events_event.txid", ()).desc())

    @admin.display(boolean=True, description="technical")
    def is_technical(self, event: Event) -> bool:
        return bool(event.metadata.get("technical"))

    @admin.display(boolean=True, description="outlier")
    def is_outlier(self, event: Event) -> bool:
        return bool(event.metadata.get("outlier"))


@admin.register(Stream)
class StreamAdmin(ByPseudonym):
    """How far each stream has come, and how far its twin."""

    list_display = ("stream", "version", "advanced_version", "lag_events", "shard")
    list_filter = (LagFilter,)
    ordering = ("stream",)


@admin.register(Intake)
class IntakeAdmin(ReadOnlyAdmin):
    """The counters of the intake, one row for each slot."""

    list_display = ("source", "outcome", "reason", "slot", "count")
    list_filter = ("outcome",)
    ordering = ("source", "outcome", "reason", "slot")
