"""Quarantine over HTTP: see, mend, replay and discard what could not be stored."""

from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.selectors import client_name
from common.api.pagination import SignedCursorPagination
from common.api.serializers import OperationSerializer, ProblemSerializer
from common.clock import now
from events.api.quarantine_schemas import (
    EXAMPLE_REPLAYED,
    EXAMPLE_ROW,
    MEND_EXAMPLES,
    BulkInput,
    BulkSerializer,
    LiveViewSerializer,
    MendInput,
    OpenedSerializer,
    QuarantinedSerializer,
    QuarantineQuery,
    RejectedQuery,
    ReplayedSerializer,
    bulk_body,
    replayed_body,
)
from events.errors import QuarantineResolved, StillQuarantined
from events.quarantined import opened_body, quarantined_by_id, quarantined_events, readable
from events.services.bulk_replay import replay_all
from events.services.mend import mend
from events.services.rejected import rejected_items
from events.services.replay import Replayed, replay, waiting_row
from events.services.resolve import discard_one

SCOPES = ("quarantine:manage",)
FILTERS = [
    OpenApiParameter("reason", OpenApiTypes.STR, description="only with this reason"),
    OpenApiParameter("source", OpenApiTypes.STR, description="only of this source"),
    OpenApiParameter(
        "status",
        OpenApiTypes.STR,
        enum=["waiting", "replayed", "discarded", "expired"],
        description="only with this status",
    ),
]
STORED = OpenApiExample("Stored", value=EXAMPLE_REPLAYED, response_only=True, status_codes=["200"])
CHANGED: Any = {
    200: ReplayedSerializer,
    (404, "application/problem+json"): ProblemSerializer,
    (409, "application/problem+json"): ProblemSerializer,
    (422, "application/problem+json"): ProblemSerializer,
}


class QuarantineView(APIView):
    """GET /api/v1/quarantine/"""

    required_scopes = SCOPES
    pagination_class = SignedCursorPagination

    @extend_schema(
        operation_id="quarantine_list",
        summary="List what could not be stored, the newest first, without bodies",
        tags=["quarantine"],
        parameters=FILTERS,
        responses={
            200: QuarantinedSerializer(many=True),
            (400, "application/problem+json"): ProblemSerializer,
        },
        filters=False,
    )
    def get(self, request: Request) -> Response:
        query = QuarantineQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        pages = SignedCursorPagination()
        pages.ordering = ("-id",)
        page = pages.paginate_queryset(quarantined_events(**query.validated_data), request, self)
        return pages.get_paginated_response(QuarantinedSerializer(page, many=True).data)


class QuarantinedView(APIView):
    """GET /api/v1/quarantine/{id}/"""

    required_scopes = SCOPES

    @extend_schema(
        operation_id="quarantine_read",
        summary="Read one; its body only where that is asked for, and logged",
        tags=["quarantine"],
        parameters=[OpenApiParameter("body", OpenApiTypes.BOOL, description="true opens the body")],
        responses={
            200: OpenedSerializer,
            (404, "application/problem+json"): ProblemSerializer,
        },
        examples=[OpenApiExample("Waiting", value=EXAMPLE_ROW, response_only=True)],
    )
    def get(self, request: Request, row_id: int) -> Response:
        row = quarantined_by_id(row_id)
        shown = dict(QuarantinedSerializer(row).data)
        if request.query_params.get("body") == "true":
            body = opened_body(row, by=client_name(request), at=now())
            shown["body"] = None if body is None else readable(body)
        return Response(shown)


class QuarantinedReplayView(APIView):
    """POST /api/v1/quarantine/{id}/replay/"""

    required_scopes = SCOPES

    @extend_schema(
        operation_id="quarantine_replay",
        summary="Send one through the door again, as it was kept",
        tags=["quarantine"],
        request=None,
        responses=CHANGED,
        examples=[STORED],
    )
    def post(self, request: Request, row_id: int) -> Response:
        waiting_row(row_id)
        report = replay(ids=[row_id], by=client_name(request), at=now())
        return _answer(report.results[0])


class QuarantinedMendView(APIView):
    """POST /api/v1/quarantine/{id}/mend/"""

    required_scopes = SCOPES

    @extend_schema(
        operation_id="quarantine_mend",
        summary="Put a corrected body in place of the sent one, and replay it",
        tags=["quarantine"],
        request=MendInput,
        responses={**CHANGED, (400, "application/problem+json"): ProblemSerializer},
        examples=MEND_EXAMPLES,
    )
    def post(self, request: Request, row_id: int) -> Response:
        sent = MendInput(data=request.data)
        sent.is_valid(raise_exception=True)
        facts = {"by": client_name(request), "at": now(), **sent.validated_data}
        return _answer(mend(row_id=row_id, **facts))


class QuarantinedDiscardView(APIView):
    """POST /api/v1/quarantine/{id}/discard/"""

    required_scopes = SCOPES

    @extend_schema(
        operation_id="quarantine_discard",
        summary="Destroy the body; reason and ids stay for a while",
        tags=["quarantine"],
        request=None,
        responses={
            200: QuarantinedSerializer,
            (404, "application/problem+json"): ProblemSerializer,
            (409, "application/problem+json"): ProblemSerializer,
        },
    )
    def post(self, request: Request, row_id: int) -> Response:
        row = discard_one(row_id=row_id, by=client_name(request), at=now())
        return Response(QuarantinedSerializer(row).data)


class QuarantineReplayView(APIView):
    """POST /api/v1/quarantine/replay/"""

    required_scopes = SCOPES

    @extend_schema(
        operation_id="quarantine_replay_all",
        summary="Replay all that wait with a reason or of a source",
        description="Up to 500 at once: 200. More of them: 202 and an operation to watch.",
        tags=["quarantine"],
        request=BulkInput,
        responses={
            200: BulkSerializer,
            202: OperationSerializer,
            (400, "application/problem+json"): ProblemSerializer,
        },
        examples=[OpenApiExample("By reason", value={"reason": "unknown_type"}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        sent = BulkInput(data=request.data)
        sent.is_valid(raise_exception=True)
        done = replay_all(**sent.validated_data, by=client_name(request), at=now())
        if done.report is not None:
            return Response(bulk_body(done.report))
        assert done.operation is not None  # noqa: S101 - one of the two
        url = reverse("operation", args=[done.operation.id])
        body = OperationSerializer(done.operation).data
        return Response(body, status=202, headers={"Location": url})


class RejectedView(APIView):
    """GET /api/v1/events/rejected/"""

    required_scopes = SCOPES

    @extend_schema(
        operation_id="events_rejected",
        summary="The last items of each source that were not accepted",
        description="A view of the last day from Redis; quarantine and counters are the truth.",
        tags=["quarantine"],
        parameters=[OpenApiParameter("source", OpenApiTypes.STR, description="only of this one")],
        responses={
            200: LiveViewSerializer,
            (400, "application/problem+json"): ProblemSerializer,
        },
    )
    def get(self, request: Request) -> Response:
        query = RejectedQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        live = rejected_items(query.validated_data["source"] or None)
        body = {"available": live.available, "sources": live.sources, "results": live.items}
        return Response(body)


def _answer(result: Replayed) -> Response:
    """200 where the event left quarantine.

    Raises:
        StillQuarantined, QuarantineResolved: it did not, or somebody was quicker.
    """
    if result.outcome == "waiting":
        raise StillQuarantined(row_id=result.row_id, reason=result.reason, detail=result.detail)
    if result.outcome == "gone":
        raise QuarantineResolved(row_id=result.row_id, status="resolved meanwhile")
    return Response(replayed_body(result))
