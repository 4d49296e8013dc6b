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
from twins.errors import TwinNotAdvanced
from twins.history import past_twin
from twins.model_card import card_of
from twins.selectors import (
    LiveTwin,
    active_model,
    challenger_id,
    live_twin,
    model_version_by_id,
    model_versions,
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
        least = asked.get("min_version")
        live = live_twin(pseudonym)
        if live is None:
            customer_by_pseudonym(pseudonym)  # says so where there is no such customer
            active_model()
        if least is not None:
            live = _awaited(pseudonym, live, least, asked["wait_ms"] / 1000)
            if live is None or live.twin.stream_version < least:
                return _pending(pseudonym, live, least)
        if live is None:
            raise TwinNotAdvanced(pseudonym=pseudonym)
        return _answer(request, live, asked.get("version"), asked.get("as_of"))


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
    request: Request, live: LiveTwin, version: int | None, as_of: datetime | None
) -> Response:
    moment = truncated(as_of) if as_of else None
    past, moment = past_twin(live.twin, version=version, as_of=moment)
    headers = {"ETag": etag_of(past)}
    if matches(request, headers["ETag"]):
        return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
    # An event may be dated a little ahead of our clock.
    as_of = moment or max(now(), past.clock_at or now())
    document = document_of(past, as_of=as_of, stream_version=live.stream_version)
    return Response(document, headers=headers)  # as TwinSerializer says it, which a test compares


def _awaited(pseudonym: UUID, live: LiveTwin | None, least: int, seconds: float) -> LiveTwin | None:
    deadline = time.monotonic() + seconds
    while (live is None or live.twin.stream_version < least) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        live = live_twin(pseudonym)
    return live


def _pending(pseudonym: UUID, live: LiveTwin | None, least: int) -> Response:
    seen = live.twin.stream_version if live else 0
    body = {"pseudonym": pseudonym, "stream_version": seen, "min_version": least}
    return Response(
        TwinPendingSerializer(body).data,
        status=status.HTTP_202_ACCEPTED,
        headers={"Retry-After": RETRY_SECONDS},
    )
