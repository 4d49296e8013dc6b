"""Sessions, users and messages are for pages; a request to the API passes them by."""

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils.module_loading import import_string
from rest_framework.exceptions import APIException
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import FormParser, JSONParser
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from common.api.negotiation import QuickNegotiation
from dtoc_project.pages import PageCsrfMiddleware

OF_PAGES = [name for name in settings.MIDDLEWARE if name.startswith("dtoc_project.pages.")]


def seen_behind_the_middlewares(path: str) -> HttpRequest:
    """The request as a view would get it."""
    seen: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse()

    chain = view
    for name in reversed(OF_PAGES):
        chain = import_string(name)(chain)
    chain(RequestFactory().get(path))
    return seen[0]


def test_a_page_has_a_session_a_user_and_messages():
    request = seen_behind_the_middlewares("/admin/")

    assert len(OF_PAGES) == 4
    assert {"session", "user", "_messages"} <= request.__dict__.keys()


@pytest.mark.parametrize("path", ["/api/v1/events/", "/v1/track"])
def test_a_request_to_the_api_has_none(path):
    request = seen_behind_the_middlewares(path)

    assert not {"session", "user", "_messages"} & request.__dict__.keys()


def test_a_view_below_the_api_that_takes_forms_would_refuse_them():
    request = RequestFactory().post("/api/v1/form/", {"field": "value"})
    request._dont_enforce_csrf_checks = False
    middleware = PageCsrfMiddleware(lambda _: HttpResponse())

    assert middleware(request).status_code == 200
    assert middleware.process_view(request, lambda _: HttpResponse(), (), {}).status_code == 403


@pytest.mark.parametrize(
    "accept",
    [None, "*/*", "application/json", "text/html", "text/html, */*", "application/json; indent=4"],
)
@pytest.mark.parametrize("query", ["", "?format=api", "?limit=3"])
def test_the_renderer_is_the_one_that_the_framework_chooses(accept, query):
    headers = {} if accept is None else {"HTTP_ACCEPT": accept}
    request = Request(APIRequestFactory().get(f"/{query}", **headers))
    renderers = [JSONRenderer(), BrowsableAPIRenderer()]

    def chosen_by(negotiation):
        try:
            return negotiation().select_renderer(request, renderers)
        except APIException as refused:
            return type(refused)

    assert chosen_by(QuickNegotiation) == chosen_by(DefaultContentNegotiation)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "application/*", "text/csv", ""],
)
def test_the_parser_is_the_one_that_the_framework_chooses(content_type):
    request = Request(APIRequestFactory().generic("POST", "/", b"{}", content_type))
    parsers = [FormParser(), JSONParser()]

    quick, usual = (
        negotiation().select_parser(request, parsers)
        for negotiation in (QuickNegotiation, DefaultContentNegotiation)
    )

    assert quick is usual
