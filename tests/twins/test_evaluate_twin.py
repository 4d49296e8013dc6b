"""``manage.py evaluate_twin`` and ``manage.py reproduce_thesis``."""

import csv
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from ml.protocols.twin import SawTheTest
from twins.models import ModelVersion
from twins.protocol_lines import read_lines
from twins.protocol_reports import refuse_what_saw_the_test

HEADER = ["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
OPENING = datetime(2011, 1, 3, 9, 0, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """200 days of a shop: twelve customers, who come every 9 to 20 days for the same things."""
    path = tmp_path / "shop.csv"
    with path.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(HEADER)
        invoice = 0
        for customer in range(12):
            for day in range(customer, 200, 9 + customer):
                invoice += 1
                at = (OPENING + timedelta(days=day)).strftime("%Y-%m-%d %H:%M:%S")
                for line in range(3):
                    code = f"{10_000 + (customer + line) % 8}"
                    row = [invoice, code, 1, at, "2.5", 12_000 + customer, "France"]
                    writer.writerow(row)
        writer.writerow(
            [f"C{invoice}", "10000", -1, "2011-05-01 10:00:00", "2.5", 12_000, "France"]
        )
        writer.writerow([invoice + 1, "10000", 1, "2011-05-01 10:00:00", "2.5", "", "France"])
    return path


def evaluated(shop: Path, *arguments: str) -> str:
    out = StringIO()
    call_command(
        "evaluate_twin", "--data", str(shop), "--mapping", "online_retail", "--split", "2011-06-10",
        "--validation", "2011-05-10", "--cut", "2011-04-15", "--draws", "20", "--epochs", "1",
        *arguments, stdout=out, stderr=StringIO(),
    )  # fmt: skip
    return out.getvalue()


def test_a_file_is_read_through_its_mapping(shop: Path):
    lines = read_lines(shop, "online_retail")
    assert lines.customers == 12
    assert lines.items == tuple(f"{10_000 + n}" for n in range(8))
    assert lines.countries == ("FR",)
    assert lines.quantity.min() == 1
    assert int(lines.at_ms.min()) == int(OPENING.timestamp() * 1000)


def test_all_protocols_print_the_twin_beside_the_rules_and_write_the_figures(shop: Path):
    target = shop.with_suffix(".json")

    text = evaluated(shop, "--shuffled", "--json", str(target))

    for told in ("Next line: all lines", "lines shuffled", "Next basket: all orders",
                 "Log-likelihood of the next gap", "Futures against what happened"):  # fmt: skip
        assert told in text
    found = json.loads(target.read_text())
    assert set(found) == {"A", "A shuffled", "B", "C", "D"}
    assert set(found["A"]["the twin"]["top_10"]) == {"value", "low", "high", "n"}
    assert found["B"]["the twin"]["gain.ndcg_10"]["n"] > 0
    assert found["C"]["the twin"]["log_likelihood"]["value"] < 0
    assert found["A shuffled"]["the twin"] != found["A"]["the twin"]


def test_without_a_model_the_rules_stand_alone(shop: Path):
    target = shop.with_suffix(".json")
    text = evaluated(shop, "--protocol", "A", "--model", "none", "--json", str(target))
    assert "mix of six" in text
    assert "the twin" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "2021-01-01"], "move the split"),
        (["--json", "/nowhere/at/all.json"], "does not exist"),
        (["--mapping", "nothing"], "nothing"),
    ],
)
def test_what_cannot_be_done_is_said(shop: Path, arguments: list[str], message: str):
    with pytest.raises(CommandError, match=message):
        evaluated(shop, "--protocol", "A", "--model", "none", *arguments)


@pytest.mark.django_db
def test_a_model_that_saw_the_test_is_refused(shop: Path):
    ModelVersion.objects.create(
        name="late", sha256="0" * 64, prefix="0" * 64, config={}, report={}, libraries={},
        cut_off=datetime(2011, 6, 11, tzinfo=UTC),
        validation_from=datetime(2011, 5, 11, tzinfo=UTC),
        events_count=1, events_sha256="0" * 64, seed=0, code_version="x", created_at=OPENING,
    )  # fmt: skip
    with pytest.raises(CommandError, match="has seen what it would be asked for"):
        evaluated(shop, "--protocol", "A", "--model", "late")
    with pytest.raises(CommandError, match="protocol B asks from 2011-06-10"):
        evaluated(shop, "--protocol", "B", "--model", "late")
    with pytest.raises(CommandError, match="protocol C asks from 2011-04-15"):
        evaluated(shop, "--split", "2011-06-11", "--model", "late")


def test_a_model_may_have_learned_up_to_the_split():
    split = datetime(2011, 6, 10, tzinfo=UTC)
    refuse_what_saw_the_test(ModelVersion(name="m", cut_off=split), "A", split)
    late = ModelVersion(name="m", cut_off=split + timedelta(milliseconds=1))
    with pytest.raises(SawTheTest):
        refuse_what_saw_the_test(late, "A", split)


def test_the_thesis_is_reproduced_with_its_warning(tmp_path: Path):
    path = tmp_path / "shop.csv"
    with path.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(HEADER)
        for customer in range(3):
            for n in range(110):
                at = (OPENING + timedelta(days=n)).strftime("%Y-%m-%d %H:%M:%S")
                row = [f"{customer}{n}", f"1000{n % 7}", 1, at, "2.5", 12_000 + customer, "France"]
                writer.writerow(row)
    out = StringIO()
    call_command(
        "reproduce_thesis", "--data", str(path), "--mapping", "online_retail", "--epochs", "2",
        stdout=out,
    )  # fmt: skip
    assert "MEMORY, not quality" in out.getvalue()
    assert "where the items were random numbers" in out.getvalue()
    assert "random items" in out.getvalue()
