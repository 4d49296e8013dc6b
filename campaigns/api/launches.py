"""Launches over the API: begin, watch, hand over, settle or cancel them, and see who is exposed."""

import csv
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.selectors import client_name
from campaigns.api.ledger import LaunchSerializer
from campaigns.ledger import (
    campaign_exposures,
    customer_exposures,
    handed_over,
    launch_by_id,
    launched_by_id,
)
from campaigns.models import Exposure, PolicyLedgerEntry
from campaigns.selectors import campaign_by_id
from campaigns.services import cancel_launch, launch_campaign, settle_launch
from common.api.idempotency import idempotent
from common.api.pagination import SignedCursorPagination
from common.api.renderers import MarkdownRenderer, MillisecondJSONRenderer
from common.api.serializers import OperationSerializer
from common.api.strict import KnownFieldsOnly
from common.canonical_json import iso
from common.clock import now
from customers.selectors import customer_by_pseudonym

EXAMPLE = {
    "simulation_id": "f2b1a7c4-7a0d-4a77-8b0c-6a2f9d8e1c33",
    "depth": "0.1",
    "delay_days": 0,
    "holdout_share": "0.1",
}
COLUMNS = ("pseudonym", "arm", "depth", "starts_at", "ends_at")
ARMS = [("treatment", "treatment"), ("control", "control")]


class LaunchInput(KnownFieldsOnly):
    """One scenario of a simulation, to be made real."""

    simulation_id = serializers.UUIDField(help_text="of this campaign, and finished")
    depth = serializers.DecimalField(
        max_digits=6, decimal_places=5, help_text="as in the simulation"
    )
    delay_days = serializers.IntegerField(help_text="as in the simulation")
    holdout_share = serializers.DecimalField(
        max_digits=5,
        decimal_places=4,
        required=False,
        help_text="share of the customers who are not made the offer, 0 to 0.9; 0.1",
    )
    starts_at = serializers.DateTimeField(
        required=False,
        help_text="where what they do begins to count; now. In the past for imported history",
    )
    window_days = serializers.IntegerField(
        required=False, help_text="for how long it counts; the horizon of the simulation"
    )


class LaunchOperationSerializer(OperationSerializer):
    """The operation of a launch that has begun."""

    launch_id = serializers.UUIDField(source="launch.id")
    launch_url = serializers.SerializerMethodField()

    class Meta(OperationSerializer.Meta):
        fields: tuple[str, ...] = (  # type: ignore[assignment]  # longer than the base's
            *OperationSerializer.Meta.fields,
            "launch_id",
            "launch_url",
        )

    def get_launch_url(self, operation: Any) -> str:
        return reverse("launch", args=[operation.launch.id])


class ExposureSerializer(serializers.ModelSerializer[Exposure]):
    """A customer in one arm of a campaign, by a launch or by a decision."""

    campaign_id = serializers.UUIDField()
    launch_id = serializers.UUIDField(allow_null=True, help_text="null where a decision was it")
    live_offer_id = serializers.UUIDField(allow_null=True)
    exposure_id = serializers.UUIDField(
        source="decision", allow_null=True, help_text="of the decision; null where a launch was it"
    )
    arm = serializers.ChoiceField(choices=ARMS)
    depth = serializers.DecimalField(max_digits=6, decimal_places=5, normalize_output=True)

    class Meta:
        model = Exposure
        fields = (
            "pseudonym", "campaign_id", "launch_id", "live_offer_id", "exposure_id", "arm", "depth",
            "assigned_at",
        )  # fmt: skip


class ArmQuery(serializers.Serializer[Any]):
    arm = serializers.ChoiceField(choices=ARMS, required=False, help_text="both where left out")


class ExportQuery(serializers.Serializer[Any]):
    arm = serializers.ChoiceField(
        choices=[*ARMS, ("all", "all")], default="treatment", help_text="treatment where left out"
    )


class CsvRenderer(MarkdownRenderer):
    """So that ``Accept: text/csv`` is taken; the lines themselves are streamed past renderers."""

    media_type = "text/csv"
    format = "csv"


class CampaignLaunchesView(APIView):
    """POST /api/v1/campaigns/{campaign_id}/launches/"""

    required_scopes = ("campaigns:write",)

    @extend_schema(
        operation_id="campaigns_launches_create",
        request=LaunchInput,
        responses={202: LaunchOperationSerializer},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                str,
                OpenApiParameter.HEADER,
                required=True,
                description="a fresh UUID for every new request, the same one for a retry",
            )
        ],
        summary="Launch a campaign: assign its arms and open its entry in the policy ledger",
        tags=["launches"],
        examples=[
            OpenApiExample("A tenth off, a tenth held out", value=EXAMPLE, request_only=True)
        ],
    )
    @idempotent(required=True)
    def post(self, request: Request, campaign_id: UUID) -> Response:
        body = LaunchInput(data=request.data)
        body.is_valid(raise_exception=True)
        entry = launch_campaign(
            campaign_id=campaign_id,
            launched_by=client_name(request),
            at=now(),
            **body.validated_data,
        )
        return Response(
            LaunchOperationSerializer(entry.operation).data,
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": reverse("operation", args=[entry.operation_id])},
        )


class LaunchView(APIView):
    """GET /api/v1/launches/{launch_id}/"""

    required_scopes = ("campaigns:read",)

    @extend_schema(
        operation_id="launches_read",
        responses=LaunchSerializer,
        summary="Read a launch: arms, forecast and, once it is settled, the measured uplift",
        tags=["launches"],
    )
    def get(self, request: Request, launch_id: UUID) -> Response:
        return Response(LaunchSerializer(launch_by_id(launch_id)).data)


class LaunchSettleView(APIView):
    """POST /api/v1/launches/{launch_id}/settle/"""

    required_scopes = ("campaigns:write",)

    @extend_schema(
        operation_id="launches_settle",
        request=None,
        responses=LaunchSerializer,
        summary="Measure a launch whose window is over and grade its forecast, once and for good",
        tags=["launches"],
    )
    def post(self, request: Request, launch_id: UUID) -> Response:
        return Response(LaunchSerializer(settle_launch(launch_id=launch_id, at=now())).data)


class LaunchCancelView(APIView):
    """POST /api/v1/launches/{launch_id}/cancel/"""

    required_scopes = ("campaigns:write",)

    @extend_schema(
        operation_id="launches_cancel",
        request=None,
        responses=LaunchSerializer,
        summary="Cancel a launch, which is then never measured",
        tags=["launches"],
    )
    def post(self, request: Request, launch_id: UUID) -> Response:
        return Response(LaunchSerializer(cancel_launch(launch_id=launch_id, at=now())).data)


class LaunchExportView(APIView):
    """GET /api/v1/launches/{launch_id}/export.csv"""

    required_scopes = ("campaigns:read",)
    renderer_classes = (CsvRenderer, MillisecondJSONRenderer)

    @extend_schema(
        operation_id="launches_export",
        parameters=[ExportQuery],
        responses={(200, "text/csv"): OpenApiTypes.STR},
        summary="Download whom to make the offer, as CSV",
        tags=["launches"],
    )
    def get(self, request: Request, launch_id: UUID) -> StreamingHttpResponse:
        query = ExportQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        entry = launched_by_id(launch_id)
        arm = query.validated_data["arm"]
        return StreamingHttpResponse(
            csv_lines(entry, None if arm == "all" else arm),
            content_type="text/csv",
            headers={"Content-Disposition": f'attachment; filename="launch-{entry.id}.csv"'},
        )


class CampaignExposuresView(APIView):
    """GET /api/v1/campaigns/{campaign_id}/exposures/"""

    required_scopes = ("campaigns:read",)
    pagination_class = SignedCursorPagination  # read by the OpenAPI generator

    @extend_schema(
        operation_id="campaigns_exposures_list",
        parameters=[ArmQuery],
        responses=ExposureSerializer(many=True),
        filters=False,
        summary="List who is exposed to a campaign, in which arm",
        tags=["launches"],
    )
    def get(self, request: Request, campaign_id: UUID) -> Response:
        query = ArmQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        campaign = campaign_by_id(campaign_id)
        exposures = campaign_exposures(campaign.id, query.validated_data.get("arm"))
        return _paged(exposures, request, self)


class CustomerExposuresView(APIView):
    """GET /api/v1/customers/{pseudonym}/exposures/"""

    required_scopes = ("campaigns:read",)
    pagination_class = SignedCursorPagination  # read by the OpenAPI generator

    @extend_schema(
        operation_id="customers_exposures_list",
        responses=ExposureSerializer(many=True),
        filters=False,
        summary="List what a customer is exposed to, in which arm",
        tags=["launches"],
    )
    def get(self, request: Request, pseudonym: UUID) -> Response:
        customer = customer_by_pseudonym(pseudonym)
        return _paged(customer_exposures(customer.pseudonym), request, self)


def csv_lines(entry: PolicyLedgerEntry, arm: str | None) -> Iterator[str]:
    """The header, then one line for each customer of the arm (both: None), by pseudonym."""
    writer = csv.writer(_Echo())
    window = (iso(entry.offer_starts_at), iso(entry.offer_ends_at))
    yield writer.writerow(COLUMNS)
    for row in handed_over(entry, arm):
        yield writer.writerow((*row, *window))


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, line: str) -> str:
        return line


def _paged(exposures: Any, request: Request, view: APIView) -> Response:
    pages = SignedCursorPagination()
    pages.ordering = ("-id",)  # unique: a launch assigns thousands at one moment
    page = pages.paginate_queryset(exposures, request, view=view)
    return pages.get_paginated_response(ExposureSerializer(page, many=True).data)
