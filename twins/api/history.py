"""The twin's past: one version after the other, and two of them compared."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.pagination import SignedCursorPagination
from customers.selectors import customer_by_pseudonym
from twins.api.representation import matches
from twins.api.serializers import TwinDiffQuery, TwinDiffSerializer, TwinVersionSerializer
from twins.moves import diff_document, version_documents
from twins.selectors import twin_of, versions_of

PROBLEM = "application/problem+json"


class VersionNotKeptSerializer(serializers.Serializer[Any]):
    """Problem document: there is no such version. Says which there are."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    oldest_version = serializers.IntegerField(required=False)
    latest_version = serializers.IntegerField(required=False)
    first_recorded_at = serializers.CharField(required=False, allow_null=True)


class VersionPagination(SignedCursorPagination):
    """Versions, the newest first; each costs a step of the model."""

    page_size = 20
    max_page_size = 100
    ordering = "-version"


class TwinVersionsView(APIView):
    """GET /api/v1/twins/{pseudonym}/versions/"""

    required_scopes = ("twins:read",)
    pagination_class = VersionPagination  # read by the OpenAPI generator

    @extend_schema(
        operation_id="twins_versions_list",
        responses={200: TwinVersionSerializer(many=True), (404, PROBLEM): VersionNotKeptSerializer},
        summary="List a twin's versions, the newest first, and what each event moved",
        description=(
            "One row for each event that the twin has seen, under the active model. `moved` tells "
            "the figures that differ from those of the version before, both asked about the later "
            "of the two clocks. `limit` is 20 where left out, at most 100."
        ),
        tags=["twins"],
    )
    def get(self, request: Request, pseudonym: UUID) -> Response:
        customer_by_pseudonym(pseudonym)
        twin = twin_of(pseudonym)
        pages = self.pagination_class()
        page = pages.paginate_queryset(versions_of(twin), request, view=self)
        rows = TwinVersionSerializer(version_documents(twin, page), many=True)
        return pages.get_paginated_response(rows.data)


class TwinDiffView(APIView):
    """GET /api/v1/twins/{pseudonym}/diff/"""

    required_scopes = ("twins:read",)

    @extend_schema(
        parameters=[TwinDiffQuery],
        responses={
            200: TwinDiffSerializer,
            304: OpenApiResponse(description="the answer is the one that If-None-Match names"),
            (404, PROBLEM): VersionNotKeptSerializer,
        },
        summary="Compare two versions of a twin",
        description=(
            "The figures that differ, as at `from` and as at `to`, both asked about the later of "
            "the two clocks, and the items that came among the likeliest ten or left them. The "
            "strong `ETag` names customer, model and both versions; the answer never changes."
        ),
        tags=["twins"],
    )
    def get(self, request: Request, pseudonym: UUID) -> Response:
        query = TwinDiffQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        first, last = query.validated_data["from"], query.validated_data["to"]
        customer_by_pseudonym(pseudonym)
        twin = twin_of(pseudonym)
        headers = {"ETag": f'"{twin.pseudonym}.{twin.model_version_id}.{first}-{last}"'}
        if matches(request, headers["ETag"]):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
        document = diff_document(twin, first=first, last=last)
        return Response(TwinDiffSerializer(document).data, headers=headers)
