"""Why a twin expects what it expects."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiResponse,
    extend_schema,
    extend_schema_serializer,
)
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.api.serializers import ProblemSerializer
from common.clock import now, truncated
from customers.selectors import customer_by_pseudonym
from twins.api.history import PROBLEM
from twins.api.representation import etag_of, matches
from twins.api.serializers import TWIN_EXAMPLE, ModelReferenceSerializer
from twins.explanation import EVENTS, MOST_EVENTS, explanation_document, market_row, usual_moment
from twins.models import Twin
from twins.selectors import twin_of

FIGURES_EXAMPLE = {
    "order_within_30_days": 0.11,
    "churn": -0.04,
    "days_to_next_order": -6.2,
    "top_item_probability": 0.013,
}
WITHOUT_EXAMPLE = {
    "order_within_30_days": 0.41,
    "churn": 0.21,
    "days_to_next_order": 34.8,
    "top_item_probability": 0.028,
}
EXPLANATION_EXAMPLE = {
    "summary": [
        "The next order most likely opens with 85123A (4.1 %), because: bought it before (79 %); "
        "a best seller of the last four weeks (21 %).",
        "4 days have passed since the last order; the usual gap is 35 days, from 33 days between "
        "own orders (weight 87 %) and 78 days of all customers, so an order within 30 days has a "
        "chance of 52 %.",
        "Of the last events the purchase of 2011-12-05 (version 184) moved the prediction most: "
        "without it the chance of an order within 30 days would be 41 % and not 52 %.",
    ],
    "pseudonym": TWIN_EXAMPLE["pseudonym"],
    "stream_version": 184,
    "model": TWIN_EXAMPLE["model"],
    "as_of": "2011-12-10T00:00:00.000000Z",
    "next_items": [
        {
            "sku": "85123A",
            "probability": 0.041,
            "because": [
                {"component": "own", "label": "bought it before", "share": 0.79},
                {
                    "component": "last_28_days",
                    "label": "a best seller of the last four weeks",
                    "share": 0.21,
                },
            ],
        }
    ],
    "time": {
        "order_within_30_days": 0.52,
        "churn": 0.17,
        "days_to_next_order": 28.6,
        "own_gaps": 11,
        "own_gap_days": 33.0,
        "everybodys_gap_days": 78.1,
        "usual_gap_days": 35.2,
        "own_weight": 0.87,
        "waited_days": 4,
        "waited_over_usual_gap": 0.11,
        "weekday": "Saturday",
        "weekday_factor": 0.0,
        "learned_factor": 0.8,
        "learned_terms": [
            {"term": "days_waited", "label": "the days since the last order", "log_factor": -0.31}
        ],
    },
    "predictions": {
        "order_within_30_days": 0.52,
        "churn": 0.17,
        "days_to_next_order": 28.6,
        "top_item_probability": 0.041,
    },
    "events": [
        {
            "version": 184,
            "event_id": "7a0f3c86-8c9b-4a86-9d3c-0d6d3ac4d1f5",
            "type": "item_purchased",
            "occurred_at": "2011-12-05T14:26:00.000000Z",
            "moved": FIGURES_EXAMPLE,
            "without": WITHOUT_EXAMPLE,
            "effect": 0.11,
        }
    ],
    "orders": [
        {
            "versions": [183, 184],
            "occurred_at": "2011-12-05T14:26:00.000000Z",
            "moved": FIGURES_EXAMPLE,
            "without": WITHOUT_EXAMPLE,
            "effect": 0.11,
        }
    ],
    "reason": "",
}


class ExplanationQuery(serializers.Serializer[Any]):
    """What may be asked of an explanation."""

    events = serializers.IntegerField(
        default=EVENTS,
        min_value=1,
        max_value=MOST_EVENTS,
        help_text="how many of the last events that twins fold are left out, one at a time",
    )
    as_of = serializers.DateTimeField(
        required=False,
        help_text=(
            "explain the prediction as of this moment, no earlier than the twin's last event; "
            "else as of today's midnight (UTC), or of the last event if that is later"
        ),
    )


class LabelledSerializer(serializers.Serializer[Any]):
    # The field takes the place of an attribute only until the class is made: then it is moved.
    label = serializers.CharField(help_text="in words")  # type: ignore[assignment]


class ComponentShareSerializer(LabelledSerializer):
    component = serializers.CharField()
    share = serializers.FloatField(help_text="of the item's probability; all of them sum to 1")


class ExplainedItemSerializer(serializers.Serializer[Any]):
    """One of the likeliest items, and what its probability is made of; the largest share first."""

    sku = serializers.CharField()
    probability = serializers.FloatField(
        help_text="that the first line of the next order is this item"
    )
    because = ComponentShareSerializer(many=True)


class LearnedTermSerializer(LabelledSerializer):
    term = serializers.CharField()
    log_factor = serializers.FloatField(help_text="above 0 an order is likelier, below less likely")


class ExplainedTimeSerializer(serializers.Serializer[Any]):
    """What the time to the next order rests on. Gaps are in days, of which a week has seven."""

    order_within_30_days = serializers.FloatField()
    churn = serializers.FloatField(help_text="chance of no order within 90 days")
    days_to_next_order = serializers.FloatField(allow_null=True, help_text="the median")
    own_gaps = serializers.IntegerField(help_text="between the customer's purchase days")
    own_gap_days = serializers.FloatField(allow_null=True, help_text="their mean")
    everybodys_gap_days = serializers.FloatField()
    usual_gap_days = serializers.FloatField(help_text="expected, between the two")
    own_weight = serializers.FloatField(
        help_text="how much the own gaps count in the rate of orders, 0 to 1; the rest is everybody"
    )
    waited_days = serializers.IntegerField(allow_null=True, help_text="since the last purchase day")
    waited_over_usual_gap = serializers.FloatField(allow_null=True)
    weekday = serializers.CharField(help_text="of `as_of`, UTC")
    weekday_factor = serializers.FloatField(help_text="how busy that weekday is; 1 on average")
    learned_factor = serializers.FloatField(
        help_text="what was learned from all customers makes an order on that day so much likelier"
    )
    learned_terms = LearnedTermSerializer(
        many=True, help_text="what the factor is the product of, the largest first"
    )


class FiguresSerializer(serializers.Serializer[Any]):
    """A prediction in four numbers, or the difference of two."""

    order_within_30_days = serializers.FloatField()
    churn = serializers.FloatField()
    days_to_next_order = serializers.FloatField(
        allow_null=True, help_text="the median; null where it is beyond five years"
    )
    top_item_probability = serializers.FloatField(
        allow_null=True, help_text="of the item that is the likeliest with all events"
    )


class OccludedOrderSerializer(serializers.Serializer[Any]):
    """The lines of one order, and the prediction without them."""

    versions = serializers.ListField(child=serializers.IntegerField())
    occurred_at = serializers.DateTimeField()
    moved = FiguresSerializer(help_text="the prediction with them less the one without")
    without = FiguresSerializer()
    effect = serializers.FloatField(help_text="the largest change of the three probabilities")


class OccludedEventSerializer(serializers.Serializer[Any]):
    """One event, and the prediction had it never happened."""

    version = serializers.IntegerField()
    event_id = serializers.UUIDField()
    type = serializers.CharField()
    occurred_at = serializers.DateTimeField()
    moved = FiguresSerializer(help_text="the prediction with it less the one without")
    without = FiguresSerializer()
    effect = serializers.FloatField(help_text="the largest change of the three probabilities")


@extend_schema_serializer(examples=[OpenApiExample("A regular customer", EXPLANATION_EXAMPLE)])
class ExplanationSerializer(serializers.Serializer[Any]):
    """Why a twin expects what it expects."""

    summary = serializers.ListField(
        child=serializers.CharField(), help_text="two to four sentences"
    )
    pseudonym = serializers.UUIDField()
    stream_version = serializers.IntegerField()
    model = ModelReferenceSerializer()
    as_of = serializers.DateTimeField()
    next_items = ExplainedItemSerializer(many=True)
    time = ExplainedTimeSerializer()
    predictions = FiguresSerializer(
        allow_null=True, help_text="with all events; null where `events` is empty"
    )
    events = OccludedEventSerializer(many=True, help_text="the largest effect first")
    orders = OccludedOrderSerializer(
        many=True, help_text="whole orders of more than one line that these events belong to"
    )
    reason = serializers.CharField(help_text="why `events` is empty", allow_blank=True)


class TwinExplanationView(APIView):
    """GET /api/v1/twins/{pseudonym}/explanation/"""

    required_scopes = ("twins:read",)

    @extend_schema(
        operation_id="twins_explanation_retrieve",
        parameters=[ExplanationQuery],
        responses={
            200: ExplanationSerializer,
            304: OpenApiResponse(description="the answer is the one that If-None-Match names"),
            (404, PROBLEM): ProblemSerializer,
        },
        summary="Explain a twin's prediction",
        description=(
            "What each component gives to the likeliest items, what the time to the next order "
            "rests on, and what each of the last `events` moved: the twin is folded once without "
            "it, as if it had never happened. `moved` is the prediction with the event less the "
            "one without. A twin that waits for late events has none, and `reason` says so. "
            "The strong `ETag` names customer, model, stream version, moment and `events`."
        ),
        tags=["twins"],
    )
    def get(self, request: Request, pseudonym: UUID) -> Response:
        query = ExplanationQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        events, asked = query.validated_data["events"], query.validated_data.get("as_of")
        customer_by_pseudonym(pseudonym)
        twin = twin_of(pseudonym)
        as_of = truncated(asked) if asked else usual_moment(twin, now())
        headers = {"ETag": _etag(twin, f"why-{events}-{as_of:%Y%m%dT%H%M%S.%f}")}
        if matches(request, headers["ETag"]):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
        document = explanation_document(twin, events=events, as_of=as_of)
        return Response(ExplanationSerializer(document).data, headers=headers)


def _etag(twin: Twin, asked: str) -> str:
    """The twin's own, with what was asked and the market that it is explained with."""
    return f'{etag_of(twin)[:-1]}.{asked}-{market_row(twin) or 0}"'
