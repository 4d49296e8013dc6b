"""The Segment-compatible collector: what the SDKs that companies have already talk to."""

import base64
import binascii
import io
import logging
from typing import Any

from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.api.limits import RateLimited
from access.errors import WriteKeyMissing, WriteKeysDisagree
from access.write_keys import Source, source_of
from common.api.problems import CONTENT_TYPE, problem
from common.api.serializers import ProblemSerializer
from common.clock import now
from events.api.collector_schemas import BATCH, MESSAGE, CollectedSerializer
from events.api.unpacking import unpacked
from events.segment import ROUTES, Body, Settings, body_of, convert, messages_of
from events.services import Policy
from events.services.collect import collect

logger = logging.getLogger("dtoc.requests")

CORS = {
    "Access-Control-Allow-Origin": "*",  # a write key in a browser is public, and no cookie counts
    "Access-Control-Expose-Headers": "RateLimit, RateLimit-Policy, Retry-After, X-Request-Id",
}
PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Encoding, Content-Type, X-Retry-Count",
    "Access-Control-Max-Age": "86400",
}
RETRY_SECONDS = "5"
SAID_AS = {409: 503, 413: 400}


class AnyAccept(DefaultContentNegotiation):
    """The answer is JSON, whatever a sender says that it accepts."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class CollectorView(RateLimited, APIView):
    """What all routes under /v1/ have alike: who may call, and how errors look to an SDK."""

    authentication_classes = ()  # a write key stands where SDKs put it, in three places
    permission_classes = (AllowAny,)
    content_negotiation_class = AnyAccept

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        return Response(status=204, headers=PREFLIGHT)

    def handle_exception(self, exc: Exception) -> Response:
        """A problem document with ``code`` and ``message``; SDKs look for these two names.

        A write that lost a race is to be sent again, which an SDK does for 503 and not for 409. Too
        much of something is 400 under every limit.
        """
        try:
            response = super().handle_exception(exc)
        except Exception:
            logger.exception("request failed", extra={"request_id": self._request_id()})
            response = self._problem("internal-error", "The server failed", 500)
        body = response.data
        response.status_code = body["status"] = SAID_AS.get(
            response.status_code, response.status_code
        )
        if response.status_code in (429, 503) and "Retry-After" not in response:
            response["Retry-After"] = RETRY_SECONDS
        body |= {"code": body["type"].rpartition("/")[2], "message": body["detail"]}
        if response.status_code == 401:
            response["WWW-Authenticate"] = "Bearer"  # Basic would make a browser ask for a password
        return response

    def finalize_response(self, request: Request, response: Any, *args: Any, **kw: Any) -> Response:
        final = super().finalize_response(request, response, *args, **kw)
        for name, value in CORS.items():
            final[name] = value
        return final

    def _problem(self, slug: str, title: str, status: int) -> Response:
        detail = f"an unexpected error: report it with the request id {self._request_id()}"
        body = problem(slug=slug, title=title, status=status, detail=detail, request=self.request)
        return Response(body, status=status, content_type=CONTENT_TYPE)

    def _request_id(self) -> str:
        return str(getattr(self.request, "request_id", ""))


class CollectView(CollectorView):
    """POST /v1/track and its siblings: one message, or a batch of them."""

    route = "batch"

    def collect(self, request: Request) -> HttpResponse:
        """200 with how the messages ended; all other ends are problems."""
        at = now()
        raw = unpacked(request.stream or io.BytesIO(), request.headers.get("Content-Encoding", ""))
        body = body_of(raw)
        source = source_of(write_key_in(request, body), at)
        messages = messages_of(raw, body, self.route, at)
        self.spend(source.limit, source.counted_as, len(messages))
        told = [convert(message, settings_of(source)) for message in messages]
        collected = collect(told=told, policy=policy_of(source, at))
        return Response(
            {
                "success": True,
                "accepted": collected.total("accepted"),
                "duplicates": collected.total("duplicate"),
                "quarantined": collected.total("quarantined"),
                "refused": collected.total("refused"),
            }
        )


class NoSuchRouteView(CollectorView):
    """Whatever else is asked for under /v1/: 404 in the form that SDKs read."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        if request.method != "OPTIONS":
            names = ", ".join(sorted({f"/v1/{kind}" for kind in ROUTES.values()}))
            raise Http404(f"no route matches {request.path}: the collector has {names}")


def view_of(kind: str, *, documented: bool) -> Any:
    """The view behind the routes of ``kind`` (a value of ``ROUTES``); one of them is documented."""

    def post(self: CollectView, request: Request) -> HttpResponse:
        return self.collect(request)

    described = extend_schema(
        summary=f"Collect {'a batch' if kind == 'batch' else kind} (Segment)",
        tags=["collector"],
        operation_id=f"collect_{kind}",
        auth=[],
        request={"application/json": BATCH if kind == "batch" else MESSAGE},
        responses={
            200: CollectedSerializer,
            (400, "application/problem+json"): ProblemSerializer,
            (401, "application/problem+json"): ProblemSerializer,
            (404, "application/problem+json"): ProblemSerializer,
            (429, "application/problem+json"): ProblemSerializer,
            (503, "application/problem+json"): ProblemSerializer,
        },
    )
    shown: dict[str, Any] = {} if documented else {"schema": None}
    members = {"route": kind, "post": described(post), **shown}
    return type(f"Collect{kind.title()}View", (CollectView,), members).as_view()  # type: ignore[attr-defined]


def write_key_in(request: Request, body: Body) -> str:
    """The write key, wherever it stands.

    Raises:
        WriteKeyMissing: nowhere.
        WriteKeysDisagree: header and body carry different ones.
    """
    in_header = _in_header(request.headers.get("Authorization", ""))
    in_body = body.write_key if isinstance(body.write_key, str) else ""
    if in_header and in_body and in_header != in_body:
        raise WriteKeysDisagree()
    if not in_header and not in_body:
        raise WriteKeyMissing()
    return in_header or in_body


def settings_of(source: Source) -> Settings:
    return Settings(source.name, source.user_id_kind, source.currency)


def policy_of(source: Source, at: Any) -> Policy:
    return Policy(
        source=source.name,
        at=at,
        may_register=source.may_register,
        keeps_unknown_types=source.keeps_unknown_types,
    )


def _in_header(header: str) -> str:
    """The key in ``Bearer KEY`` or ``Basic base64(KEY:)``, whose colon may be missing."""
    scheme, _, value = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    return _decoded(value.strip()).partition(":")[0]


def _decoded(value: str) -> str:
    padded = value + "=" * (-len(value) % 4)
    try:
        return base64.b64decode(padded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return value  # no key has this form, so it is answered as one that is not known
