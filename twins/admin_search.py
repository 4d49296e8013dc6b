"""Searching tables of any size by pseudonym."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin


class ByPseudonym(ReadOnlyAdmin):
    """Rows found by their exact pseudonym: a search by parts would scan the table."""

    search_fields = ("pseudonym",)
    search_help_text = "The whole pseudonym (a UUID)"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        try:
            return queryset.filter(pseudonym=UUID(search_term.strip())), False
        except ValueError:
            return queryset.none(), False
