"""What imports look like over the API."""

from typing import Any

from django.urls import reverse
from rest_framework import serializers

from common.api.serializers import OperationSerializer
from events.mapping import mapping_names
from events.models_imports import Import

OUTCOMES = {
    "accepted": "accepted",
    "duplicates": "duplicate",
    "quarantined": "quarantined",
    "refused": "refused",
}


class ImportInput(serializers.Serializer[Any]):
    """A file of rows, and how they become events."""

    file = serializers.FileField(
        max_length=200, help_text="CSV, NDJSON (both also .gz), Parquet or XLSX, told by its name"
    )
    mapping = serializers.ChoiceField(
        choices=mapping_names(),
        required=False,
        help_text="left out: the one whose columns the file has",
    )
    source = serializers.RegexField(  # type: ignore[assignment]  # declared fields are taken out
        r"^[a-z][a-z0-9_.-]*\Z",
        max_length=100,
        required=False,
        help_text="what the events carry as their source; the mapping's own where left out",
    )


class ImportReportSerializer(serializers.Serializer[Any]):
    """Where the rows read so far ended; they add up to ``rows``."""

    rows = serializers.IntegerField()
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    quarantined = serializers.IntegerField()
    refused = serializers.IntegerField()
    reasons = serializers.DictField(
        child=serializers.DictField(child=serializers.IntegerField()),
        help_text="by outcome and reason; what ended well has none",
    )
    seconds = serializers.FloatField(help_text="spent on storing them")


class ImportListItem(serializers.ModelSerializer[Import]):
    """An import without its report."""

    operation = OperationSerializer()

    class Meta:
        model = Import
        fields: tuple[str, ...] = (
            "id", "file_name", "file_format", "file_bytes", "file_sha256", "mapping", "source",
            "requested_by", "created_at", "operation",
        )  # fmt: skip


class ImportSerializer(ImportListItem):
    """An import: how far it is, and its report."""

    report = serializers.SerializerMethodField()

    class Meta(ImportListItem.Meta):
        fields = (*ImportListItem.Meta.fields, "report")

    def get_report(self, record: Import) -> ImportReportSerializer:
        return report_body(record)  # type: ignore[return-value]  # the annotation is the schema


class ImportOperationSerializer(OperationSerializer):
    """The operation of an import that has been taken in."""

    import_id = serializers.UUIDField(source="file_import.id")
    import_url = serializers.SerializerMethodField()

    class Meta(OperationSerializer.Meta):
        fields: tuple[str, ...] = (  # type: ignore[assignment]  # longer than the base's
            *OperationSerializer.Meta.fields,
            "import_id",
            "import_url",
        )

    def get_import_url(self, operation: Any) -> str:
        return reverse("import", args=[operation.file_import.id])


def report_body(record: Import) -> dict[str, Any]:
    """The report as the API shows it."""
    totals = {
        label: sum(record.counts.get(outcome, {}).values()) for label, outcome in OUTCOMES.items()
    }
    reasons = {
        label: found
        for label, outcome in OUTCOMES.items()
        if (found := {why: n for why, n in record.counts.get(outcome, {}).items() if why})
    }
    return {"rows": record.rows, **totals, "reasons": reasons, "seconds": round(record.seconds, 3)}
