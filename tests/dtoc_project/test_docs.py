"""The documentation names things that exist."""

import re
from pathlib import Path

import pytest

from dtoc_project.supervisor import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())

    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_test_that_a_guarantee_names_exists():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/guarantees.md").read_text()))
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

    assert named
    assert {name for name in named if f"def {name}(" not in sources} == set()


def test_every_command_that_the_operations_page_names_exists():
    table = (ROOT / "docs/operations.md").read_text().split("## Commands", 1)[1]
    named = set(re.findall(r"`(\w+)[^`]*`", table)) - {"manage"}
    there = {path.stem for path in ROOT.glob("*/management/commands/*.py")}

    assert named
    assert named <= there
