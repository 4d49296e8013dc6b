"""Audiences over the API."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.selectors import client_name
from campaigns.criteria import MOST_LISTED, Criteria
from campaigns.models import Audience
from campaigns.selectors import audience_by_id
from campaigns.services import create_audience
from common.api.idempotency import idempotent
from common.api.strict import KnownFieldsOnly
from common.clock import now

EXAMPLE = {
    "filter": {
        "orders_at_least": 2,
        "recency_days_at_most": 90,
        "countries": ["GB"],
        "churn_probability_at_most": 0.6,
        "sample": 4000,
        "sample_seed": 1,
    }
}
EXAMPLE_OUT = {
    "id": "0d8a3a52-5a43-4f0e-8c55-1c9c6c1e7a90",
    **EXAMPLE,
    "evaluated_at": "2011-12-09T12:50:00.000000Z",
    "model_version": "8c1d5c6e-5e0f-4b0e-a2c5-64c2ad5d7d0f",
    "size": 1310,
    "sha256": "9d0c7be23a8fd6a8a9f2f0f1f4f38f10a8c7d4a3bb0f6f6f0a8e9d7c6b5a4f3e",
    "left_out": {
        "erased": 0, "restricted": 3, "no_twin": 12, "not_matching": 3013, "not_sampled": 0,
    },
    "created_by": "crm",
    "created_at": "2011-12-10T09:00:00.000000Z",
}  # fmt: skip


class FilterInput(KnownFieldsOnly):
    """Conditions that hold at once; one that is left out does not count."""

    what = "condition"

    orders_at_least = serializers.IntegerField(required=False)
    recency_days_at_least = serializers.FloatField(required=False)
    recency_days_at_most = serializers.FloatField(required=False)
    spend_at_least = serializers.DecimalField(max_digits=18, decimal_places=2, required=False)
    spend_at_most = serializers.DecimalField(max_digits=18, decimal_places=2, required=False)
    countries = serializers.ListField(
        child=serializers.RegexField(r"^([A-Z]{2})?\Z", allow_blank=True), required=False
    )
    churn_probability_at_least = serializers.FloatField(required=False)
    churn_probability_at_most = serializers.FloatField(required=False)
    churn_days = serializers.IntegerField(
        required=False, help_text="churn is no order within this many days; 90"
    )
    pseudonyms = serializers.ListField(
        child=serializers.UUIDField(), required=False, max_length=MOST_LISTED
    )
    sample = serializers.IntegerField(
        required=False, help_text="keep this many, chosen by a keyed hash"
    )
    sample_seed = serializers.IntegerField(required=False)


class AudienceInput(KnownFieldsOnly):
    """An audience to be evaluated."""

    filter = FilterInput()
    as_of = serializers.DateTimeField(
        required=False,
        help_text="the moment that recency and churn refer to; the newest event where left out",
    )


class AudienceSerializer(serializers.ModelSerializer[Audience]):
    """An audience as it was evaluated. Who is in it is not given out."""

    filter = serializers.JSONField(
        source="criteria", help_text="an explicit list only as its length and SHA-256"
    )
    left_out = serializers.DictField(
        child=serializers.IntegerField(), help_text="how many were left out, by the first reason"
    )

    class Meta:
        model = Audience
        fields = (
            "id", "filter", "evaluated_at", "model_version", "size", "sha256", "left_out",
            "created_by", "created_at",
        )  # fmt: skip


class AudiencesView(APIView):
    """POST /api/v1/audiences/"""

    required_scopes = ("campaigns:write",)

    @extend_schema(
        operation_id="audiences_create",
        request=AudienceInput,
        responses={201: AudienceSerializer},
        summary="Evaluate and store an audience",
        tags=["campaigns"],
        examples=[
            OpenApiExample("Faithful customers", value=EXAMPLE, request_only=True),
            OpenApiExample("Evaluated", value=EXAMPLE_OUT, response_only=True),
        ],
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        body = AudienceInput(data=request.data)
        body.is_valid(raise_exception=True)
        audience = create_audience(
            criteria=_criteria(body.validated_data["filter"]),
            as_of=body.validated_data.get("as_of"),
            created_by=client_name(request),
            at=now(),
        )
        return Response(
            AudienceSerializer(audience).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": reverse("audience", args=[audience.id])},
        )


class AudienceView(APIView):
    """GET /api/v1/audiences/{audience_id}/"""

    required_scopes = ("campaigns:read",)

    @extend_schema(
        operation_id="audiences_read",
        responses=AudienceSerializer,
        summary="Read an audience",
        tags=["campaigns"],
        examples=[OpenApiExample("An audience", value=EXAMPLE_OUT, response_only=True)],
    )
    def get(self, request: Request, audience_id: UUID) -> Response:
        return Response(AudienceSerializer(audience_by_id(audience_id)).data)


def _criteria(conditions: dict[str, Any]) -> Criteria:
    lists = {"countries": tuple, "pseudonyms": frozenset}
    return Criteria(
        **{name: lists[name](v) if name in lists else v for name, v in conditions.items()}
    )
