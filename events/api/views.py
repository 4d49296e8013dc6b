"""Events over HTTP: the native way in, the feed, and one customer's stream."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.api.limits import RateLimited
from access.selectors import client_name, may
from common.api.serializers import ProblemSerializer
from common.clock import now
from customers.selectors import customer_by_pseudonym
from events import selectors
from events.api.parsers import PARSERS, sent_in
from events.api.rendering import (
    appended_body,
    event_body,
    json_response,
    page_body,
    position_of,
    report_body,
)
from events.api.schemas import (
    ENCODING,
    EXAMPLES,
    REQUEST_BODIES,
    AppendedEventSerializer,
    FeedPageSerializer,
    IntakeReportSerializer,
)
from events.errors import (
    EventIdConflict,
    EventQuarantined,
    EventQuarantinedBefore,
    EventRefused,
    StreamClosed,
)
from events.services import Policy, Result, ingest
from events.subscribers import representation_of, word_held

LIMIT = OpenApiParameter("limit", OpenApiTypes.INT, description="50 where left out, at most 500")
AFTER = OpenApiParameter("after", OpenApiTypes.STR, description="the cursor of an earlier answer")
TYPE = OpenApiParameter("type", OpenApiTypes.STR, description="only events of this type")
CUSTOMER = OpenApiParameter("pseudonym", OpenApiTypes.UUID, description="only this customer's")
SINCE = OpenApiParameter("since", OpenApiTypes.DATETIME, description="only what happened from then")
UNTIL = OpenApiParameter("until", OpenApiTypes.DATETIME, description="only what happened before")
REPRESENTATION = "return=representation"
PREFER = OpenApiParameter(
    "Prefer",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    enum=[REPRESENTATION],
    description=(
        f"`{REPRESENTATION}`, with a single event and the scope `twins:read`: the event is stored "
        "and folded in one call, and the answer is 200 with the new twin"
    ),
)
FILTERS = ("type", "pseudonym", "since", "until")


class FeedQuery(serializers.Serializer[Any]):
    """What may be asked of the feed."""

    after = serializers.CharField(required=False, max_length=1_000)
    type = serializers.CharField(required=False, max_length=60)
    pseudonym = serializers.UUIDField(required=False)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=500)


class StreamQuery(serializers.Serializer[Any]):
    """What may be asked of a stream."""

    after = serializers.IntegerField(required=False, default=0, min_value=0, max_value=2**31 - 1)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=500)


class EventsView(RateLimited, APIView):
    """POST and GET /api/v1/events/"""

    required_scopes = {"POST": ("events:write",), "GET": ("events:read",)}
    parser_classes = PARSERS

    @extend_schema(
        summary="Send one event or up to 5,000",
        tags=["events"],
        parameters=[ENCODING, PREFER],
        request=REQUEST_BODIES,
        responses={
            200: PolymorphicProxySerializer(
                component_name="EventsAnswer",
                serializers=[AppendedEventSerializer, IntakeReportSerializer],
                resource_type_field_name=None,
            ),
            201: AppendedEventSerializer,
            207: IntakeReportSerializer,
            (400, "application/problem+json"): ProblemSerializer,
            (403, "application/problem+json"): ProblemSerializer,
            (409, "application/problem+json"): ProblemSerializer,
            (413, "application/problem+json"): ProblemSerializer,
            (415, "application/problem+json"): ProblemSerializer,
            (422, "application/problem+json"): ProblemSerializer,
            (429, "application/problem+json"): ProblemSerializer,
        },
        examples=EXAMPLES,
    )
    def post(self, request: Request) -> HttpResponse:
        sent, at = sent_in(request), now()
        self.spend_as_client(request, len(sent.items))
        policy = Policy(
            source=client_name(request)[:100],
            at=at,
            may_register=may(request, "identities:write"),
            needs_event_id=not sent.is_single,
        )
        if sent.is_single and _prefers_representation(request):
            with word_held() as word:
                (result,) = ingest(items=sent.items, policy=policy).results
                answer = _represented(result, at)
                if answer is not None:
                    word.forget()  # the twin has seen it: no worker is needed
            return answer or _single(result)
        report = ingest(items=sent.items, policy=policy)
        if sent.is_single:
            return _single(report.results[0])
        is_clean = report.total("quarantined") == report.total("refused") == 0
        return json_response(report_body(report), 200 if is_clean else 207)

    @extend_schema(
        summary="Read the feed of all events",
        tags=["events"],
        parameters=[AFTER, TYPE, CUSTOMER, SINCE, UNTIL, LIMIT],
        responses={
            200: FeedPageSerializer,
            (400, "application/problem+json"): ProblemSerializer,
            (410, "application/problem+json"): ProblemSerializer,
        },
    )
    def get(self, request: Request) -> HttpResponse:
        query = FeedQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        filters = {name: str(asked[name]) for name in FILTERS if name in asked}
        start = position_of(asked.get("after"), filters)
        page = selectors.feed_page(
            start,
            asked["limit"],
            type_name=asked.get("type"),
            **{name: asked.get(name) for name in ("pseudonym", "since", "until")},
        )
        return json_response(page_body(request, page, filters))


class CustomerEventsView(APIView):
    """GET /api/v1/customers/{pseudonym}/events/"""

    required_scopes = ("events:read",)

    @extend_schema(
        summary="Read one customer's stream",
        tags=["events"],
        parameters=[
            OpenApiParameter("after", OpenApiTypes.INT, description="only later versions"),
            LIMIT,
        ],
        responses={
            200: FeedPageSerializer,
            (404, "application/problem+json"): ProblemSerializer,
        },
    )
    def get(self, request: Request, pseudonym: UUID) -> HttpResponse:
        query = StreamQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        customer = customer_by_pseudonym(pseudonym)
        events = selectors.stream_events(customer.pseudonym, **query.validated_data)
        after = events[-1].version if events else query.validated_data["after"]
        limit = query.validated_data["limit"]
        url = f"{request.build_absolute_uri(request.path)}?after={after}&limit={limit}"
        results = [event_body(event) for event in events]
        epoch = selectors.current_epoch()
        return json_response(
            {"next": url, "cursor": str(after), "epoch": epoch, "results": results}
        )


def _prefers_representation(request: Request) -> bool:
    """Whether the sender prefers the new twin (RFC 7240) and may read it."""
    wishes = request.META.get("HTTP_PREFER", "").replace(" ", "").lower().split(",")
    return REPRESENTATION in wishes and may(request, "twins:read")


def _represented(result: Result, at: datetime) -> HttpResponse | None:
    """The new twin where the event is stored and there is one.

    None otherwise: a preference may always be passed over, and then the answer does not name it.
    """
    if result.stream is None or result.outcome not in ("accepted", "duplicate") or result.reason:
        return None
    found = representation_of(result.stream, at)
    if found is None:
        return None
    headers = {"Preference-Applied": REPRESENTATION, "ETag": found.etag}
    return Response(found.body, headers=headers)


def _single(result: Result) -> HttpResponse:
    """201 with the stored event, 200 where it was stored before.

    Raises:
        EventIdConflict, StreamClosed, EventRefused: it was not stored, and nothing is kept.
        EventQuarantined, EventQuarantinedBefore: it was not stored, and is in quarantine.
    """
    if result.outcome == "accepted" or (result.outcome == "duplicate" and not result.reason):
        return _appended(result)
    if result.reason == "event_id_conflict":
        raise EventIdConflict(event_id=result.event_id)
    if result.reason == "subject_suppressed":
        raise StreamClosed()
    if result.outcome == "refused":
        raise EventRefused(reason=result.reason, detail=result.detail)
    if result.reason == "quarantined_before":
        raise EventQuarantinedBefore(detail=result.detail)
    raise EventQuarantined(reason=result.reason, detail=result.detail)


def _appended(result: Result) -> HttpResponse:
    is_new = result.outcome == "accepted"
    return json_response(
        {
            **(appended_body(result) if is_new else event_body(_stored(result))),
            "duplicate": not is_new,
            "consistency_token": f"{result.stream}.{result.version}",
        },
        201 if is_new else 200,
    )


def _stored(result: Result) -> selectors.FeedEvent:
    assert result.stream is not None  # noqa: S101 - it was stored
    assert result.event_id is not None  # noqa: S101
    stored = selectors.event_by_id(result.stream, result.event_id)
    assert stored is not None  # noqa: S101
    return stored
