"""Forms to compose a campaign and to choose whom it is for."""

from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSplitDateTimeWidget,
)

from campaigns.criteria import Criteria
from campaigns.forms.lists import CountriesField, PseudonymsField
from campaigns.forms.service_form import ServiceForm
from campaigns.models import Audience, Campaign
from campaigns.services import Economics, create_audience, create_campaign
from common.clock import now
from ml.timing import CHURN_DAYS

MONEY = ("margin_rate", "funded_share", "contact_cost", "fixed_cost", "budget")
USUAL_OFFER_DAYS = 14


class CampaignForm(ServiceForm):
    """An offer with its economics."""

    class Meta:
        model = Campaign
        fields = ("name", "offer_days", "currency", *MONEY)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["offer_days"].initial = USUAL_OFFER_DAYS

    def write(self, values: dict[str, Any]) -> Campaign:
        return create_campaign(
            name=values["name"],
            offer_days=values["offer_days"],
            currency=values["currency"].upper(),
            economics=Economics(**{name: values[name] for name in MONEY}),
            created_by=str(self.by),
            at=now(),
        )


def _number(label: str, **more: Any) -> Any:
    return forms.FloatField(
        label=label, required=False, widget=UnfoldAdminDecimalFieldWidget, **more
    )


def _count(label: str, **more: Any) -> Any:
    return forms.IntegerField(
        label=label, required=False, widget=UnfoldAdminIntegerFieldWidget, **more
    )


def _amount(label: str) -> Any:
    return forms.DecimalField(
        label=label,
        required=False,
        max_digits=18,
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
    )


class AudienceForm(ServiceForm):
    """A filter over twins. All conditions hold at once; an empty one does not count."""

    orders_at_least = _count("Orders, at least")
    recency_days_at_least = _number("Days since the last order, at least")
    recency_days_at_most = _number("Days since the last order, at most")
    spend_at_least = _amount("Spent so far, at least")
    spend_at_most = _amount("Spent so far, at most")
    countries = CountriesField(
        required=False, help_text="two letters each, separated by commas: GB, DE"
    )
    churn_probability_at_least = _number("Probability of churn, at least", help_text="0 to 1")
    churn_probability_at_most = _number("Probability of churn, at most", help_text="0 to 1")
    churn_days = _count("Churn is no order within so many days", help_text=f"empty: {CHURN_DAYS}")
    pseudonyms = PseudonymsField(
        label="Only these customers", required=False, help_text="pseudonyms, one in a line"
    )
    sample = _count("Keep only so many", help_text="chosen by a keyed hash; empty: all")
    sample_seed = _count("Seed of the choice", help_text="another one chooses others; empty: 0")
    as_of = forms.SplitDateTimeField(
        label="As of",
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text="the moment that recency and churn refer to, in UTC; empty: the newest event",
    )

    class Meta:
        model = Audience
        fields = ()

    def write(self, values: dict[str, Any]) -> Audience:
        as_of = values.pop("as_of")
        kinds = {"countries": tuple, "pseudonyms": frozenset}
        criteria = {
            name: kinds[name](value) if name in kinds else value
            for name, value in values.items()
            if value is not None
        }
        return create_audience(
            criteria=Criteria(**criteria), as_of=as_of, created_by=str(self.by), at=now()
        )
