"""Admin pages that show rows and leave writing to services."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

WINDOW = 10_000


class UncountedPaginator(Paginator):  # type: ignore[type-arg]
    """Pages of a table of any size without COUNT(*).

    It looks no further than ``WINDOW`` rows: an admin who wants the ten-thousandth row filters.
    """

    @cached_property
    def count(self) -> int:
        window: Any = self.object_list[:WINDOW]  # a LIMIT inside the count stops the scan early
        return int(window.count()) if hasattr(window, "query") else len(window)


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows can be looked at and searched, never added, changed or deleted here."""

    paginator = UncountedPaginator
    show_full_result_count = False
    list_per_page = 50
    actions: Any = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ServiceAdmin(ReadOnlyAdmin):
    """Rows as in :class:`ReadOnlyAdmin`, with actions that call services.

    Actions name their permission (``@admin.action(permissions=[...])``), as Django would otherwise
    offer them to everybody who may look.
    """

    actions: Any = ()
