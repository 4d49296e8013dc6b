"""``manage.py simulate_campaign``."""

import json
from io import StringIO
from pathlib import Path
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command

from campaigns.models import Campaign, SimulationRun
from common.models import Operation

pytestmark = pytest.mark.django_db


def simulated(*arguments: str) -> str:
    out = StringIO()
    call_command("simulate_campaign", "--replicates", "3", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prints_the_grid_and_what_it_rests_on(shop: list[UUID], tmp_path: Path):
    target = tmp_path / "result.json"

    text = simulated(
        "--name", "Spring", "--depths", "0", "0.1", "0.25", "--delays", "0", "7", "--seed", "3",
        "--json", str(target),
    )  # fmt: skip

    result = json.loads(target.read_text())
    assert "at once" in text
    assert "after 7 d" in text
    assert "25 %" in text
    assert "[0.00, 0.00]" in text
    assert "Response model: assumed (elasticity 1.50, spread 0.50)" in text
    assert "100% of the uplift rests on assumption" in text
    assert "its uplift is exactly 0" in text
    assert result == SimulationRun.objects.get().result
    assert Operation.objects.get().status == "succeeded"


def test_the_command_uses_a_campaign_of_the_same_kind_again(shop: list[UUID]):
    simulated("--name", "Spring", "--sample", "3")
    simulated("--name", "Spring", "--sample", "3")

    assert Campaign.objects.count() == 1
    one, two = SimulationRun.objects.all()
    assert one.result["scenarios"] == two.result["scenarios"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--horizon", "0"], "horizon_days is 0"),
        (["--depths", "0.95"], "depths is 0.95"),
        (["--sample", "0"], "sample is 0"),
        (["--depths", "much"], "'much' is no number"),
        (["--as-of", "tomorrow"], "'tomorrow' is no moment"),
        (["--json", "/nowhere/at/all.json"], "does not exist"),
        (["--response", "elasticity"], "state an assumed elasticity"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(
    shop: list[UUID], arguments: list[str], message: str
):
    with pytest.raises(CommandError, match=message):
        simulated(*arguments)


def test_without_a_model_the_command_says_what_to_do(db: None):
    with pytest.raises(CommandError, match="train one"):
        simulated()
