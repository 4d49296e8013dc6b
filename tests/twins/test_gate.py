"""When a model version may replace the active one: no figure worse than its interval allows."""

from copy import deepcopy
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import DAY, NOON
from tests.twins.builders import report_with, stored_model
from twins.errors import ModelNotBetter
from twins.gate import FIGURES, compared, objection
from twins.models import Activation, ModelVersion
from twins.selectors import model_version_named
from twins.services import activate_model

BASE = {"next item, NLL": 6.0, "next item, top-10": 0.28, "line total, error of the logarithm": 0.4}
BASE |= {"first line of an order, top-10": 0.1, "time to the next order, log-likelihood": -1.4}
WIDTH = 0.02


def version(values: dict[str, float], **fields) -> ModelVersion:
    """A version that is not stored, with these figures by title; others were not measured."""
    validation: dict = {"protocol": 1}
    for figure in FIGURES:
        if figure.title in values:
            place = validation
            for name in figure.path[:-1]:
                place = place.setdefault(name, {})
            value = values[figure.title]
            place[figure.path[-1]] = {"value": value, "low": value - WIDTH, "high": value + WIDTH}
    facts = {"events_sha256": "e", "validation_from": NOON, "cut_off": NOON + DAY, **fields}
    return ModelVersion(report={"validation": validation}, **facts)


@given(st.fixed_dictionaries({title: st.integers(-40, 40) for title in BASE}))
def test_a_version_passes_exactly_where_no_figure_is_beyond_the_worse_end(moves):
    active = version(BASE)
    other = version({title: BASE[title] + move / 1000 for title, move in moves.items()})

    worse = {
        figure.title
        for figure in FIGURES
        if (moves[figure.title] < -20 if figure.higher_is_better else moves[figure.title] > 20)
    }

    on_the_border = {title for title, move in moves.items() if abs(move) == 20}
    found = {row.figure.title for row in compared(other, active) if row.is_worse}
    assert found - on_the_border == worse
    assert bool(objection(other, active)) == bool(found)
    for title in found:
        assert title in objection(other, active)


def test_better_figures_and_equal_ones_pass():
    active = version(BASE)
    assert objection(version(BASE), active) == ""
    better = BASE | {"next item, NLL": 5.0, "next item, top-10": 0.5}
    assert objection(version(better), active) == ""


@pytest.mark.parametrize(
    "fields",
    [
        {"events_sha256": "f"},
        {"validation_from": NOON - timedelta(milliseconds=1)},
        {"cut_off": NOON + 2 * DAY},
    ],
)
def test_figures_of_other_events_or_another_window_do_not_compare(fields):
    assert "other events, another window" in objection(version(BASE, **fields), version(BASE))


def test_figures_that_were_measured_in_another_way_do_not_compare():
    other = version(BASE)
    other.report = deepcopy(other.report)
    other.report["validation"]["protocol"] = 2
    assert "in another way" in objection(other, version(BASE))


def test_a_figure_that_the_active_one_has_must_not_be_missing():
    without = {t: v for t, v in BASE.items() if t != "next item, top-10"}
    assert "lacks what the active one's holds: next item, top-10" in objection(
        version(without), version(BASE)
    )
    assert objection(version(BASE), version(without)) == ""
    assert "no validation figure" in objection(version({}), version(BASE))


@pytest.mark.django_db
def test_inside_the_interval_it_is_activated_and_beyond_it_only_for_a_reason_that_is_kept(model):
    inside, beyond = stored_model(seed=1, nll=6.05), stored_model(seed=2, nll=6.2, name="beyond")

    activate_model(model_id=inside.id, at=NOON)
    with pytest.raises(ModelNotBetter, match=r"6\.2000, more than 6\.1500.*manage\.py activate"):
        activate_model(model_id=beyond.id, at=NOON, reason=" ")
    activate_model(model_id=beyond.id, at=NOON, reason="it was asked for")

    assert Activation.objects.latest("id").reason == "it was asked for"


@pytest.mark.django_db
def test_the_command_says_what_to_do_and_takes_the_aliases(model):
    worse = stored_model(seed=1, nll=9.0, at=NOON + DAY)
    assert model_version_named("active").id == model.id
    assert model_version_named("challenger").id == worse.id

    with pytest.raises(CommandError, match=f'activate_model {worse.id} --reason "..."'):
        call_command("activate_model", "challenger", without_rebuild=True)
    call_command(
        "activate_model", "challenger", without_rebuild=True, reason="a test", stdout=StringIO()
    )

    assert model_version_named("active").id == worse.id
    assert report_with(9.0)["validation"] == worse.report["validation"]
