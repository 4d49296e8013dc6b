"""What decisions and live offers look like over the API."""

from typing import Any

from rest_framework import serializers

from campaigns.models import Decision, LiveOffer
from customers.api.serializers import IdentityInput

ARMS = [("treatment", "treatment"), ("control", "control")]


class DecisionInput(serializers.Serializer[Any]):
    """Whom to decide about: exactly one of pseudonym and identity."""

    pseudonym = serializers.UUIDField(required=False)
    identity = IdentityInput(required=False)
    channel = serializers.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9 _.:/#+&-]{0,63}$",
        required=False,
        help_text="where the offer would be shown (email, web, ...); whoever unsubscribed from it "
        "is made none",
    )
    basket_value = serializers.DecimalField(
        max_digits=12,
        decimal_places=2,
        min_value=0,
        required=False,
        help_text="of the order under way, for offers with a least order value",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("pseudonym" in attrs) == ("identity" in attrs):
            raise serializers.ValidationError("name either the pseudonym or one identity")
        return attrs


class OutcomeInput(serializers.Serializer[Any]):
    """What became of a decision."""

    outcome = serializers.ChoiceField(
        choices=Decision.Outcome.choices,
        help_text="of the control group: whether the offer would have been shown",
    )
    at = serializers.DateTimeField(required=False, help_text="when it was shown; now")


class ReasonSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="for programs; see the documentation of decisions")
    text = serializers.CharField(help_text="the same in words")


class MarginSerializer(serializers.Serializer[Any]):
    """Margin that the offer adds within the horizon, contact paid, with its 90 % interval."""

    mean = serializers.DecimalField(max_digits=20, decimal_places=4)
    low = serializers.DecimalField(max_digits=20, decimal_places=4)
    high = serializers.DecimalField(max_digits=20, decimal_places=4)


class ExpectedOrdersSerializer(serializers.Serializer[Any]):
    """Expected orders within the horizon."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"without": serializers.FloatField(), "with": serializers.FloatField()}


class EffectSerializer(serializers.Serializer[Any]):
    """An elasticity: a price lower by d multiplies by (1 - d) ** -mean."""

    mean = serializers.FloatField()
    spread = serializers.FloatField(help_text="standard deviation of what is not known")


class EffectsSerializer(serializers.Serializer[Any]):
    """How customers answer to the offer: how often they order, and how much."""

    kind = serializers.CharField(help_text="assumed, elasticity or learned")
    hazard = EffectSerializer()
    quantity = EffectSerializer()
    correlation = serializers.FloatField()
    least = serializers.FloatField(help_text="bound from below")
    most = serializers.FloatField(help_text="bound from above")
    simulation_id = serializers.UUIDField(allow_null=True)


class CandidateSerializer(serializers.Serializer[Any]):
    """An open offer: what it would add for this customer, and what became of it."""

    live_offer_id = serializers.UUIDField()
    campaign_id = serializers.UUIDField()
    name = serializers.CharField()
    kind = serializers.CharField()
    depth = serializers.DecimalField(max_digits=6, decimal_places=5, help_text="of the price")
    skus = serializers.ListField(
        child=serializers.CharField(), help_text="in stock, of those it holds for; empty: all"
    )
    offer_days = serializers.IntegerField(help_text="how long the customer keeps it")
    least_order_value = serializers.DecimalField(max_digits=12, decimal_places=2, allow_null=True)
    currency = serializers.CharField()
    expected_margin = MarginSerializer(allow_null=True)
    expected_orders = ExpectedOrdersSerializer(allow_null=True)
    response = EffectsSerializer()
    reason = ReasonSerializer()


class DecidingModelSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    sha256 = serializers.CharField()


class DecidingTwinSerializer(serializers.Serializer[Any]):
    """The twin as it was asked."""

    model = DecidingModelSerializer()
    stream_version = serializers.IntegerField()
    lag = serializers.IntegerField(help_text="events that it had not seen yet")
    order_value = serializers.DecimalField(max_digits=20, decimal_places=2)
    order_within_90_days = serializers.FloatField(help_text="probability, without any offer")


class DecisionRulesSerializer(serializers.Serializer[Any]):
    """What the decision obeyed."""

    channel = serializers.CharField(allow_blank=True)
    basket_value = serializers.DecimalField(max_digits=12, decimal_places=2, allow_null=True)
    marketing_basis = serializers.CharField()
    marketing_consent = serializers.BooleanField(allow_null=True, help_text="null: never said")
    profiling_consent = serializers.BooleanField(allow_null=True)
    global_holdout_share = serializers.FloatField()
    contact_cap = serializers.IntegerField(help_text="0: no limit")
    contact_cap_days = serializers.IntegerField()
    contacts = serializers.IntegerField(help_text="within those days, before this decision")


class DecisionIntervalSerializer(serializers.Serializer[Any]):
    level = serializers.FloatField()
    of = serializers.CharField(help_text="what is uncertain in the intervals")
    horizon_days = serializers.IntegerField()


class ReportedOutcomeSerializer(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField(choices=Decision.Outcome.choices)
    at = serializers.DateTimeField()
    reported_at = serializers.DateTimeField()


class DecisionSerializer(serializers.Serializer[Any]):
    """The next best action for one customer, what else was considered, and why."""

    id = serializers.UUIDField()
    exposure_id = serializers.UUIDField(
        allow_null=True, help_text="report the outcome under it; null: there is nothing to report"
    )
    pseudonym = serializers.UUIDField()
    decided_at = serializers.DateTimeField()
    arm = serializers.ChoiceField(
        choices=ARMS, allow_null=True, help_text="control: show nothing, and report all the same"
    )
    show_until = serializers.DateTimeField(allow_null=True, help_text="after that, ask again")
    reason = ReasonSerializer()
    offer = CandidateSerializer(allow_null=True, help_text="to be made now; null: make none")
    candidates = CandidateSerializer(many=True, help_text="all open offers, the best first")
    interval = DecisionIntervalSerializer()
    twin = DecidingTwinSerializer(
        allow_null=True, help_text="null where a rule forbids every offer: it was not asked"
    )
    rules = DecisionRulesSerializer()
    outcome = ReportedOutcomeSerializer(allow_null=True)


class AssumedResponseSerializer(serializers.Serializer[Any]):
    """An elasticity that you state."""

    mean = serializers.FloatField(help_text="0 to 10")
    spread = serializers.FloatField(help_text="standard deviation, 0 to 10")


class LiveOfferInput(serializers.Serializer[Any]):
    """A campaign at one depth, to be chosen by decisions."""

    depth = serializers.DecimalField(
        max_digits=6, decimal_places=5, help_text="share of the price, above 0, at most 0.9"
    )
    starts_at = serializers.DateTimeField(required=False, help_text="now")
    ends_at = serializers.DateTimeField(help_text="no decision chooses it from then on")
    response = AssumedResponseSerializer(required=False)
    simulation_id = serializers.UUIDField(
        required=False, help_text="of this campaign: its response is taken; instead of `response`"
    )
    skus = serializers.ListField(
        child=serializers.CharField(max_length=100),
        required=False,
        help_text="the products that it holds for; all where left out",
    )
    least_order_value = serializers.DecimalField(
        max_digits=12, decimal_places=2, required=False, allow_null=True
    )
    holdout_share = serializers.DecimalField(
        max_digits=5, decimal_places=4, required=False, help_text="0 to 0.9; 0.1"
    )


class LiveOfferSerializer(serializers.ModelSerializer[LiveOffer]):
    """A live offer."""

    campaign_id = serializers.UUIDField()
    name = serializers.CharField(source="campaign.name")
    depth = serializers.DecimalField(max_digits=6, decimal_places=5, normalize_output=True)
    holdout_share = serializers.DecimalField(max_digits=5, decimal_places=4, normalize_output=True)
    skus = serializers.ListField(child=serializers.CharField())
    response = EffectsSerializer()

    class Meta:
        model = LiveOffer
        fields = (
            "id", "campaign_id", "name", "depth", "skus", "least_order_value", "holdout_share",
            "response", "starts_at", "ends_at", "closed_at", "opened_by", "opened_at",
        )  # fmt: skip
