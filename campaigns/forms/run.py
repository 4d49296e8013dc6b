"""Forms to start a simulation and to launch one of its scenarios."""

from decimal import Decimal
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
)

from campaigns.economics import grid_of
from campaigns.forms.lists import NumbersField, WholeNumbersField
from campaigns.forms.service_form import ServiceForm, newest, share
from campaigns.models import Audience, Campaign, PolicyLedgerEntry, SimulationRun
from campaigns.page_rows import AFFORDABLE
from campaigns.plan import RESPONSES
from campaigns.services import launch_campaign, start_simulation
from campaigns.tables import GAINS, best_by, gain_of, money, scenario_words
from common.clock import now

RESPONSE_WORDS = {
    "assumed": "assumed: stated below",
    "elasticity": "elasticity: estimated from the prices of stored purchases",
    "learned": "learned: from past offers of which some customers were held out",
}
WHOLE_NUMBER = UnfoldAdminIntegerFieldWidget


class SimulationForm(ServiceForm):
    """A grid of discounts and delays, simulated on an audience."""

    FIELD_OF = {
        "depths": "discounts",
        "response": "response_kind",
        "response/mean": "elasticity",
        "response/spread": "spread",
    }

    campaign = forms.ModelChoiceField(Campaign.objects.none(), widget=UnfoldAdminSelectWidget)
    audience = forms.ModelChoiceField(Audience.objects.none(), widget=UnfoldAdminSelectWidget)
    discounts = NumbersField(
        label="Discounts, in per cent",
        initial="0, 10, 20, 30",
        help_text="0 to 90, separated by commas; 0 is to do nothing",
    )
    delays_days = WholeNumbersField(
        label="The offer opens after so many days",
        initial="0, 7",
        help_text="separated by commas; each is simulated with each discount",
    )
    horizon_days = forms.IntegerField(
        label="Days to look ahead", initial=30, widget=WHOLE_NUMBER, help_text="1 to 365"
    )
    replicates = forms.IntegerField(
        initial=10, widget=WHOLE_NUMBER, help_text="futures of the whole audience; 2 to 1000"
    )
    seed = forms.IntegerField(
        initial=0, widget=WHOLE_NUMBER, help_text="equal seeds share their luck and compare well"
    )
    response_kind = forms.ChoiceField(
        label="How customers respond to a price",
        choices=[(kind, RESPONSE_WORDS.get(kind, kind)) for kind in RESPONSES],
        widget=UnfoldAdminSelectWidget,
    )
    elasticity = forms.FloatField(
        required=False,
        initial=1.5,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="only where assumed. 1.5: a price 1 % lower sells about 1.5 % more",
    )
    spread = forms.FloatField(
        required=False,
        initial=0.5,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="how unsure you are of it: its standard deviation",
    )
    as_of = forms.SplitDateTimeField(
        label="The horizon begins at",
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text="in UTC; empty: the newest event",
    )

    class Meta:
        model = SimulationRun
        fields = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, model in (("campaign", Campaign), ("audience", Audience)):
            chosen = self.data.get(name) or self.initial.get(name)
            self.fields[name].queryset = newest(model.objects.all(), chosen)  # type: ignore[attr-defined]

    def write(self, values: dict[str, Any]) -> SimulationRun:
        return start_simulation(
            campaign_id=values["campaign"].id,
            audience_id=values["audience"].id,
            depths=[share(discount) for discount in values["discounts"]],
            delays_days=values["delays_days"],
            horizon_days=values["horizon_days"],
            replicates=values["replicates"],
            seed=values["seed"],
            response=_response(values),
            as_of=values["as_of"],
            requested_by=str(self.by),
            at=now(),
        )


class LaunchForm(ServiceForm):
    """A scenario of a simulation that is to become real."""

    FIELD_OF = {"depth and delay_days": "scenario", "holdout_share": "holdout"}
    simulation: SimulationRun  # set by the page

    scenario = forms.TypedChoiceField(coerce=int, widget=UnfoldAdminSelectWidget)
    holdout = forms.DecimalField(
        label="Hold-out, in per cent",
        initial=10,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="so many are not made the offer, so that its uplift can be measured; 0 to 90",
    )
    starts_at = forms.SplitDateTimeField(
        label="What customers do counts from",
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text="in UTC; empty: now. In the past for history that was imported",
    )
    window_days = forms.IntegerField(
        label="for so many days",
        required=False,
        widget=WHOLE_NUMBER,
        help_text="empty: the horizon of the simulation; another one is measured but not graded",
    )

    class Meta:
        model = PolicyLedgerEntry
        fields = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scenario"].choices = scenario_choices(self.simulation)  # type: ignore[attr-defined]

    def write(self, values: dict[str, Any]) -> PolicyLedgerEntry:
        depth, delay = grid_of(self.simulation)[values["scenario"]]
        return launch_campaign(
            campaign_id=self.simulation.campaign_id,
            simulation_id=self.simulation.id,
            depth=Decimal(depth),
            delay_days=delay,
            holdout_share=share(values["holdout"]),
            starts_at=values["starts_at"],
            window_days=values["window_days"],
            launched_by=str(self.by),
            at=now(),
        )


def scenario_choices(run: SimulationRun) -> list[tuple[int, str]]:
    """The offers of a simulation by their place in its grid, each with what it would gain."""
    result: dict[str, Any] = run.result or {}
    words = f"{GAINS[best_by(result)].lower()} in {result['currency']}"
    return [
        (place, f"{scenario_words(scenario)}: {words} {_gain(result, scenario)}")
        for place, scenario in enumerate(result["scenarios"])
    ]


def _gain(result: dict[str, Any], scenario: dict[str, Any]) -> str:
    figure = gain_of(result, scenario)
    too_dear = not scenario.get("economics", AFFORDABLE)["within_budget"]
    interval = f"[{money(figure['low'])}, {money(figure['high'])}]"
    return f"{money(figure['mean'])} {interval}{', over budget' if too_dear else ''}"


def _response(values: dict[str, Any]) -> dict[str, Any]:
    kind = values["response_kind"]
    if kind != "assumed":
        return {"kind": kind}
    return {"kind": kind, "mean": values["elasticity"], "spread": values["spread"]}
