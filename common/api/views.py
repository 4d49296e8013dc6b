"""Operations: watch and cancel long work."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.serializers import OperationSerializer
from common.clock import now
from common.operations import cancel_operation, operation_by_id


class OperationView(APIView):
    """GET /api/v1/operations/{operation_id}/"""

    required_scopes = ("campaigns:read",)

    @extend_schema(responses=OperationSerializer, summary="Watch long work", tags=["operations"])
    def get(self, request: Request, operation_id: UUID) -> Response:
        return Response(OperationSerializer(operation_by_id(operation_id)).data)


class OperationCancelView(APIView):
    """POST /api/v1/operations/{operation_id}/cancel/"""

    required_scopes = ("simulations:run",)

    @extend_schema(
        request=None,
        responses=OperationSerializer,
        summary="Cancel long work",
        tags=["operations"],
    )
    def post(self, request: Request, operation_id: UUID) -> Response:
        operation = cancel_operation(operation_id=operation_id, at=now())
        return Response(OperationSerializer(operation).data)
