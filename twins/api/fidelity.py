"""How well a model's live twins foresaw what came, over REST."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.clock import now
from twins.fidelity import (
    SEGMENTS,
    Drift,
    Fidelity,
    drift_of,
    fidelity_by_day,
    fidelity_by_segment,
)
from twins.selectors import model_version_by_id

SHOWN_DAYS = 30
MOST_DAYS = 400


class FidelityQuery(serializers.Serializer[Any]):
    since = serializers.DateField(
        required=False, help_text=f"first day, UTC; {SHOWN_DAYS} days before `until` if left out"
    )
    until = serializers.DateField(required=False, help_text="last day, UTC; today if left out")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        until: date = attrs.setdefault("until", now().date())
        first = until - timedelta(days=min(SHOWN_DAYS, until.toordinal() - 1))
        since: date = attrs.setdefault("since", first)
        if not 0 <= (until - since).days <= MOST_DAYS:
            raise serializers.ValidationError(
                {"since": f"must not be after until, nor more than {MOST_DAYS} days before it"}
            )
        return attrs


class FidelitySerializer(serializers.Serializer[Any]):
    """How purchase lines were foreseen, just before they came."""

    lines = serializers.IntegerField(help_text="scored")
    top_1 = serializers.FloatField(help_text="share whose item was the likeliest")
    top_10 = serializers.FloatField(help_text="share whose item was among the ten likeliest")
    mrr = serializers.FloatField(help_text="mean reciprocal rank, 0 beyond rank 20")
    mean_nll = serializers.FloatField(
        help_text="nats per line; lines of items that the model does not know are left out"
    )
    mean_popularity_nll = serializers.FloatField(
        help_text="the same of the best sellers of the last 28 days"
    )
    skill = serializers.FloatField(help_text="nats per line more than the best sellers know")


class FidelityOfDaySerializer(FidelitySerializer):
    day = serializers.DateField(help_text="on which the twins were advanced, UTC")


class FidelityOfSegmentSerializer(FidelitySerializer):
    segment = serializers.ChoiceField(
        choices=list(SEGMENTS), help_text="orders that the customer had opened before"
    )
    opens_order = serializers.BooleanField(help_text="lines that open an order, or go on with one")


class DriftSerializer(serializers.Serializer[Any]):
    """The last seven days against the 28 before them."""

    alarming = serializers.BooleanField()
    skill = serializers.FloatField(help_text="of the last seven days")
    skill_before = serializers.FloatField()
    allowed_drop = serializers.FloatField(help_text="a loss up to this would be chance")


class FidelityReportSerializer(serializers.Serializer[Any]):
    days = FidelityOfDaySerializer(many=True)
    segments = FidelityOfSegmentSerializer(many=True, help_text="over all of these days")
    drift = DriftSerializer(allow_null=True, help_text="as of now; empty with too few days")


class ModelFidelityView(APIView):
    """GET /api/v1/models/{model_id}/fidelity/"""

    required_scopes = ("twins:read",)

    @extend_schema(
        operation_id="models_fidelity",
        parameters=[FidelityQuery],
        responses=FidelityReportSerializer,
        summary="Read how well the live twins foresaw what came",
        description=(
            "Just before new events are folded, the twins are asked what comes next. A sample of "
            "each advance is scored; histories that are folded for the first time are not."
        ),
        tags=["models"],
    )
    def get(self, request: Request, model_id: UUID) -> Response:
        query = FidelityQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        days = {"since": query.validated_data["since"], "until": query.validated_data["until"]}
        version = model_version_by_id(model_id)
        report = {
            "days": [
                {"day": day, **_figures(found)}
                for day, found in fidelity_by_day(version.id, **days).items()
            ],
            "segments": [
                {"segment": segment, "opens_order": opens, **_figures(found)}
                for segment, opens, found in fidelity_by_segment(version.id, **days)
            ],
            "drift": _drift(drift_of(version.id, at=now())),
        }
        return Response(FidelityReportSerializer(report).data)


def _figures(found: Fidelity) -> dict[str, Any]:
    names: Iterable[str] = FidelitySerializer().fields
    return {name: getattr(found, name) for name in names}


def _drift(drift: Drift | None) -> dict[str, Any] | None:
    if drift is None:
        return None
    return {
        "alarming": drift.alarming,
        "skill": drift.recent.skill,
        "skill_before": drift.before.skill,
        "allowed_drop": drift.allowed,
    }
