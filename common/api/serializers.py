"""What an operation and a problem look like over the API."""

from typing import Any

from django.urls import reverse
from rest_framework import serializers

from common.models import Operation


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457; documented for every route, built in ``common.api.problems``."""

    type = serializers.CharField(help_text="a URI that serves the documentation of this problem")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    instance = serializers.CharField(required=False)
    request_id = serializers.CharField(required=False)


class ProgressSerializer(serializers.Serializer[Any]):
    done = serializers.IntegerField()
    total = serializers.IntegerField()
    unit = serializers.CharField()


class OperationSerializer(serializers.ModelSerializer[Operation]):
    """Long work, as the API shows it."""

    progress = ProgressSerializer(source="*")
    cancellable = serializers.SerializerMethodField()
    error = serializers.DictField(allow_null=True, read_only=True)
    links = serializers.SerializerMethodField()

    class Meta:
        model = Operation
        fields = (
            "id", "kind", "status", "progress", "created_at", "started_at", "finished_at",
            "expires_at", "cancellable", "result_url", "error", "links",
        )  # fmt: skip

    def get_cancellable(self, operation: Operation) -> bool:
        return not operation.is_finished

    def get_links(self, operation: Operation) -> dict[str, str]:
        self_url = reverse("operation", args=[operation.id])
        return {"self": self_url, "cancel": reverse("operation-cancel", args=[operation.id])}
