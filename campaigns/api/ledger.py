"""The policy ledger over the API: what was launched, forecast and measured."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from campaigns.ledger import launches, record
from campaigns.models import PolicyLedgerEntry
from common.api.pagination import SignedCursorPagination

MONEY_HELP = "decimal string in the currency of the forecast"
SUMMARY_EXAMPLE = {
    "settled": 12,
    "compared": 10,
    "within": 9,
    "within_share": 0.9,
    "mean_relative_error": 0.21,
}


class MoneyEndsSerializer(serializers.Serializer[Any]):
    """An amount with its 90 % interval; without one where nothing varied."""

    mean = serializers.CharField(help_text=MONEY_HELP)
    low = serializers.CharField(allow_null=True)
    high = serializers.CharField(allow_null=True)


class CountEndsSerializer(serializers.Serializer[Any]):
    """A number with its 90 % interval; without one where nothing varied."""

    mean = serializers.FloatField()
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class ForecastFiguresSerializer(serializers.Serializer[Any]):
    revenue = MoneyEndsSerializer()
    orders = CountEndsSerializer()
    buyers = CountEndsSerializer(help_text="per customer: the share who buy anything")


class ForecastHorizonSerializer(serializers.Serializer[Any]):
    starts_at = serializers.DateTimeField()
    days = serializers.IntegerField()


class ForecastSerializer(serializers.Serializer[Any]):
    """The uplift that the simulation foresaw for the scenario that was launched."""

    currency = serializers.CharField()
    customers_simulated = serializers.IntegerField()
    horizon = ForecastHorizonSerializer()
    level = serializers.FloatField()
    per_customer = ForecastFiguresSerializer()
    total = ForecastFiguresSerializer(
        allow_null=True, help_text="over the treated customers; null until all are assigned"
    )


class MoneyOutcomeSerializer(serializers.Serializer[Any]):
    treatment = serializers.CharField(help_text="mean per customer")
    control = serializers.CharField(help_text="mean per customer")
    uplift = MoneyEndsSerializer(help_text="treatment minus control, per customer")
    total = MoneyEndsSerializer(help_text="the uplift over all customers who were treated")


class CountOutcomeSerializer(serializers.Serializer[Any]):
    treatment = serializers.FloatField(help_text="mean per customer")
    control = serializers.FloatField(help_text="mean per customer")
    uplift = CountEndsSerializer(help_text="treatment minus control, per customer")
    total = CountEndsSerializer(help_text="the uplift over all customers who were treated")


class OutcomesSerializer(serializers.Serializer[Any]):
    revenue = MoneyOutcomeSerializer()
    orders = CountOutcomeSerializer()
    units = CountOutcomeSerializer()
    buyers = CountOutcomeSerializer()


class MoneyRangeSerializer(serializers.Serializer[Any]):
    low = serializers.CharField()
    high = serializers.CharField()


class CountRangeSerializer(serializers.Serializer[Any]):
    low = serializers.FloatField()
    high = serializers.FloatField()


class MoneyGradeSerializer(serializers.Serializer[Any]):
    """One outcome's measured uplift per customer against its forecast."""

    forecast = MoneyEndsSerializer()
    measured = serializers.CharField(help_text=MONEY_HELP)
    difference = serializers.CharField(help_text="measured minus forecast")
    relative_error = serializers.FloatField(
        allow_null=True, help_text="size of the difference over that of the forecast"
    )
    expected = MoneyRangeSerializer(
        allow_null=True, help_text="the forecast's interval widened by the sampling error"
    )
    within = serializers.BooleanField(allow_null=True)


class CountGradeSerializer(serializers.Serializer[Any]):
    """One outcome's measured uplift per customer against its forecast."""

    forecast = CountEndsSerializer()
    measured = serializers.FloatField()
    difference = serializers.FloatField(help_text="measured minus forecast")
    relative_error = serializers.FloatField(allow_null=True)
    expected = CountRangeSerializer(allow_null=True)
    within = serializers.BooleanField(allow_null=True)


class GradesSerializer(serializers.Serializer[Any]):
    revenue = MoneyGradeSerializer()
    orders = CountGradeSerializer()
    buyers = CountGradeSerializer()


class ArmSizesSerializer(serializers.Serializer[Any]):
    treatment = serializers.IntegerField()
    control = serializers.IntegerField()


class MeasurementKindSerializer(serializers.Serializer[Any]):
    level = serializers.FloatField()
    kind = serializers.CharField()


class MeasuredSerializer(serializers.Serializer[Any]):
    """What the customers of both arms did within the window."""

    customers = ArmSizesSerializer()
    interval = MeasurementKindSerializer()
    reason = serializers.CharField(
        allow_null=True, help_text="why there are no outcomes, or why they cannot be graded"
    )
    outcomes = OutcomesSerializer(allow_null=True)
    against_forecast = GradesSerializer(allow_null=True)
    erased_or_restricted_meanwhile = serializers.IntegerField()
    lines_left_out = serializers.IntegerField(help_text="technical lines and outliers")


class ResponseNameSerializer(serializers.Serializer[Any]):
    """The response model, and which share of the forecast uplift rests on an assumption."""

    name = serializers.CharField()
    provenance = serializers.CharField()
    assumption_share = serializers.FloatField(allow_null=True)


class RulesSerializer(serializers.Serializer[Any]):
    global_holdout_share = serializers.FloatField()
    contact_cap = serializers.IntegerField(help_text="0: no limit")
    contact_cap_days = serializers.IntegerField()


class LaunchLinks(serializers.Serializer[Any]):
    operation = serializers.CharField()
    export = serializers.CharField()
    settle = serializers.CharField()
    cancel = serializers.CharField()
    exposures = serializers.CharField()


class LaunchSerializer(serializers.ModelSerializer[PolicyLedgerEntry]):
    """A launch, which is an entry of the policy ledger."""

    campaign_id = serializers.UUIDField()
    simulation_id = serializers.UUIDField()
    depth = serializers.DecimalField(max_digits=6, decimal_places=5, normalize_output=True)
    holdout_share = serializers.DecimalField(max_digits=5, decimal_places=4, normalize_output=True)
    rules = RulesSerializer()
    response = ResponseNameSerializer()
    forecast = ForecastSerializer()
    left_out = serializers.DictField(
        child=serializers.IntegerField(), help_text="how many of the audience, by the first reason"
    )
    measured = MeasuredSerializer(allow_null=True)
    links = serializers.SerializerMethodField()

    class Meta:
        model = PolicyLedgerEntry
        fields = (
            "id", "campaign_id", "simulation_id", "status", "depth", "delay_days", "holdout_share",
            "rules", "starts_at", "ends_at", "offer_starts_at", "offer_ends_at", "model_version",
            "model_sha256", "response", "forecast", "treated", "control", "left_out", "measured",
            "launched_by", "launched_at", "settled_at", "links",
        )  # fmt: skip

    @extend_schema_field(LaunchLinks)
    def get_links(self, entry: PolicyLedgerEntry) -> dict[str, str]:
        return {
            "operation": reverse("operation", args=[entry.operation_id]),
            "export": reverse("launch-export", args=[entry.id]),
            "settle": reverse("launch-settle", args=[entry.id]),
            "cancel": reverse("launch-cancel", args=[entry.id]),
            "exposures": reverse("campaign-exposures", args=[entry.campaign_id]),
        }


class SummaryQuery(serializers.Serializer[Any]):
    model = serializers.UUIDField(required=False, help_text="id of a model version; all left out")


class SummarySerializer(serializers.Serializer[Any]):
    """How the forecasts of the uplift in revenue met what was measured."""

    settled = serializers.IntegerField()
    compared = serializers.IntegerField(help_text="settled launches that could be graded")
    within = serializers.IntegerField()
    within_share = serializers.FloatField(
        allow_null=True, help_text="of those compared; nine in ten where the intervals are right"
    )
    mean_relative_error = serializers.FloatField(allow_null=True)


class LedgerView(APIView):
    """GET /api/v1/ledger/"""

    required_scopes = ("campaigns:read",)
    pagination_class = SignedCursorPagination  # read by the OpenAPI generator

    @extend_schema(
        operation_id="ledger_list",
        responses=LaunchSerializer(many=True),
        filters=False,
        summary="Read the policy ledger, the newest launch first",
        tags=["launches"],
    )
    def get(self, request: Request) -> Response:
        pages = SignedCursorPagination()
        pages.ordering = ("-launched_at", "-id")
        page = pages.paginate_queryset(launches(), request, view=self)
        return pages.get_paginated_response(LaunchSerializer(page, many=True).data)


class LedgerSummaryView(APIView):
    """GET /api/v1/ledger/summary/"""

    required_scopes = ("campaigns:read",)

    @extend_schema(
        operation_id="ledger_summary",
        parameters=[SummaryQuery],
        responses=SummarySerializer,
        summary="Read how well the uplift of launches was foreseen, by all models or by one",
        tags=["launches"],
        examples=[OpenApiExample("A good record", value=SUMMARY_EXAMPLE, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        query = SummaryQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        return Response(SummarySerializer(record(query.validated_data.get("model"))).data)
