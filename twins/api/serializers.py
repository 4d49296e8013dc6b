"""What twins and model versions look like over the API."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from twins.models import ModelVersion
from twins.reports import report_summary

LONGEST_WAIT_MS = 10_000

TWIN_EXAMPLE = {
    "pseudonym": "5d0c3c0e-3c1e-4c0b-9a57-0f8e2a8f7a11",
    "stream_version": 184,
    "lag": 0,
    "model": {
        "id": "0b6f3a52-8a0e-4a4e-8d3b-6a3a8c1f4d20",
        "name": "twin-20111209-5b1f0c9e",
        "sha256": "5b1f0c9e" * 8,
    },
    "as_of": "2011-12-10T00:00:00.000000Z",
    "clock_at": "2011-12-05T14:26:00.000000Z",
    "fold_mode": "advanced",
    "memory": {
        "orders": 12,
        "lines": 171,
        "returns": 2,
        "units": 1460,
        "spend": "2817.43",
        "first_order_at": "2010-12-07T09:12:00.000000Z",
        "last_order_at": "2011-12-05T14:26:00.000000Z",
        "days_since_last_order": 4.4,
        "mean_days_between_orders": 33.0,
    },
    "predictions": {
        "next_items": [{"sku": "85123A", "probability": 0.041}],
        "order_within": {"7_days": 0.11, "30_days": 0.52, "90_days": 0.83},
        "days_to_next_order": {"median": 28.6, "low": 6.4, "high": None},
        "churn": 0.17,
        "next_line_total": {"expected": "17.90", "low": "5.10", "high": "36.40"},
    },
}


class TwinQuery(serializers.Serializer[Any]):
    """What may be asked of a twin."""

    as_of = serializers.DateTimeField(
        required=False, help_text="predict as of this moment instead of now; not before clock_at"
    )
    min_version = serializers.IntegerField(
        required=False, min_value=1, help_text="answer 202 while the twin has seen less than this"
    )
    wait_ms = serializers.IntegerField(
        default=0,
        min_value=0,
        max_value=LONGEST_WAIT_MS,
        help_text="how long to wait for min_version",
    )


class ModelReferenceSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    sha256 = serializers.CharField(help_text="over all files of the model")


class TwinMemorySerializer(serializers.Serializer[Any]):
    """Exact figures of the events that the twin has seen."""

    orders = serializers.IntegerField()
    lines = serializers.IntegerField(help_text="lines bought")
    returns = serializers.IntegerField(help_text="lines returned")
    units = serializers.IntegerField(help_text="units bought")
    spend = serializers.CharField(
        help_text="sum of the lines bought, a decimal in the currency of the events"
    )
    first_order_at = serializers.DateTimeField(allow_null=True)
    last_order_at = serializers.DateTimeField(allow_null=True)
    days_since_last_order = serializers.FloatField(allow_null=True)
    mean_days_between_orders = serializers.FloatField(allow_null=True)


class NextItemSerializer(serializers.Serializer[Any]):
    sku = serializers.CharField()
    probability = serializers.FloatField()


# Names that begin with a digit cannot be written as class attributes.
OrderWithinSerializer = type(
    "OrderWithinSerializer",
    (serializers.Serializer,),
    {
        f"{days}_days": serializers.FloatField(help_text=f"chance of an order within {days} days")
        for days in (7, 30, 90)
    },
)


class DaysToNextOrderSerializer(serializers.Serializer[Any]):
    """Quantiles 0.5, 0.1 and 0.9; null where no order comes with that probability at all."""

    median = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class LineTotalSerializer(serializers.Serializer[Any]):
    """The first line of the next order, as decimals: expectation and the central 80 %."""

    expected = serializers.CharField()
    low = serializers.CharField()
    high = serializers.CharField()


class PredictionsSerializer(serializers.Serializer[Any]):
    next_items = NextItemSerializer(
        many=True, help_text="for the first line of the next order, the likeliest first"
    )
    order_within = OrderWithinSerializer()
    days_to_next_order = DaysToNextOrderSerializer()
    churn = serializers.FloatField(help_text="chance of no order within 90 days")
    next_line_total = LineTotalSerializer()


@extend_schema_serializer(examples=[OpenApiExample("A regular customer", value=TWIN_EXAMPLE)])
class TwinSerializer(serializers.Serializer[Any]):
    """A customer's twin and what it expects as of a moment."""

    pseudonym = serializers.UUIDField()
    stream_version = serializers.IntegerField(help_text="of the last event that the twin has seen")
    lag = serializers.IntegerField(help_text="events of the stream that it has not seen yet")
    model = ModelReferenceSerializer()
    as_of = serializers.DateTimeField()
    clock_at = serializers.DateTimeField(
        allow_null=True, help_text="the last event that changed the twin"
    )
    fold_mode = serializers.ChoiceField(choices=["advanced", "refolded", "rebuilt"])
    memory = TwinMemorySerializer()
    predictions = PredictionsSerializer()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Not there yet",
            value={
                "pseudonym": "5d0c3c0e-3c1e-4c0b-9a57-0f8e2a8f7a11",
                "stream_version": 41,
                "min_version": 42,
            },
        )
    ]
)
class TwinPendingSerializer(serializers.Serializer[Any]):
    """The twin has not seen ``min_version`` yet: ask again after ``Retry-After`` seconds."""

    pseudonym = serializers.UUIDField()
    stream_version = serializers.IntegerField(help_text="what it has seen; 0 without a twin")
    min_version = serializers.IntegerField()


class ReportSummarySerializer(serializers.Serializer[Any]):
    """Validation figures of the model; null where one was not measured."""

    next_item_top_10 = serializers.FloatField(allow_null=True)
    next_item_nll = serializers.FloatField(allow_null=True, help_text="nats")
    time_to_order_log_likelihood = serializers.FloatField(allow_null=True)
    line_total_log_error = serializers.FloatField(allow_null=True)


MODEL_FIELDS = (
    "id", "name", "alias", "state", "sha256", "cut_off", "validation_from", "events_count",
    "summary", "created_at", "activated_at",
)  # fmt: skip


class ModelVersionSerializer(serializers.ModelSerializer[ModelVersion]):
    """One model version, short. Needs ``challenger_id`` in its context."""

    alias = serializers.SerializerMethodField()
    summary = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields: tuple[str, ...] = MODEL_FIELDS

    def get_alias(self, version: ModelVersion) -> str | None:
        """``active``, ``challenger`` (the newest that may replace it), or none."""
        if version.state == ModelVersion.State.ACTIVE:
            return "active"
        challenger: UUID | None = self.context["challenger_id"]
        return "challenger" if version.id == challenger else None

    @extend_schema_field(ReportSummarySerializer)
    def get_summary(self, version: ModelVersion) -> dict[str, float | None]:
        return report_summary(version.report)


class ModelVersionDetailSerializer(ModelVersionSerializer):
    """One model version with its configuration, origin and whole evaluation report."""

    class Meta:
        model = ModelVersion
        fields = (
            *MODEL_FIELDS, "events_sha256", "seed", "code_version", "libraries", "config", "report",
        )  # fmt: skip
