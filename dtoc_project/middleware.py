"""A request id on every request, and problem documents where no view was reached."""

import logging
import re
from collections.abc import Callable
from uuid import uuid4

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse

from common.api.problems import plain_problem_response
from dtoc_project.problems import is_database_away, plain_database_away

logger = logging.getLogger("dtoc.requests")

Handler = Callable[[HttpRequest], HttpResponse]
ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
API_PREFIXES = ("/api/", "/v1/", "/opendsr/", "/problems/")


class RequestIdMiddleware:
    """Answers carry ``X-Request-Id``: the caller's where it is well-formed, else a fresh one."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        sent = request.META.get("HTTP_X_REQUEST_ID", "")  # `headers` would take all of them apart
        request_id = sent if ACCEPTED_ID.fullmatch(sent) else uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        response = self.get_response(request)
        response["X-Request-Id"] = request_id
        return response


class ProblemMiddleware:
    """Unknown routes and crashes below the API answer problem documents, never HTML.

    While the database is away every route does, the token's and the admin's too.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_page = response.get("Content-Type", "").startswith("text/html")
        if response.status_code == 404 and is_page and request.path.startswith(API_PREFIXES):
            return plain_problem_response(
                request,
                slug="not-found",
                title="There is nothing here",
                status=404,
                detail=f"no route matches {request.path}: see /api/docs/ for the routes",
            )
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if is_database_away(error):
            return plain_database_away(request)
        ordinary = isinstance(error, Http404 | PermissionDenied | SuspiciousOperation)
        if ordinary or not request.path.startswith(API_PREFIXES):
            return None
        request_id = getattr(request, "request_id", "")
        logger.exception("request failed", extra={"request_id": request_id})
        return plain_problem_response(
            request,
            slug="internal-error",
            title="The server failed",
            status=500,
            detail=f"an unexpected error: report it with the request id {request_id}",
        )
