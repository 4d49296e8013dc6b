"""What only pages in a browser need: sessions, forms that cannot be forged, users, messages.

A request to the API carries its token with it and reads no cookie, so these would only cost it
time.
"""

from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.middleware.csrf import CsrfViewMiddleware

WITHOUT_COOKIES = ("/api/v1/", "/v1/")


class PagesOnly:
    """A mixin before a middleware: requests to the API pass it by."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith(WITHOUT_COOKIES):
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]  # the middleware behind this one


class PageSessionMiddleware(PagesOnly, SessionMiddleware):
    """Sessions for pages."""


class PageCsrfMiddleware(PagesOnly, CsrfViewMiddleware):
    """Forms of pages cannot be forged. A view of the API that were not exempt would be refused."""


class PageAuthenticationMiddleware(PagesOnly, AuthenticationMiddleware):
    """Users for pages."""


class PageMessageMiddleware(PagesOnly, MessageMiddleware):
    """Messages for pages."""
