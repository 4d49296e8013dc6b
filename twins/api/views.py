"""Twins and model versions, to read."""

import time
from datetime import datetime
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.pagination import SignedCursorPagination
from common.api.renderers import MarkdownRenderer, MillisecondJSONRenderer
from common.clock import now, truncated
from customers.selectors import customer_by_pseudonym
from twins.api.history import PROBLEM, VersionNotKeptSerializer
from twins.api.representation import etag_of, matches
from twins.api.serializers import (
    ModelVersionDetailSerializer,
    ModelVersionSerializer,
    TwinPendingSerializer,
    TwinQuery,
    TwinSerializer,
)
from twins.documents import document_of, twin_document
from twins.history import past_twin
from twins.model_card import card_of
from twins.models import Twin
from twins.selectors import (
    active_model,
    challenger_id,
    find_twin,
    model_version_by_id,
    model_versions,
    twin_of,
)

__all__ = ["ModelCardView", "ModelListView", "ModelView", "TwinView", "twin_document"]

POLL_SECONDS = 0.025
RETRY_SECONDS = "1"


class TwinView(APIView):
    """GET /api/v1/twins/{pseudonym}/"""

    required_scopes = ("twins:read",)

    @extend_schema(
        parameters=[TwinQuery],
        responses={
            200: TwinSerializer,
            202: TwinPendingSerializer,
            (404, PROBLEM): VersionNotKeptSerializer,
            304: OpenApiResponse(description="the twin is the one that If-None-Match names"),
        },
        summary="Read a twin and its predictions",
        description=(
            "Predictions are as of now, or as of `as_of`. With `version`, and with an `as_of` "
            "before the twin's last event or before that was recorded, the answer is the twin as "
            "it was known then, under the active model; what there is no twin for answers 404 with "
            "`oldest_version` and `latest_version`. "
            "`min_version` takes the number behind the dot of a `consistency_token`: the answer is "
            "202 with `Retry-After` until the twin has seen it, after waiting up to `wait_ms`. "
            "The strong `ETag` names customer, model and stream version."
        ),
        tags=["twins"],
    )
    def get(self, request: Request, pseudonym: UUID) -> Response:
        query = TwinQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        customer_by_pseudonym(pseudonym)
        least = asked.get("min_version")
        if least is None:
            return _answer(request, twin_of(pseudonym), asked.get("version"), asked.get("as_of"))
        active_model()
        twin = _awaited(pseudonym, least, asked["wait_ms"] / 1000)
        if twin is None or twin.stream_version < least:
            return _pending(pseudonym, twin, least)
        return _answer(request, twin, asked.get("version"), asked.get("as_of"))


class ModelListView(APIView):
    """GET /api/v1/models/"""

    required_scopes = ("twins:read",)
    pagination_class = SignedCursorPagination  # read by the OpenAPI generator

    @extend_schema(
        operation_id="models_list",
        responses=ModelVersionSerializer(many=True),
        summary="List model versions, the newest first",
        tags=["models"],
    )
    def get(self, request: Request) -> Response:
        pages = self.pagination_class()
        page = pages.paginate_queryset(model_versions(), request, view=self)
        context = {"challenger_id": challenger_id()}
        rows = ModelVersionSerializer(page, many=True, context=context)
        return pages.get_paginated_response(rows.data)


class ModelView(APIView):
    """GET /api/v1/models/{model_id}/"""

    required_scopes = ("twins:read",)

    @extend_schema(
        operation_id="models_retrieve",
        responses=ModelVersionDetailSerializer,
        summary="Read one model version with its whole evaluation report",
        tags=["models"],
    )
    def get(self, request: Request, model_id: UUID) -> Response:
        version = model_version_by_id(model_id)
        context = {"challenger_id": challenger_id()}
        return Response(ModelVersionDetailSerializer(version, context=context).data)


class ModelCardView(APIView):
    """GET /api/v1/models/{model_id}/card/"""

    required_scopes = ("twins:read",)
    renderer_classes = (MarkdownRenderer, MillisecondJSONRenderer)

    @extend_schema(
        operation_id="models_card",
        responses={
            (200, MarkdownRenderer.media_type): OpenApiTypes.STR,
            (200, "application/json"): OpenApiTypes.STR,
        },
        summary="Read the card of a model version",
        description=(
            "Markdown from the version's own record: what it is for, what it learned from, its "
            "figures with baselines and intervals, its limits, and the command that makes it "
            "again. With `Accept: application/json` the same text is a JSON string."
        ),
        tags=["models"],
    )
    def get(self, request: Request, model_id: UUID) -> Response:
        return Response(card_of(model_version_by_id(model_id)))


def _answer(
    request: Request, twin: Twin, version: int | None = None, as_of: datetime | None = None
) -> Response:
    past, moment = past_twin(twin, version=version, as_of=truncated(as_of) if as_of else None)
    headers = {"ETag": etag_of(past)}
    if matches(request, headers["ETag"]):
        return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
    # An event may be dated a little ahead of our clock.
    document = document_of(past, as_of=moment or max(now(), past.clock_at or now()))
    return Response(document, headers=headers)  # as TwinSerializer says it, which a test compares


def _awaited(pseudonym: UUID, least: int, seconds: float) -> Twin | None:
    deadline = time.monotonic() + seconds
    while True:
        twin = find_twin(pseudonym)
        there = twin is not None and twin.stream_version >= least
        if there or time.monotonic() >= deadline:
            return twin
        time.sleep(POLL_SECONDS)


def _pending(pseudonym: UUID, twin: Twin | None, least: int) -> Response:
    seen = twin.stream_version if twin else 0
    body = {"pseudonym": pseudonym, "stream_version": seen, "min_version": least}
    return Response(
        TwinPendingSerializer(body).data,
        status=status.HTTP_202_ACCEPTED,
        headers={"Retry-After": RETRY_SECONDS},
    )
