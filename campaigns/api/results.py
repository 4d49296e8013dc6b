"""What a simulation's result looks like over the API; built in ``campaigns.results``."""

from typing import Any

from drf_spectacular.utils import OpenApiExample
from rest_framework import serializers

MONEY_HELP = "decimal string in the result's currency"


class CountIntervalSerializer(serializers.Serializer[Any]):
    """A mean over replicates with its 90 % prediction interval."""

    mean = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class MoneyIntervalSerializer(serializers.Serializer[Any]):
    """A mean amount over replicates with its 90 % prediction interval."""

    mean = serializers.CharField(help_text=MONEY_HELP)
    low = serializers.CharField(help_text=MONEY_HELP)
    high = serializers.CharField(help_text=MONEY_HELP)


class MoneyCurveSerializer(serializers.Serializer[Any]):
    """One amount for each day of the horizon."""

    mean = serializers.ListField(child=serializers.CharField())
    low = serializers.ListField(child=serializers.CharField())
    high = serializers.ListField(child=serializers.CharField())


class ArmAverageSerializer(serializers.Serializer[Any]):
    """Means divided by the customers simulated."""

    buyers = serializers.FloatField(help_text="probability of any purchase within the horizon")
    orders = serializers.FloatField()
    lines = serializers.FloatField()
    units = serializers.FloatField()
    revenue = serializers.CharField(help_text=MONEY_HELP)
    discount_cost = serializers.CharField(help_text=MONEY_HELP)


class ArmSerializer(serializers.Serializer[Any]):
    """What all customers together do in one arm."""

    buyers = CountIntervalSerializer()
    orders = CountIntervalSerializer()
    lines = CountIntervalSerializer()
    units = CountIntervalSerializer()
    revenue = MoneyIntervalSerializer()
    discount_cost = MoneyIntervalSerializer()
    per_customer = ArmAverageSerializer()
    revenue_by_day = MoneyCurveSerializer()


class UpliftAverageSerializer(serializers.Serializer[Any]):
    revenue = serializers.CharField(help_text=MONEY_HELP)
    orders = serializers.FloatField()


class UpliftSerializer(serializers.Serializer[Any]):
    """Treated minus untreated, the same luck in both."""

    revenue = MoneyIntervalSerializer()
    orders = CountIntervalSerializer()
    buyers = CountIntervalSerializer()
    discount_cost = MoneyIntervalSerializer()
    per_customer = UpliftAverageSerializer()


class ScenarioEconomicsSerializer(serializers.Serializer[Any]):
    """What a scenario costs and leaves. A depth of 0 is no campaign: nothing is spent."""

    cost = MoneyIntervalSerializer(
        help_text="the shop's part of the discount, the contacts and the fixed cost"
    )
    margin = MoneyIntervalSerializer(
        allow_null=True, help_text="treated minus untreated; null without a margin rate"
    )
    profit = MoneyIntervalSerializer(
        allow_null=True, help_text="that margin less contacts and fixed cost"
    )
    bought_anyway = MoneyIntervalSerializer(
        help_text="revenue of the untreated while the offer is open"
    )
    after_offer = MoneyIntervalSerializer(
        help_text="uplift of revenue after the offer closed; below 0: bought earlier instead"
    )
    roi = CountIntervalSerializer(allow_null=True, help_text="profit over cost")
    payback_days = serializers.IntegerField(
        allow_null=True,
        help_text="after how many days the margin gained has paid contacts and fixed cost for "
        "good; null where it does not within the horizon",
    )
    within_budget = serializers.BooleanField(help_text="by its mean cost")


class SegmentUpliftSerializer(serializers.Serializer[Any]):
    revenue = MoneyIntervalSerializer()
    orders = CountIntervalSerializer()
    buyers = CountIntervalSerializer()
    margin = MoneyIntervalSerializer(allow_null=True)


class SegmentSerializer(serializers.Serializer[Any]):
    """Customers by the orders they had placed before the horizon."""

    segment = serializers.CharField()
    customers = serializers.IntegerField(allow_null=True, help_text="null: 1 to 4, not shown")
    uplift = SegmentUpliftSerializer(allow_null=True, help_text="null: fewer than 5 customers")


class ReplicatesSerializer(serializers.Serializer[Any]):
    """An amount for each replicate; replicate n has the same luck wherever the seed is equal."""

    revenue = serializers.ListField(child=serializers.CharField(), help_text="uplift")
    cost = serializers.ListField(child=serializers.CharField())
    profit = serializers.ListField(
        child=serializers.CharField(), allow_null=True, help_text="null without a margin rate"
    )


class ScenarioSerializer(serializers.Serializer[Any]):
    depth = serializers.CharField(help_text="share of the price, as a decimal string")
    delay_days = serializers.IntegerField()
    treated = ArmSerializer()
    uplift = UpliftSerializer()
    economics = ScenarioEconomicsSerializer()
    by_replicate = ReplicatesSerializer()
    segments = SegmentSerializer(many=True)


class UnitCostsSerializer(serializers.Serializer[Any]):
    products = serializers.IntegerField(help_text="with a known unit cost")
    sha256 = serializers.CharField()


class TermsSerializer(serializers.Serializer[Any]):
    """What margin and profit were computed with."""

    margin_rate = serializers.CharField(allow_null=True)
    funded_share = serializers.CharField()
    contact_cost = serializers.CharField()
    fixed_cost = serializers.CharField()
    budget = serializers.CharField(allow_null=True)
    unit_costs = UnitCostsSerializer()
    unknown = serializers.CharField(help_text="what is not known for want of a term; or empty")


class HorizonSerializer(serializers.Serializer[Any]):
    starts_at = serializers.DateTimeField()
    days = serializers.IntegerField()


class IntervalKindSerializer(serializers.Serializer[Any]):
    level = serializers.FloatField()
    kind = serializers.CharField()


class SimulatedCustomersSerializer(serializers.Serializer[Any]):
    pinned = serializers.IntegerField()
    simulated = serializers.IntegerField()
    erased_meanwhile = serializers.IntegerField(
        help_text="erased before their chunk was computed: they are in no figure"
    )


class DescribedResponseSerializer(serializers.Serializer[Any]):
    """The response model, and how much of the uplift rests on an assumption."""

    name = serializers.CharField()
    provenance = serializers.CharField(help_text="`assumption` or `data`")
    assumption_share = serializers.FloatField(help_text="share of the uplift, 0 to 1")
    elasticity = serializers.DictField(child=serializers.FloatField())
    statement = serializers.CharField()


class ResultSerializer(serializers.Serializer[Any]):
    """The answer of a simulation."""

    currency = serializers.CharField()
    horizon = HorizonSerializer()
    replicates = serializers.IntegerField()
    interval = IntervalKindSerializer()
    customers = SimulatedCustomersSerializer()
    response = DescribedResponseSerializer()
    economics = TermsSerializer()
    control = ArmSerializer()
    scenarios = ScenarioSerializer(many=True)
    best_scenario = serializers.IntegerField(
        allow_null=True, help_text="place in `scenarios`, from 0; null: the budget allows none"
    )
    best_by = serializers.ChoiceField(choices=[("profit", "profit"), ("revenue", "revenue")])
    depth_zero = serializers.CharField()
    limits = serializers.ListField(child=serializers.CharField())
    manifest = serializers.JSONField()
    manifest_sha256 = serializers.CharField()

    def to_representation(self, instance: Any) -> Any:
        """The stored result as it is: running it through the fields would change no digit of it."""
        return instance


def _arm(orders: float, revenue: str, discount: str) -> dict[str, Any]:
    return {
        "buyers": {"mean": 402.1, "low": 371.4, "high": 432.8},
        "orders": {"mean": orders, "low": orders - 38, "high": orders + 38},
        "lines": {"mean": 9921.0, "low": 9100.5, "high": 10741.5},
        "units": {"mean": 118233.0, "low": 104001.0, "high": 132465.0},
        "revenue": {"mean": revenue, "low": "171204.11", "high": "252970.65"},
        "discount_cost": {"mean": discount, "low": discount, "high": discount},
        "per_customer": {
            "buyers": 0.3069, "orders": 0.3939, "lines": 7.5733, "units": 90.25,
            "revenue": "161.90", "discount_cost": "0.00",
        },
        "revenue_by_day": {"mean": ["7069.58"], "low": ["4108.20"], "high": ["10030.96"]},
    }  # fmt: skip


NOTHING = {"mean": "0.00", "low": "0.00", "high": "0.00"}
EXAMPLE_RESULT = OpenApiExample(
    "A result (one scenario, one day of the curve)",
    response_only=True,
    value={
        "id": "f2b1a7c4-7a0d-4a77-8b0c-6a2f9d8e1c33",
        "campaign_id": "5f0c7c1e-9a39-4a5e-9c6c-2d0f6d0a8f11",
        "audience_id": "0d8a3a52-5a43-4f0e-8c55-1c9c6c1e7a90",
        "depths": ["0"],
        "delays_days": [0],
        "horizon_days": 30,
        "replicates": 10,
        "seed": 1,
        "response": {"kind": "assumed", "mean": 1.5, "spread": 0.5},
        "result": {
            "currency": "GBP",
            "horizon": {"starts_at": "2011-12-09T12:50:00.000Z", "days": 30},
            "replicates": 10,
            "interval": {"level": 0.9, "kind": "Student t prediction interval over replicates"},
            "customers": {"pinned": 1310, "simulated": 1310, "erased_meanwhile": 0},
            "response": {
                "name": "assumed",
                "provenance": "assumption",
                "assumption_share": 1.0,
                "elasticity": {"mean": 1.5, "spread": 0.5},
                "statement": "The elasticity was stated by whoever asked, not measured.",
            },
            "economics": {
                "margin_rate": "0.4000",
                "funded_share": "0.0000",
                "contact_cost": "0.0500",
                "fixed_cost": "250.00",
                "budget": "20000.00",
                "unit_costs": {"products": 0, "sha256": "44136fa355b3678a..."},
                "unknown": "",
            },
            "control": _arm(516.0, "212087.38", "0.00"),
            "scenarios": [
                {
                    "depth": "0",
                    "delay_days": 0,
                    "treated": _arm(516.0, "212087.38", "0.00"),
                    "uplift": {
                        "revenue": {"mean": "0.00", "low": "0.00", "high": "0.00"},
                        "orders": {"mean": 0.0, "low": 0.0, "high": 0.0},
                        "buyers": {"mean": 0.0, "low": 0.0, "high": 0.0},
                        "discount_cost": {"mean": "0.00", "low": "0.00", "high": "0.00"},
                        "per_customer": {"revenue": "0.00", "orders": 0.0},
                    },
                    "economics": {
                        "cost": NOTHING,
                        "margin": NOTHING,
                        "profit": NOTHING,
                        "bought_anyway": {
                            "mean": "98974.11",
                            "low": "80112.40",
                            "high": "117835.82",
                        },
                        "after_offer": NOTHING,
                        "roi": None,
                        "payback_days": 0,
                        "within_budget": True,
                    },
                    "by_replicate": {"revenue": ["0.00"], "cost": ["0.00"], "profit": ["0.00"]},
                    "segments": [
                        {
                            "segment": "1 order",
                            "customers": 1310,
                            "uplift": {
                                "revenue": NOTHING,
                                "orders": {"mean": 0.0, "low": 0.0, "high": 0.0},
                                "buyers": {"mean": 0.0, "low": 0.0, "high": 0.0},
                                "margin": NOTHING,
                            },
                        }
                    ],
                }
            ],
            "best_scenario": 0,
            "best_by": "profit",
            "depth_zero": "A scenario of depth 0 equals the untreated twins in every replicate.",
            "limits": ["Returns, cancellations and new customers are not modelled."],
        },
    },
)
