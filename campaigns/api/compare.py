"""Simulations side by side, over the API."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from campaigns.api.results import CountIntervalSerializer, MoneyIntervalSerializer
from campaigns.compare import Comparison, Side, asked_of, comparison, figures_of

EXAMPLE = {
    "compared_by": "profit",
    "currency": "GBP",
    "horizon_days": 30,
    "best": 1,
    "warnings": [],
    "sides": [
        {
            "simulation_id": "f2b1a7c4-7a0d-4a77-8b0c-6a2f9d8e1c33",
            "campaign": {"id": "5f0c7c1e-9a39-4a5e-9c6c-2d0f6d0a8f11", "name": "Spring sale"},
            "scenario": 2,
            "depth": "0.1",
            "delay_days": 0,
            "verdict": "offer",
            "within_budget": True,
            "response": "assumed",
            "revenue": {"mean": "9150.40", "low": "3310.07", "high": "14990.73"},
            "orders": {"mean": 31.2, "low": 11.0, "high": 51.4},
            "buyers": {"mean": 24.0, "low": 8.1, "high": 39.9},
            "cost": {"mean": "4820.11", "low": "1917.30", "high": "7722.92"},
            "margin": {"mean": "2101.00", "low": "-310.20", "high": "4512.20"},
            "profit": {"mean": "1851.00", "low": "-560.20", "high": "4262.20"},
            "roi": {"mean": 0.38, "low": -0.12, "high": 0.88},
            "difference": None,
        }
    ],
}


class CompareQuery(serializers.Serializer[Any]):
    ids = serializers.CharField(
        help_text="2 to 6 simulations separated by commas; `ID:3` is the scenario at place 3 of "
        "`scenarios`, from 0, an ID alone its best offer"
    )


class CampaignName(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()


class DifferenceSerializer(serializers.Serializer[Any]):
    """This side minus the first, taken within each replicate."""

    mean = serializers.CharField()
    low = serializers.CharField(allow_null=True, help_text="null: the replicates were not kept")
    high = serializers.CharField(allow_null=True)


class SideSerializer(serializers.Serializer[Any]):
    """One scenario of one simulation; revenue, orders and buyers are uplifts."""

    simulation_id = serializers.UUIDField()
    campaign = CampaignName()
    scenario = serializers.IntegerField(help_text="its place in `scenarios` of the simulation")
    depth = serializers.CharField()
    delay_days = serializers.IntegerField()
    verdict = serializers.ChoiceField(
        choices=[(name, name) for name in ("offer", "no-offer-pays", "over-budget")]
    )
    within_budget = serializers.BooleanField()
    response = serializers.CharField(help_text="the name of the response model")
    revenue = MoneyIntervalSerializer()
    orders = CountIntervalSerializer()
    buyers = CountIntervalSerializer()
    cost = MoneyIntervalSerializer(allow_null=True)
    margin = MoneyIntervalSerializer(allow_null=True)
    profit = MoneyIntervalSerializer(allow_null=True)
    roi = CountIntervalSerializer(allow_null=True)
    difference = DifferenceSerializer(allow_null=True, help_text="null for the first")


class WarningSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()


class ComparisonSerializer(serializers.Serializer[Any]):
    """Scenarios side by side, in the order asked for."""

    compared_by = serializers.CharField(
        help_text="`profit`, or `revenue` where the margin of one is not known"
    )
    currency = serializers.CharField()
    horizon_days = serializers.IntegerField()
    best = serializers.IntegerField(
        allow_null=True,
        help_text="place in `sides`, from 0; null: no offer gains within its budget",
    )
    warnings = WarningSerializer(many=True, help_text="what differs besides the campaigns")
    sides = SideSerializer(many=True)


class SimulationsCompareView(APIView):
    """GET /api/v1/simulations/compare/"""

    required_scopes = ("campaigns:read",)

    @extend_schema(
        operation_id="simulations_compare",
        parameters=[CompareQuery],
        responses=ComparisonSerializer,
        summary="Compare two to six simulations of one audience",
        tags=["simulations"],
        examples=[OpenApiExample("Side by side", value=EXAMPLE, response_only=True)],
    )
    def get(self, request: Request) -> Response:
        query = CompareQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        return Response(as_json(comparison(asked_of(query.validated_data["ids"]))))


def as_json(found: Comparison) -> dict[str, Any]:
    """A comparison as the serializers above describe it."""
    run = found.sides[0].run
    return {
        "compared_by": found.compared_by,
        "currency": run.manifest["currency"],
        "horizon_days": run.horizon_days,
        "best": found.best,
        "warnings": [{"code": code, "detail": text} for code, text in found.warnings.items()],
        "sides": [_side(side) for side in found.sides],
    }


def _side(side: Side) -> dict[str, Any]:
    run = side.run
    return {
        "simulation_id": str(run.id),
        "campaign": {"id": str(run.campaign_id), "name": run.campaign.name},
        "scenario": side.place,
        "depth": side.scenario["depth"],
        "delay_days": side.scenario["delay_days"],
        "verdict": side.verdict,
        "within_budget": side.within_budget,
        "response": run.manifest["response"]["kind"],
        **figures_of(side.scenario),
        "difference": side.difference,
    }
