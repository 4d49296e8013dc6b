"""What the pages on importing and exporting promise is tested, and their example works."""

import re
from pathlib import Path

import pytest

from customers.selectors import lookup_identity
from dtoc_project.supervisor import ROOT
from events.mapping import mapping_names
from events.selectors import events_after
from tests.events.imports.builders import imported

IMPORTING = (ROOT / "docs/importing.md").read_text()


@pytest.mark.parametrize("page", ["importing", "exporting"])
def test_every_promise_names_a_test_that_exists(page: str):
    named = set(re.findall(r"`(test_\w+)`", (ROOT / f"docs/{page}.md").read_text()))
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

    assert len(named) > 5
    assert {name for name in named if f"def {name}(" not in sources} == set()


def test_every_mapping_is_told_of():
    assert set(mapping_names()) <= set(re.findall(r"^\| `(\w+)` \|", IMPORTING, re.MULTILINE))


@pytest.mark.django_db
def test_the_mapping_of_ones_own_reads_the_file_beside_it(tmp_path: Path):
    mapping = re.search(r"<!-- mapping: my_shop -->\n```toml\n(.*?)```", IMPORTING, re.DOTALL)
    rows = re.search(r"```\n(bought,client.*?)```", IMPORTING, re.DOTALL)
    (tmp_path / "my_shop.toml").write_text(mapping[1])
    (tmp_path / "sales.csv").write_text(rows[1])

    imported(tmp_path / "sales.csv", str(tmp_path / "my_shop.toml"))

    (event,) = events_after({lookup_identity("crm_id", "K-17"): 1})
    assert (event.data.sku, event.data.quantity, event.data.country) == ("L-200", 3, "DE")
