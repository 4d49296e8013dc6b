"""Campaigns over the API."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.selectors import client_name
from campaigns.models import Campaign
from campaigns.selectors import campaign_by_id, campaigns
from campaigns.services import Economics, create_campaign
from common.api.idempotency import idempotent
from common.api.pagination import SignedCursorPagination
from common.api.strict import KnownFieldsOnly
from common.clock import now

EXAMPLE = {
    "name": "Spring sale",
    "offer": {"kind": "discount", "offer_days": 14},
    "currency": "GBP",
    "economics": {
        "margin_rate": "0.4000",
        "funded_share": "0.0000",
        "contact_cost": "0.0500",
        "fixed_cost": "250.00",
        "budget": "20000.00",
    },
}
EXAMPLE_OUT = {
    "id": "5f0c7c1e-9a39-4a5e-9c6c-2d0f6d0a8f11",
    **EXAMPLE,
    "created_by": "crm",
    "created_at": "2011-11-01T09:00:00.000000Z",
    "links": {"simulations": "/api/v1/campaigns/5f0c7c1e-9a39-4a5e-9c6c-2d0f6d0a8f11/simulations/"},
}


class OfferSerializer(KnownFieldsOnly):
    kind = serializers.ChoiceField(
        choices=[("discount", "discount")], source="offer_kind", default="discount"
    )
    offer_days = serializers.IntegerField(
        default=14, help_text="how many days the offer stays open, 1 to 365"
    )


class EconomicsSerializer(KnownFieldsOnly):
    """What a campaign costs, and what is left of a sale. Without a margin rate, no profit."""

    margin_rate = serializers.DecimalField(
        max_digits=5, decimal_places=4, allow_null=True, required=False,
        help_text="share of the regular price left after the cost of goods, for products without "
        "a unit cost; -1 to 1",
    )  # fmt: skip
    funded_share = serializers.DecimalField(
        max_digits=5, decimal_places=4, required=False,
        help_text="share of the discount that somebody else pays, 0 to 1",
    )  # fmt: skip
    contact_cost = serializers.DecimalField(
        max_digits=12, decimal_places=4, required=False, help_text="of contacting one customer"
    )
    fixed_cost = serializers.DecimalField(
        max_digits=12, decimal_places=2, required=False, help_text="whoever answers"
    )
    budget = serializers.DecimalField(
        max_digits=12, decimal_places=2, allow_null=True, required=False,
        help_text="the most that discount, contacts and fixed cost may come to",
    )  # fmt: skip


class CampaignInput(KnownFieldsOnly):
    """A campaign to be created."""

    name = serializers.CharField(max_length=200)
    offer = OfferSerializer()
    currency = serializers.CharField(
        max_length=3, help_text="ISO 4217: what the prices of the purchases are in"
    )
    economics = EconomicsSerializer(required=False)


class CampaignLinks(serializers.Serializer[Any]):
    simulations = serializers.CharField()


class CampaignSerializer(serializers.ModelSerializer[Campaign]):
    """A campaign."""

    offer = OfferSerializer(source="*")
    economics = EconomicsSerializer(source="*")
    links = serializers.SerializerMethodField()

    class Meta:
        model = Campaign
        fields = (
            "id", "name", "offer", "currency", "economics", "created_by", "created_at", "links",
        )  # fmt: skip

    @extend_schema_field(CampaignLinks)
    def get_links(self, campaign: Campaign) -> dict[str, str]:
        return {"simulations": reverse("campaign-simulations", args=[campaign.id])}


class CampaignsView(APIView):
    """GET and POST /api/v1/campaigns/"""

    required_scopes = {"GET": ("campaigns:read",), "POST": ("campaigns:write",)}
    pagination_class = SignedCursorPagination

    @extend_schema(
        operation_id="campaigns_list",
        responses=CampaignSerializer(many=True),
        filters=False,
        summary="List campaigns, the newest first",
        tags=["campaigns"],
    )
    def get(self, request: Request) -> Response:
        pages = SignedCursorPagination()
        pages.ordering = ("-created_at", "-id")
        page = pages.paginate_queryset(campaigns(), request, view=self)
        return pages.get_paginated_response(CampaignSerializer(page, many=True).data)

    @extend_schema(
        operation_id="campaigns_create",
        request=CampaignInput,
        responses={201: CampaignSerializer},
        summary="Create a campaign",
        tags=["campaigns"],
        examples=[
            OpenApiExample("A discount", value=EXAMPLE, request_only=True),
            OpenApiExample("Created", value=EXAMPLE_OUT, response_only=True),
        ],
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        body = CampaignInput(data=request.data)
        body.is_valid(raise_exception=True)
        campaign = create_campaign(
            name=body.validated_data["name"],
            offer_days=body.validated_data["offer"]["offer_days"],
            currency=body.validated_data["currency"],
            created_by=client_name(request),
            at=now(),
            economics=Economics(**body.validated_data.get("economics", {})),
        )
        return Response(
            CampaignSerializer(campaign).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": reverse("campaign", args=[campaign.id])},
        )


class CampaignView(APIView):
    """GET /api/v1/campaigns/{campaign_id}/"""

    required_scopes = ("campaigns:read",)

    @extend_schema(
        operation_id="campaigns_read",
        responses=CampaignSerializer,
        summary="Read a campaign",
        tags=["campaigns"],
        examples=[OpenApiExample("A campaign", value=EXAMPLE_OUT, response_only=True)],
    )
    def get(self, request: Request, campaign_id: UUID) -> Response:
        return Response(CampaignSerializer(campaign_by_id(campaign_id)).data)
