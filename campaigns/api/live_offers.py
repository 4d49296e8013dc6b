"""Live offers over the API: what decisions may choose from."""

from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.selectors import client_name
from campaigns.api.decision_examples import LIVE_OFFER, LIVE_OFFER_IN
from campaigns.api.decision_schemas import LiveOfferInput, LiveOfferSerializer
from campaigns.decisions.selectors import live_offer_by_id, live_offers
from campaigns.services import close_live_offer, open_live_offer
from common.api.idempotency import idempotent
from common.api.pagination import SignedCursorPagination
from common.clock import now

EXAMPLE_OUT = OpenApiExample("A live offer", value=LIVE_OFFER, response_only=True)


class CampaignLiveOffersView(APIView):
    """POST /api/v1/campaigns/{campaign_id}/live-offers/"""

    required_scopes = ("campaigns:write",)

    @extend_schema(
        operation_id="campaigns_live_offers_create",
        request=LiveOfferInput,
        responses={201: LiveOfferSerializer},
        summary="Open a campaign at one depth for decisions",
        tags=["decisions"],
        examples=[
            OpenApiExample("A tenth off two products", value=LIVE_OFFER_IN, request_only=True),
            EXAMPLE_OUT,
        ],
    )
    @idempotent(required=False)
    def post(self, request: Request, campaign_id: UUID) -> Response:
        body = LiveOfferInput(data=request.data)
        body.is_valid(raise_exception=True)
        offer = open_live_offer(
            campaign_id=campaign_id,
            opened_by=client_name(request),
            at=now(),
            **body.validated_data,
        )
        return Response(
            LiveOfferSerializer(offer).data,
            status=status.HTTP_201_CREATED,
            headers={"Location": reverse("live-offer", args=[offer.id])},
        )


class LiveOffersView(APIView):
    """GET /api/v1/live-offers/"""

    required_scopes = ("campaigns:read",)
    pagination_class = SignedCursorPagination  # read by the OpenAPI generator

    @extend_schema(
        operation_id="live_offers_list",
        responses=LiveOfferSerializer(many=True),
        filters=False,
        summary="List live offers, the newest first",
        tags=["decisions"],
    )
    def get(self, request: Request) -> Response:
        pages = SignedCursorPagination()
        pages.ordering = ("-opened_at", "-id")
        page = pages.paginate_queryset(live_offers(), request, view=self)
        return pages.get_paginated_response(LiveOfferSerializer(page, many=True).data)


class LiveOfferView(APIView):
    """GET /api/v1/live-offers/{live_offer_id}/"""

    required_scopes = ("campaigns:read",)

    @extend_schema(
        operation_id="live_offers_read",
        responses=LiveOfferSerializer,
        summary="Read a live offer",
        tags=["decisions"],
        examples=[EXAMPLE_OUT],
    )
    def get(self, request: Request, live_offer_id: UUID) -> Response:
        return Response(LiveOfferSerializer(live_offer_by_id(live_offer_id)).data)


class LiveOfferCloseView(APIView):
    """POST /api/v1/live-offers/{live_offer_id}/close/"""

    required_scopes = ("campaigns:write",)

    @extend_schema(
        operation_id="live_offers_close",
        request=None,
        responses=LiveOfferSerializer,
        summary="Close a live offer: no decision chooses it any more, whoever has it keeps it",
        tags=["decisions"],
    )
    def post(self, request: Request, live_offer_id: UUID) -> Response:
        offer = close_live_offer(live_offer_id=live_offer_id, at=now())
        return Response(LiveOfferSerializer(offer).data)
