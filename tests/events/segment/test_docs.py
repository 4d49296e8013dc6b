"""What docs/segment.md says is so."""

import json
import re

import pytest

from access.services import create_write_key
from access.write_keys import recent_sources
from dtoc_project.problems import STATUS_OF
from dtoc_project.supervisor import ROOT
from events.segment import messages
from events.segment.commerce import MAPPINGS
from events.segment.names import type_named
from tests.builders import NOON
from tests.events.segment.test_collector import send
from tests.events.segment.test_conversion import ORDER, track

PAGE = (ROOT / "docs/segment.md").read_text()
FIELDS = {"sku": "g-32", "coupon_id": "c", "promotion_id": "p", **ORDER}


def example(name: str) -> dict:
    found = re.search(rf"<!-- {name} -->\n```json\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.mark.django_db
def test_the_message_of_the_page_gets_the_answer_of_the_page():
    recent_sources.clear()
    key = create_write_key(name="webshop", at=NOON).plain

    assert send(key, example("message"), "track").json() == example("answer")


def test_the_table_of_events_is_that_of_the_code():
    rows = re.findall(r"^\| `([A-Z][A-Za-z ]+)` \| (?:one )?`(\w+)`", PAGE, re.MULTILINE)
    older = {"viewed_product", "added_product", "removed_product", "completed_order"}

    assert {type_named(event, frozenset()) for event, _ in rows} | older == set(MAPPINGS)
    for event, type_name in rows:
        assert {item.envelope.type for item in track(event, FIELDS).items} == {type_name}


def test_the_limits_of_the_page_are_those_of_the_code(settings):
    told = dict(re.findall(r"^\| (.+?) \| ([\d,]+)", PAGE.split("## Limits")[1], re.MULTILINE))
    numbers = {what: int(number.replace(",", "")) for what, number in told.items()}

    assert numbers["an event"] * 1024 == messages.LARGEST_MESSAGE
    assert numbers["a body, unpacked"] * 1024 == messages.LARGEST_BODY
    assert numbers["a batch"] == messages.LONGEST_BATCH
    assert numbers["`properties`, `traits`"] == messages.MOST_PROPERTIES
    assert numbers["nesting below them"] == messages.DEEPEST
    assert numbers["`messageId`"] == messages.LONGEST_MESSAGE_ID
    assert numbers["a write key"] == settings.DTOC_WRITE_KEY_EVENTS_PER_SECOND


def test_the_codes_of_the_page_exist():
    table = PAGE.split("## Answers")[1]
    codes = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", table)) - {
        "database-unavailable",
        "not-found",
    }

    assert len(codes) > 5
    assert codes <= {error.code for error in STATUS_OF}
