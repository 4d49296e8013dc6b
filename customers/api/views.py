"""Customers by identity and by pseudonym, and their erasure."""

from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from common.api.idempotency import idempotent
from common.clock import now
from customers.api.serializers import (
    CustomerInput,
    CustomerOutput,
    ErasureInput,
    ErasureOutput,
    IdentityInput,
)
from customers.identities import Newcomer
from customers.selectors import customer_by_pseudonym, lookup_identity, request_by_id
from customers.services import register_customer, request_erasure

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    required=True,
    description="a fresh UUID per request; the same one when the request is sent again",
)
LOCATION = OpenApiParameter(
    "Location", OpenApiTypes.STR, OpenApiParameter.HEADER, response=[201, 202]
)


class CustomerLookupView(APIView):
    """POST /api/v1/customers/lookup/"""

    required_scopes = ("identities:read",)

    @extend_schema(
        request=IdentityInput,
        responses=CustomerOutput,
        summary="Who is meant by an identity",
        tags=["customers"],
    )
    def post(self, request: Request) -> Response:
        body = IdentityInput(data=request.data)
        body.is_valid(raise_exception=True)
        customer = customer_by_pseudonym(lookup_identity(**body.validated_data))
        return Response(CustomerOutput(customer).data)


class CustomersView(APIView):
    """POST /api/v1/customers/"""

    required_scopes = ("identities:write",)

    @extend_schema(
        request=CustomerInput,
        responses={
            201: OpenApiResponse(CustomerOutput, "The customer is new."),
            200: OpenApiResponse(CustomerOutput, "The customer was registered before."),
        },
        parameters=[LOCATION],
        summary="Register a customer",
        description="Sending the same identity again answers with the same customer.",
        tags=["customers"],
    )
    def post(self, request: Request) -> Response:
        body = CustomerInput(data=request.data)
        body.is_valid(raise_exception=True)
        newcomer = Newcomer(**body.validated_data)
        customer, is_new = register_customer(newcomer=newcomer, at=now())
        return Response(
            CustomerOutput(customer).data,
            status=status.HTTP_201_CREATED if is_new else status.HTTP_200_OK,
            headers={"Location": reverse("customer", args=[customer.pseudonym])},
        )


class CustomerView(APIView):
    """GET /api/v1/customers/{pseudonym}/"""

    required_scopes = ("identities:read",)

    @extend_schema(responses=CustomerOutput, summary="One customer", tags=["customers"])
    def get(self, request: Request, pseudonym: UUID) -> Response:
        return Response(CustomerOutput(customer_by_pseudonym(pseudonym)).data)


class ErasuresView(APIView):
    """POST /api/v1/erasures/"""

    required_scopes = ("requests:manage",)

    @extend_schema(
        request=ErasureInput,
        responses={202: OpenApiResponse(ErasureOutput, "Under way; watch it at Location.")},
        parameters=[IDEMPOTENCY_KEY, LOCATION],
        summary="Erase a person on request",
        tags=["erasures"],
    )
    @idempotent(required=True)
    def post(self, request: Request) -> Response:
        body = ErasureInput(data=request.data)
        body.is_valid(raise_exception=True)
        whom = body.validated_data
        pseudonym = whom.get("pseudonym") or lookup_identity(**whom["identity"])
        erasure = request_erasure(pseudonym=pseudonym, requested_by=_client_of(request), at=now())
        return Response(
            ErasureOutput(erasure).data,
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": reverse("erasure", args=[erasure.id])},
        )


class ErasureView(APIView):
    """GET /api/v1/erasures/{request_id}/"""

    required_scopes = ("requests:manage",)

    @extend_schema(
        responses=ErasureOutput,
        summary="How far an erasure has come, and its receipt",
        tags=["erasures"],
    )
    def get(self, request: Request, request_id: UUID) -> Response:
        return Response(ErasureOutput(request_by_id(request_id)).data)


def _client_of(request: Request) -> str:
    """The name of the API client that asks (``access`` stands beside us, not below)."""
    application = getattr(request.auth, "application", None)
    return str(application.name if application else request.user)
