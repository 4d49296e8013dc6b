"""What twins and model versions look like over the API."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from twins.history import FROM_SNAPSHOT, REPLAYED
from twins.models import ModelVersion, Twin
from twins.reports import report_summary

LONGEST_WAIT_MS = 10_000
LARGEST_VERSION = 2**31 - 1  # an integer of PostgreSQL

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
    "waits_since": None,
    "waiting_events": 0,
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
        "next_basket": [{"sku": "22423", "rank": 1, "probability": 0.52, "bought_before": True}],
        "order_within": {"7_days": 0.11, "30_days": 0.52, "90_days": 0.83},
        "days_to_next_order": {"median": 28.6, "low": 6.4, "high": None},
        "churn": 0.17,
        "next_90_days": {"orders": 2.4, "spend": "412.50"},
        "next_line_total": {"expected": "17.90", "low": "5.10", "high": "36.40"},
    },
}


class TwinQuery(serializers.Serializer[Any]):
    """What may be asked of a twin."""

    as_of = serializers.DateTimeField(
        required=False,
        help_text=(
            "predict as of this moment instead of now. Before the twin's last event, or before "
            "that was recorded, the answer is the twin as it was known then"
        ),
    )
    version = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=LARGEST_VERSION,
        help_text="the twin at this stream version, from 1 to its present one",
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


class NextBasketItemSerializer(serializers.Serializer[Any]):
    sku = serializers.CharField()
    rank = serializers.IntegerField(help_text="from 1 on")
    probability = serializers.FloatField(help_text="chance that the next order has the item")
    bought_before = serializers.BooleanField(help_text="an earlier order of the customer had it")


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


class NextDaysSerializer(serializers.Serializer[Any]):
    """What is to be expected of the next 90 days; the spend as a decimal."""

    orders = serializers.FloatField()
    spend = serializers.CharField()


class PredictionsSerializer(serializers.Serializer[Any]):
    next_items = NextItemSerializer(
        many=True, help_text="for the first line of the next order, the likeliest first"
    )
    next_basket = NextBasketItemSerializer(
        many=True,
        help_text=(
            "the ten items that the next order has likeliest, the likeliest first; empty before a "
            "first order and where the model does not rank baskets"
        ),
    )
    market_day = serializers.DateField(
        allow_null=True,
        help_text=(
            "what all customers bought before this day is what the next items were foretold from; "
            "empty where the model counts no market"
        ),
    )
    order_within = OrderWithinSerializer()
    days_to_next_order = DaysToNextOrderSerializer()
    churn = serializers.FloatField(help_text="chance of no order within 90 days")
    next_90_days = NextDaysSerializer()
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
    fold_mode = serializers.ChoiceField(
        choices=[*Twin.FoldMode.values, FROM_SNAPSHOT, REPLAYED],
        help_text=(
            "how it came to be; `snapshot` and `replayed` are twins of the past, as they were "
            "stored and folded again from what was stored before"
        ),
    )
    waits_since = serializers.DateTimeField(
        allow_null=True,
        help_text="since when events that came very late wait for the nightly rebuild",
    )
    waiting_events = serializers.IntegerField(help_text="how many of them; 0 as a rule")
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


MOVED_EXAMPLE = {
    "memory": {
        "orders": {"before": 11, "after": 12},
        "spend": {"before": "2790.13", "after": "2817.43"},
    },
    "predictions": {"churn": {"before": 0.21, "after": 0.17}},
    "next_items": {
        "entered": [{"sku": "85123A", "probability": 0.041, "rank": 3}],
        "left": [{"sku": "22423", "probability": 0.009, "rank": 10}],
    },
    "next_basket": {
        "entered": [{"sku": "85123A", "probability": 0.34, "rank": 2, "bought_before": True}],
        "left": [{"sku": "22423", "probability": 0.05, "rank": 10, "bought_before": False}],
    },
}
EVENT_EXAMPLE = {
    "event_id": "7a0f3c86-8c9b-4a86-9d3c-0d6d3ac4d1f5",
    "type": "item_purchased",
    "occurred_at": "2011-12-05T14:26:00.000000Z",
    "recorded_at": "2011-12-05T14:26:01.120000Z",
}


class ChangeSerializer(serializers.Serializer[Any]):
    """One figure as it was and as it is; null where there was or is none."""

    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class RankedItemSerializer(NextItemSerializer):
    rank = serializers.IntegerField(help_text="1 is the likeliest")


class ItemsMovedSerializer(serializers.Serializer[Any]):
    """Which items came among the likeliest ten, and which were among them."""

    entered = RankedItemSerializer(many=True)
    left = RankedItemSerializer(many=True)


class BasketItemsMovedSerializer(serializers.Serializer[Any]):
    """The same of the items that the next order is likeliest to have."""

    entered = NextBasketItemSerializer(many=True)
    left = NextBasketItemSerializer(many=True)


class MovedSerializer(serializers.Serializer[Any]):
    """The figures that differ, by name, both asked about the later of the two clocks."""

    memory = serializers.DictField(child=ChangeSerializer())
    predictions = serializers.DictField(child=ChangeSerializer())
    next_items = ItemsMovedSerializer()
    next_basket = BasketItemsMovedSerializer()


class CauseSerializer(serializers.Serializer[Any]):
    """The event that made a version."""

    event_id = serializers.UUIDField()
    type = serializers.CharField()
    occurred_at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A purchase",
            value={
                "version": 184,
                "event": EVENT_EXAMPLE,
                "folded": True,
                "late": False,
                "clock_at": "2011-12-05T14:26:00.000000Z",
                "moved": MOVED_EXAMPLE,
            },
        )
    ]
)
class TwinVersionSerializer(serializers.Serializer[Any]):
    """One version of a twin: the event that made it, and what the event moved."""

    version = serializers.IntegerField()
    event = CauseSerializer()
    folded = serializers.BooleanField(
        help_text="whether twins fold such events at all; others move the version only"
    )
    late = serializers.BooleanField(
        help_text="whether it happened before an event that the twin had seen already"
    )
    clock_at = serializers.DateTimeField(allow_null=True)
    moved = MovedSerializer()


class TwinDiffQuery(serializers.Serializer[Any]):
    """Which two versions of a twin."""

    to = serializers.IntegerField(min_value=1, max_value=LARGEST_VERSION)

    def get_fields(self) -> dict[str, Any]:
        """``from`` cannot be written as a class attribute."""
        first = serializers.IntegerField(min_value=1, max_value=LARGEST_VERSION)
        return {"from": first, **super().get_fields()}


class VersionPointSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    clock_at = serializers.DateTimeField(allow_null=True)
    recorded_at = serializers.DateTimeField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Two weeks apart",
            value={
                "pseudonym": TWIN_EXAMPLE["pseudonym"],
                "model": TWIN_EXAMPLE["model"],
                "as_of": "2011-12-05T14:26:00.000000Z",
                "before": {
                    "version": 170,
                    "clock_at": "2011-11-21T10:02:00.000000Z",
                    "recorded_at": "2011-11-21T10:02:01.400000Z",
                },
                "after": {
                    "version": 184,
                    "clock_at": "2011-12-05T14:26:00.000000Z",
                    "recorded_at": "2011-12-05T14:26:01.120000Z",
                },
                "moved": MOVED_EXAMPLE,
            },
        )
    ]
)
class TwinDiffSerializer(serializers.Serializer[Any]):
    """What moved between two versions of a twin."""

    pseudonym = serializers.UUIDField()
    model = ModelReferenceSerializer()
    as_of = serializers.DateTimeField(help_text="the moment that both were asked about")
    before = VersionPointSerializer()
    after = VersionPointSerializer()
    moved = MovedSerializer()


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
