"""Errors as RFC 9457 problem documents (``application/problem+json``)."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.http import HttpRequest, JsonResponse
from rest_framework.response import Response

CONTENT_TYPE = "application/problem+json"


def problem(
    *, slug: str, title: str, status: int, detail: str, request: Any = None, **more: Any
) -> dict[str, Any]:
    """The members of a problem document; ``type`` is a URI that serves its documentation."""
    body: dict[str, Any] = {
        "type": f"/problems/{slug}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if request is not None:
        body["instance"] = request.path
        body["request_id"] = getattr(request, "request_id", "")
    return {**body, **more}


def problem_response(
    *, slug: str, title: str, status: int, detail: str, request: Any = None, **more: Any
) -> Response:
    """A DRF response that carries a problem document."""
    body = problem(slug=slug, title=title, status=status, detail=detail, request=request, **more)
    return Response(body, status=status, content_type=CONTENT_TYPE)


def plain_problem_response(
    request: HttpRequest, *, slug: str, title: str, status: int, detail: str
) -> JsonResponse:
    """The same where no view of the framework is involved (404 of the router, middleware)."""
    body = problem(slug=slug, title=title, status=status, detail=detail, request=request)
    return JsonResponse(body, status=status, content_type=CONTENT_TYPE)


def validation_errors(detail: Any, pointer: str = "") -> Iterator[dict[str, str]]:
    """What a serializer found, flat: one entry per message with a JSON Pointer to its field."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            step = "" if name == "non_field_errors" else f"/{_escaped(str(name))}"
            yield from validation_errors(inner, pointer + step)
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            nested = isinstance(inner, Mapping | list)
            yield from validation_errors(inner, f"{pointer}/{index}" if nested else pointer)
    else:
        code = str(getattr(detail, "code", "invalid"))
        yield {"detail": str(detail), "pointer": pointer, "code": code}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
