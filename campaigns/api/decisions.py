"""The next best action over the API: ask, report what became of it, and look back."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.selectors import client_name
from campaigns.api.decision_examples import ASKED, BY_IDENTITY, DECISION, NO_OFFER
from campaigns.api.decision_schemas import DecisionInput, DecisionSerializer, OutcomeInput
from campaigns.decisions.documents import document_of
from campaigns.decisions.rules import Ask
from campaigns.decisions.selectors import customer_decisions, decision_by_id
from campaigns.services import decide, report_outcome
from common.api.idempotency import idempotent
from common.api.pagination import SignedCursorPagination
from common.clock import now
from customers.selectors import customer_by_pseudonym, lookup_identity

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="a fresh UUID for every new request, the same one for a retry: the first decision "
    "is answered again",
)


class DecisionsView(APIView):
    """POST /api/v1/decisions/"""

    required_scopes = ("decisions:make",)

    @extend_schema(
        operation_id="decisions_create",
        request=DecisionInput,
        responses={201: DecisionSerializer},
        parameters=[IDEMPOTENCY_KEY],
        summary="Ask for the next best action for one customer, now",
        description=(
            "Of the live offers that may be made to the customer the one that adds the most "
            "margin, or none: `offer` is null then, and `reason` says why. In the control group "
            "of the best offer's campaign `arm` is `control` and `offer` is null. Report what was "
            "shown, and in the control group what would have been, under `exposure_id`."
        ),
        tags=["decisions"],
        examples=[
            OpenApiExample("By pseudonym", value=ASKED, request_only=True),
            OpenApiExample("By identity, at the till", value=BY_IDENTITY, request_only=True),
            OpenApiExample("An offer", value=DECISION, response_only=True),
            OpenApiExample("No offer", value=NO_OFFER, response_only=True),
        ],
    )
    @idempotent(required=False)
    def post(self, request: Request) -> Response:
        body = DecisionInput(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = body.validated_data
        ask = Ask(
            pseudonym=asked.get("pseudonym") or lookup_identity(**asked["identity"]),
            channel=asked.get("channel", ""),
            basket_value=asked.get("basket_value"),
        )
        decision = decide(ask=ask, asked_by=client_name(request), at=now())
        return Response(  # as DecisionSerializer says it, which a test compares
            document_of(decision),
            status=status.HTTP_201_CREATED,
            headers={"Location": reverse("decision", args=[decision.id])},
        )


class DecisionView(APIView):
    """GET /api/v1/decisions/{decision_id}/"""

    required_scopes = ("campaigns:read",)

    @extend_schema(
        operation_id="decisions_read",
        responses=DecisionSerializer,
        summary="Read a decision with all that it rests on",
        tags=["decisions"],
        examples=[OpenApiExample("An offer", value=DECISION, response_only=True)],
    )
    def get(self, request: Request, decision_id: UUID) -> Response:
        return Response(document_of(decision_by_id(decision_id)))


class OutcomeView(APIView):
    """POST /api/v1/decisions/{exposure_id}/outcome/"""

    required_scopes = ("decisions:make",)

    @extend_schema(
        operation_id="decisions_outcome",
        request=OutcomeInput,
        responses=DecisionSerializer,
        summary="Report whether an offer was shown; of the control group, whether it would have "
        "been",
        description="Reporting the same again changes nothing.",
        tags=["decisions"],
        examples=[
            OpenApiExample("Shown", value={"outcome": "shown"}, request_only=True),
            OpenApiExample("Not shown", value={"outcome": "not_shown"}, request_only=True),
        ],
    )
    def post(self, request: Request, exposure_id: UUID) -> Response:
        body = OutcomeInput(data=request.data)
        body.is_valid(raise_exception=True)
        decision = report_outcome(
            decision_id=exposure_id,
            outcome=body.validated_data["outcome"],
            shown_at=body.validated_data.get("at"),
            at=now(),
        )
        return Response(document_of(decision))


class CustomerDecisionsView(APIView):
    """GET /api/v1/customers/{pseudonym}/decisions/"""

    required_scopes = ("campaigns:read",)
    pagination_class = SignedCursorPagination  # read by the OpenAPI generator

    @extend_schema(
        operation_id="customers_decisions_list",
        responses=DecisionSerializer(many=True),
        filters=False,
        summary="List what was decided for a customer, the newest first",
        tags=["decisions"],
    )
    def get(self, request: Request, pseudonym: UUID) -> Response:
        customer = customer_by_pseudonym(pseudonym)
        pages = SignedCursorPagination()
        pages.ordering = ("-decided_at", "-id")
        found = customer_decisions(customer.pseudonym)
        page = pages.paginate_queryset(found, request, view=self)
        return pages.get_paginated_response([document_of(decision) for decision in page])
