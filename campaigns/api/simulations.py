"""Simulations over the API."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.selectors import client_name
from campaigns.api.results import EXAMPLE_RESULT, ResultSerializer
from campaigns.models import SimulationRun
from campaigns.plan import RESPONSES
from campaigns.selectors import campaign_by_id, simulation_by_id, simulations
from campaigns.services import start_simulation
from common.api.idempotency import idempotent
from common.api.pagination import SignedCursorPagination
from common.api.serializers import OperationSerializer
from common.api.strict import KnownFieldsOnly
from common.clock import now

MOST_LISTED = 5_000  # so many are read to say that they are too many; plans say how many may be
EXAMPLE = {
    "audience_id": "0d8a3a52-5a43-4f0e-8c55-1c9c6c1e7a90",
    "depths": ["0", "0.1", "0.2"],
    "delays_days": [0, 7],
    "horizon_days": 30,
    "replicates": 10,
    "seed": 1,
    "response": {"kind": "assumed", "mean": 1.5, "spread": 0.5},
}
EXAMPLE_OPERATION = {
    "id": "3b2d0e57-1f57-4f0c-9d5f-1f1a4a3b7c10",
    "kind": "simulation",
    "status": "queued",
    "progress": {"done": 0, "total": 1310, "unit": "customers"},
    "created_at": "2011-12-10T09:01:00.000000Z",
    "started_at": None,
    "finished_at": None,
    "expires_at": "2011-12-17T09:01:00.000000Z",
    "cancellable": True,
    "result_url": "",
    "error": None,
    "links": {
        "self": "/api/v1/operations/3b2d0e57-1f57-4f0c-9d5f-1f1a4a3b7c10/",
        "cancel": "/api/v1/operations/3b2d0e57-1f57-4f0c-9d5f-1f1a4a3b7c10/cancel/",
    },
    "simulation_id": "f2b1a7c4-7a0d-4a77-8b0c-6a2f9d8e1c33",
    "simulation_url": "/api/v1/simulations/f2b1a7c4-7a0d-4a77-8b0c-6a2f9d8e1c33/",
}


class SimulationResponseInput(KnownFieldsOnly):
    """Where the customers' answer to a price comes from."""

    kind = serializers.ChoiceField(
        choices=[(kind, kind) for kind in RESPONSES],
        help_text="`assumed`: stated here; `elasticity`: estimated from the stored purchases; "
        "`learned`: from past offers with a group held out",
    )
    mean = serializers.FloatField(
        required=False, help_text="of the elasticity, at least 0; only for `assumed`"
    )
    spread = serializers.FloatField(
        required=False, help_text="its standard deviation over replicates; only for `assumed`"
    )


class SimulationInput(KnownFieldsOnly):
    """A grid of scenarios to be simulated."""

    audience_id = serializers.UUIDField()
    depths = serializers.ListField(
        child=serializers.DecimalField(max_digits=6, decimal_places=5),
        max_length=MOST_LISTED,
        help_text="shares of the price, 0 to 0.9; at most 400 scenarios in all",
    )
    delays_days = serializers.ListField(
        child=serializers.IntegerField(),
        max_length=MOST_LISTED,
        help_text="days from the start of the horizon to the start of the offer",
    )
    horizon_days = serializers.IntegerField(help_text="1 to 365")
    replicates = serializers.IntegerField(default=10, help_text="2 to 1000")
    seed = serializers.IntegerField(default=0)
    response = SimulationResponseInput()
    as_of = serializers.DateTimeField(
        required=False, help_text="where the horizon begins; the newest event where left out"
    )


class SimulationOperationSerializer(OperationSerializer):
    """The operation of a simulation that has been started."""

    simulation_id = serializers.UUIDField(source="simulation_run.id")
    simulation_url = serializers.SerializerMethodField()

    class Meta(OperationSerializer.Meta):
        fields: tuple[str, ...] = (  # type: ignore[assignment]  # longer than the base's
            *OperationSerializer.Meta.fields,
            "simulation_id",
            "simulation_url",
        )

    def get_simulation_url(self, operation: Any) -> str:
        return reverse("simulation", args=[operation.simulation_run.id])


class SimulationListItem(serializers.ModelSerializer[SimulationRun]):
    """A simulation without its result."""

    campaign_id = serializers.UUIDField()
    audience_id = serializers.UUIDField()
    operation = OperationSerializer()
    response = serializers.JSONField(help_text="the response model as it was asked for")
    depths = serializers.ListField(child=serializers.CharField())
    delays_days = serializers.ListField(child=serializers.IntegerField())

    class Meta:
        model = SimulationRun
        fields: tuple[str, ...] = (
            "id", "campaign_id", "audience_id", "operation", "repeats", "depths", "delays_days",
            "horizon_days", "replicates", "seed", "response", "model_version", "as_of",
            "code_version", "manifest_sha256", "requested_by", "created_at",
        )  # fmt: skip


class SimulationSerializer(SimulationListItem):
    """A simulation: how far it is, and the result once it has succeeded."""

    manifest = serializers.JSONField(help_text="everything that the result depends on")
    result = ResultSerializer(allow_null=True)

    class Meta(SimulationListItem.Meta):
        fields = (*SimulationListItem.Meta.fields, "manifest", "result")


class CampaignSimulationsView(APIView):
    """GET and POST /api/v1/campaigns/{campaign_id}/simulations/"""

    required_scopes = {"GET": ("campaigns:read",), "POST": ("simulations:run",)}
    pagination_class = SignedCursorPagination  # read by the OpenAPI generator

    @extend_schema(
        operation_id="campaigns_simulations_list",
        responses=SimulationListItem(many=True),
        filters=False,
        summary="List a campaign's simulations, the newest first",
        tags=["simulations"],
    )
    def get(self, request: Request, campaign_id: UUID) -> Response:
        campaign = campaign_by_id(campaign_id)
        pages = SignedCursorPagination()
        pages.ordering = ("-created_at", "-id")
        page = pages.paginate_queryset(simulations(campaign.id), request, view=self)
        return pages.get_paginated_response(SimulationListItem(page, many=True).data)

    @extend_schema(
        operation_id="campaigns_simulations_start",
        request=SimulationInput,
        responses={202: SimulationOperationSerializer},
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                str,
                OpenApiParameter.HEADER,
                required=True,
                description="a fresh UUID for every new request, the same one for a retry",
            )
        ],
        summary="Start a simulation",
        tags=["simulations"],
        examples=[
            OpenApiExample("Six scenarios", value=EXAMPLE, request_only=True),
            OpenApiExample("Started", value=EXAMPLE_OPERATION, response_only=True),
        ],
    )
    @idempotent(required=True)
    def post(self, request: Request, campaign_id: UUID) -> Response:
        body = SimulationInput(data=request.data)
        body.is_valid(raise_exception=True)
        run = start_simulation(
            campaign_id=campaign_id,
            requested_by=client_name(request),
            at=now(),
            **body.validated_data,
        )
        return Response(
            SimulationOperationSerializer(run.operation).data,
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": reverse("operation", args=[run.operation_id])},
        )


class SimulationView(APIView):
    """GET /api/v1/simulations/{simulation_id}/"""

    required_scopes = ("campaigns:read",)

    @extend_schema(
        operation_id="simulations_read",
        responses=SimulationSerializer,
        summary="Read a simulation: status, progress and, once it has succeeded, the result",
        tags=["simulations"],
        examples=[EXAMPLE_RESULT],
    )
    def get(self, request: Request, simulation_id: UUID) -> Response:
        return Response(SimulationSerializer(simulation_by_id(simulation_id)).data)
