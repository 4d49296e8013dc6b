"""The card of a model version: over the command, the API and the admin, from the same record."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.builders import DAY, NOON
from tests.twins.builders import stored_model
from tests.twins.test_admin import signed_in
from tests.twins.test_training import a_shop
from twins.model_card import LIMITS, card_of
from twins.models import ModelVersion
from twins.services import TrainingOptions, activate_model, train_model

pytestmark = pytest.mark.django_db


@pytest.fixture
def trained(db: None) -> ModelVersion:
    a_shop()
    return train_model(
        TrainingOptions(epochs=2, core="transformer", hidden=8, cut_off=NOON, seed=3), at=NOON
    )


def test_a_card_tells_purpose_data_figures_limits_and_how_to_make_it_again(trained):
    card = card_of(trained)

    assert card.startswith(f"# {trained.name}\n")
    for expected in (
        trained.sha256, trained.events_sha256, trained.code_version, "Meant for decisions about",
        "Not for decisions about a single person", "| customers | 12 |", "| core | transformer |",
        "2011", "| this model |", "Markov + popularity", "Next basket", " to ", "torch", *LIMITS,
        "It was never active.", *trained.report["validation"]["notes"],
    ):  # fmt: skip
        assert expected in card, expected
    assert f"| events before the cut-off | {trained.events_count:,} |" in card


def test_the_command_in_the_card_makes_the_same_version_again(trained):
    command = card_of(trained).split("manage.py train_twin", 1)[1].split("```", 1)[0]
    words = command.replace("\\\n", " ").split()
    ModelVersion.objects.all().delete()

    call_command("train_twin", *words, stdout=StringIO(), stderr=StringIO())

    assert ModelVersion.objects.get().sha256 == trained.sha256


def test_a_card_stands_beside_the_active_version_and_tells_of_activations(model):
    worse = stored_model(seed=1, nll=6.3, name="worse")
    card = card_of(worse)
    assert f"may replace {model.name} only for a reason" in card
    assert "| next item, NLL | 6.3000 | 6.0000 | 6.1000 |" in card

    activate_model(model_id=worse.id, at=NOON + DAY, reason="a | b")
    assert f"replaced {model.name}, because: a | b" in card_of(worse)
    assert "Beside the active version" not in card_of(worse)
    assert "the first active version" in card_of(model)


def test_a_version_without_a_report_has_a_card_too(model):
    model.report = {}
    assert "no evaluation report" in card_of(model)


def test_every_table_of_a_card_is_as_wide_as_its_head(trained):
    trained.code_version = "1|2"
    widths: list[int] = []
    for line in card_of(trained).splitlines():
        if not line.startswith("|"):
            widths.clear()
            continue
        widths.append(line.count("|") - line.count("\\|"))
        assert widths[-1] == widths[0], line


def test_the_command_prints_or_writes_the_card(model, tmp_path):
    call_command("model_card", stdout=(out := StringIO()))
    assert out.getvalue() == card_of(model)

    file = tmp_path / "card.md"
    call_command("model_card", model.sha256[:10], output=file, stdout=StringIO())
    assert file.read_text() == card_of(model)
    with pytest.raises(CommandError, match="no model version nothing"):
        call_command("model_card", "nothing")
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("model_card", output=tmp_path / "no" / "folder")


def test_the_api_gives_the_card_as_markdown_and_problems_as_problems(api, model):
    reader, url = api("twins:read"), f"/api/v1/models/{model.id}/card/"

    plain = reader.get(url)
    assert plain["Content-Type"] == "text/markdown; charset=utf-8"
    assert plain.content.decode() == card_of(model)
    asked = reader.get(url, headers={"Accept": "text/markdown"})
    assert asked.content == plain.content
    as_json = reader.get(url, headers={"Accept": "application/json"})
    assert as_json.json() == card_of(model)

    missing = reader.get("/api/v1/models/7c1f2b1e-50a3-5c7f-9f0f-2b6d1f0c8a55/card/")
    assert missing.status_code == 404
    assert missing["Content-Type"].startswith("application/problem+json")
    assert json.loads(missing.content)["type"] == "/problems/unknown-model-version"
    assert api("events:write").get(url).status_code == 403


def test_the_admin_page_shows_purpose_gate_activations_and_the_card(model):
    worse = stored_model(seed=1, nll=6.3)
    client = signed_in(superuser=True)

    page = client.get(f"/admin/twins/modelversion/{worse.id}/change/").content.decode()
    assert "Meant for decisions about" in page
    assert "May replace it only for a reason" in page
    assert "6.3000" in page
    assert "Making it again" in page

    activate_model(model_id=worse.id, at=NOON, reason="because of this")
    page = client.get(f"/admin/twins/modelversion/{worse.id}/change/").content.decode()
    assert "because of this" in page
    assert "Beside the active version" not in page
