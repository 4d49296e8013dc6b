"""Cursor pagination whose cursors are signed and bound to the filters of the list."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.core import signing
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import remove_query_param, replace_query_param

SALT = "dtoc.cursor"


class SignedCursorPagination(CursorPagination):
    """``next``, ``previous`` and ``results``; ``limit`` 50 where left out, at most 500.

    A cursor says where to go on in one particular list. Signed together with the list's filters, it
    is refused where somebody changed it or sends it with other filters.
    """

    page_size = 50
    max_page_size = 500
    page_size_query_param = "limit"
    cursor_query_param = "cursor"
    ordering: Any = "-created_at"
    invalid_cursor_message = "The cursor is not one of this list: start again without it."

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        self._filters = _filters_of(request)
        return super().paginate_queryset(queryset, request, view)

    def encode_cursor(self, cursor: Cursor) -> str:
        url = super().encode_cursor(cursor)
        token = parse_qs(urlsplit(url).query)[self.cursor_query_param][0]
        signed = signing.dumps([token, self._filters], salt=SALT)
        return replace_query_param(str(self.base_url), self.cursor_query_param, signed)

    def decode_cursor(self, request: Request) -> Cursor | None:
        signed = request.query_params.get(self.cursor_query_param)
        if signed is None:
            return None
        try:
            token, filters = signing.loads(signed, salt=SALT)
        except (signing.BadSignature, ValueError):
            raise NotFound(self.invalid_cursor_message) from None
        if filters != self._filters:
            raise NotFound(self.invalid_cursor_message)
        return super().decode_cursor(_WithCursor(request, self.cursor_query_param, token))  # type: ignore[arg-type]


class _WithCursor:
    """The request as the framework's own decoder expects it: with the unsigned cursor."""

    def __init__(self, request: Request, name: str, token: str) -> None:
        self.query_params = {**request.query_params.dict(), name: token}


def _filters_of(request: Request) -> str:
    url = remove_query_param(request.get_full_path(), SignedCursorPagination.cursor_query_param)
    url = remove_query_param(url, SignedCursorPagination.page_size_query_param)
    return urlsplit(url).query
