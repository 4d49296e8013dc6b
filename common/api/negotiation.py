"""Which parser reads a request and which renderer answers: what the framework says, sooner."""

from collections.abc import Iterable
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.utils.mediatypes import media_type_matches

ANYTHING = "*/*"


class QuickNegotiation(DefaultContentNegotiation):
    """The framework's choices; the headers that nearly all clients send are not taken apart."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> Any:
        sent: str = request.content_type
        for parser in parsers:
            if parser.media_type == sent or media_type_matches(parser.media_type, sent):
                return parser
        return None

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        asked = request.META.get("HTTP_ACCEPT", ANYTHING)
        names_no_format = not format_suffix and not request.META.get("QUERY_STRING")
        if names_no_format and asked in (ANYTHING, first.media_type):
            return first, first.media_type
        chosen: tuple[BaseRenderer, str]
        chosen = super().select_renderer(request, renderers, format_suffix)
        return chosen
