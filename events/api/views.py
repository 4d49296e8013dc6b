"""Events over HTTP: the native way in, the feed, and one customer's stream."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from access.selectors import client_name, may
from common.api.serializers import ProblemSerializer
from common.clock import now
from customers.selectors import customer_by_pseudonym
from events import selectors
from events.api.parsers import PARSERS, sent_in
from events.api.rendering import (
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
from events.errors import EventIdConflict, EventQuarantined, EventRefused, StreamClosed
from events.services import Policy, Result, ingest

LIMIT = OpenApiParameter("limit", OpenApiTypes.INT, description="50 where left out, at most 500")
AFTER = OpenApiParameter("after", OpenApiTypes.STR, description="the cursor of an earlier answer")
TYPE = OpenApiParameter("type", OpenApiTypes.STR, description="only events of this type")
CUSTOMER = OpenApiParameter("pseudonym", OpenApiTypes.UUID, description="only this customer's")


class FeedQuery(serializers.Serializer[Any]):
    """What may be asked of the feed."""

    after = serializers.CharField(required=False, max_length=1_000)
    type = serializers.CharField(required=False, max_length=60)
    pseudonym = serializers.UUIDField(required=False)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=500)


class StreamQuery(serializers.Serializer[Any]):
    """What may be asked of a stream."""

    after = serializers.IntegerField(required=False, default=0, min_value=0, max_value=2**31 - 1)
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=500)


class EventsView(APIView):
    """POST and GET /api/v1/events/"""

    required_scopes = {"POST": ("events:write",), "GET": ("events:read",)}
    parser_classes = PARSERS

    @extend_schema(
        summary="Send one event or up to 5,000",
        tags=["events"],
        parameters=[ENCODING],
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
        },
        examples=EXAMPLES,
    )
    def post(self, request: Request) -> HttpResponse:
        sent = sent_in(request)
        policy = Policy(
            source=client_name(request)[:100],
            at=now(),
            may_register=may(request, "identities:write"),
            needs_event_id=not sent.is_single,
        )
        report = ingest(items=sent.items, policy=policy)
        if sent.is_single:
            return _single(report.results[0])
        is_clean = report.total("quarantined") == report.total("refused") == 0
        return json_response(report_body(report), 200 if is_clean else 207)

    @extend_schema(
        summary="Read the feed of all events",
        tags=["events"],
        parameters=[AFTER, TYPE, CUSTOMER, LIMIT],
        responses={
            200: FeedPageSerializer,
            (400, "application/problem+json"): ProblemSerializer,
        },
    )
    def get(self, request: Request) -> HttpResponse:
        query = FeedQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        filters = {name: str(asked[name]) for name in ("type", "pseudonym") if name in asked}
        start = position_of(asked.get("after"), filters)
        events = selectors.feed(
            start,
            asked["limit"],
            type_name=asked.get("type"),
            pseudonym=asked.get("pseudonym"),
        )
        return json_response(page_body(request, events, start, filters))


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
        return json_response({"next": url, "cursor": str(after), "results": results})


def _single(result: Result) -> HttpResponse:
    """201 with the stored event, 200 where it was stored before.

    Raises:
        EventIdConflict, StreamClosed, EventRefused, EventQuarantined: it was not stored.
    """
    if result.outcome == "accepted" or (result.outcome == "duplicate" and not result.reason):
        return _appended(result)
    if result.reason == "event_id_conflict":
        raise EventIdConflict(event_id=result.event_id)
    if result.reason == "subject_suppressed":
        raise StreamClosed()
    if result.outcome == "refused":
        raise EventRefused(reason=result.reason, detail=result.detail)
    raise EventQuarantined(reason=result.reason, detail=result.detail)


def _appended(result: Result) -> HttpResponse:
    assert result.stream is not None  # noqa: S101 - it was stored
    assert result.event_id is not None  # noqa: S101
    stored = selectors.event_by_id(result.stream, result.event_id)
    assert stored is not None  # noqa: S101
    is_new = result.outcome == "accepted"
    return json_response(
        {
            **event_body(stored),
            "duplicate": not is_new,
            "consistency_token": f"{result.stream}.{result.version}",
        },
        201 if is_new else 200,
    )
