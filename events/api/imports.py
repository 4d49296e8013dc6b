"""Imports over the API: send a file, watch how far it is, read the report, cancel."""

from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.urls import reverse
from django.utils.crypto import salted_hmac
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.selectors import client_name
from common.api.idempotency import idempotent
from common.api.pagination import SignedCursorPagination
from common.api.serializers import OperationSerializer, ProblemSerializer
from common.clock import now
from events.api.import_schemas import (
    ImportInput,
    ImportListItem,
    ImportOperationSerializer,
    ImportSerializer,
)
from events.api.uploads import UploadParser
from events.imports import import_by_id, imports
from events.services.uploads import accept_upload, cancel_import

PROBLEM = "application/problem+json"


def _digest_of_form(request: Request) -> str:
    """What was sent, told by the digest that was taken while it came in."""
    form: Any = request.data
    parts = [request.path, form["file"].sha256, form["file"].name]
    parts += [form.get(name) or "" for name in ("mapping", "source")]
    content = "\0".join(parts).encode()
    return salted_hmac("dtoc.idempotency", content, algorithm="sha256").hexdigest()


class ImportsView(APIView):
    """GET and POST /api/v1/imports/"""

    required_scopes = ("imports:run",)
    parser_classes = (UploadParser,)
    pagination_class = SignedCursorPagination  # read by the OpenAPI generator

    @extend_schema(
        operation_id="imports_list",
        responses=ImportListItem(many=True),
        filters=False,
        summary="List imports, the newest first",
        tags=["imports"],
    )
    def get(self, request: Request) -> Response:
        pages = SignedCursorPagination()
        pages.ordering = ("-created_at", "-id")
        page = pages.paginate_queryset(imports(), request, view=self)
        return pages.get_paginated_response(ImportListItem(page, many=True).data)

    @extend_schema(
        operation_id="imports_start",
        request={"multipart/form-data": ImportInput},
        responses={
            202: ImportOperationSerializer,
            (400, PROBLEM): ProblemSerializer,
            (413, PROBLEM): ProblemSerializer,
            (415, PROBLEM): ProblemSerializer,
            (422, PROBLEM): ProblemSerializer,
        },
        parameters=[
            OpenApiParameter(
                "Idempotency-Key",
                str,
                OpenApiParameter.HEADER,
                required=False,
                description="a fresh UUID for every new file, the same one for a retry",
            )
        ],
        summary="Import a file",
        tags=["imports"],
    )
    def post(self, request: Request) -> Response:
        body = ImportInput(data=request.data)
        body.is_valid(raise_exception=True)
        with body.validated_data["file"]:  # is deleted at the end, unless it was moved on
            return self._begun(request, body.validated_data)

    @idempotent(required=False, digest=_digest_of_form)
    def _begun(self, request: Request, form: dict[str, Any]) -> Response:
        file: TemporaryUploadedFile = form["file"]
        record = accept_upload(
            path=Path(file.temporary_file_path()),
            content=file,
            shown=str(file.name),
            digest=file.sha256,  # type: ignore[attr-defined]  # by our own handler
            mapping_name=form.get("mapping") or None,
            source=form.get("source") or None,
            requested_by=client_name(request),
            at=now(),
        )
        return Response(
            ImportOperationSerializer(record.operation).data,
            status=status.HTTP_202_ACCEPTED,
            headers={"Location": reverse("operation", args=[record.operation_id])},
        )


class ImportView(APIView):
    """GET /api/v1/imports/{import_id}/"""

    required_scopes = ("imports:run",)

    @extend_schema(
        operation_id="imports_read",
        responses=ImportSerializer,
        summary="Read an import: how far it is, and its report",
        tags=["imports"],
    )
    def get(self, request: Request, import_id: UUID) -> Response:
        return Response(ImportSerializer(import_by_id(import_id)).data)


class ImportCancelView(APIView):
    """POST /api/v1/imports/{import_id}/cancel/"""

    required_scopes = ("imports:run",)

    @extend_schema(
        operation_id="imports_cancel",
        request=None,
        responses=OperationSerializer,
        summary="Cancel an import; rows that are stored stay",
        tags=["imports"],
    )
    def post(self, request: Request, import_id: UUID) -> Response:
        record = cancel_import(import_id=import_id, at=now())
        return Response(OperationSerializer(record.operation).data)
