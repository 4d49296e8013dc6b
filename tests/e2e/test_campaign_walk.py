"""The walk of docs/campaign-walk.md, as written, against a running stack."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dtoc_project.supervisor import ROOT
from tests.e2e.client import PATIENCE_SECONDS
from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_800)]  # the stack's beginning is in it
DOCUMENT = ROOT / "docs" / "campaign-walk.md"
PEOPLE, PAID = 40, 9.0  # customers of the walk; what each order of it comes to


def walk() -> str:
    """All shell blocks of the document, in their order."""
    blocks = re.findall(r"^```bash\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    return "\n".join(blocks)


@pytest.fixture(scope="module")
def answers(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What the commands printed, one JSON document in a line."""
    script: Path = tmp_path_factory.mktemp("walk") / "walk.sh"
    script.write_text(walk().replace(".venv/bin/python", sys.executable))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", str(script)],
        env={**stack.environment, "BASE": stack.base},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line]


def test_the_walk_composes_simulates_and_compares(answers: list[Any]):
    campaign, audience, simulation, cancelled, comparison = answers[:5]

    nothing = simulation["result"]["scenarios"][0]
    assert campaign["economics"]["budget"] == "500.00"
    assert audience["size"] == PEOPLE
    assert simulation["result"]["customers"]["simulated"] == PEOPLE
    assert (nothing["depth"], nothing["uplift"]["revenue"]["mean"]) == ("0", "0.00")
    assert cancelled["status"] == "cancelled"
    assert [side["campaign"]["name"] for side in comparison["sides"]] == [
        "Spring sale", "Spring sale by post",
    ]  # fmt: skip
    assert comparison["warnings"] == []
    apart = comparison["sides"][1]["difference"]
    assert float(apart["low"]) <= float(apart["mean"]) <= float(apart["high"])


def test_the_walk_launches_and_measures_exactly_what_happened(answers: list[Any]):
    launch, offered, others, settled, ledger, summary = answers[5:11]

    treated, control = launch["treated"], launch["control"]
    bought = (-(-treated // 2), -(-control // 4))  # every second, every fourth, from the first on
    uplift = PAID * (bought[0] / treated - bought[1] / control)
    revenue = settled["measured"]["outcomes"]["revenue"]["uplift"]
    assert treated + control == PEOPLE
    assert (offered["accepted"], others["accepted"]) == bought
    assert launch["status"] == "running"
    assert settled["status"] == "settled"
    assert float(revenue["mean"]) == pytest.approx(uplift, abs=0.005)
    assert settled["measured"]["against_forecast"]["revenue"]["within"] in (True, False)
    assert ledger["results"][0]["id"] == launch["id"]
    assert summary["settled"] >= 1


def test_the_walk_is_told_what_cannot_be_done(answers: list[Any]):
    problems = answers[11:]

    assert [(problem["status"], problem["type"].rpartition("/")[2]) for problem in problems] == [
        (422, "empty-audience"),
        (422, "invalid-simulation"),
        (422, "grid-too-large"),
        (404, "unknown-product"),
        (409, "simulation-not-finished"),
        (422, "invalid-launch"),
    ]
    assert "1000000 scenarios" in problems[2]["detail"]
