"""A process forgets a transaction in which it has written: the feed waits, and not for ever."""

import subprocess
import sys
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from dtoc_project.supervisor import ROOT
from dtoc_project.urls_of_servers import database_settings
from events.feed import feed, feed_gap_age_seconds
from events.services import append_batch
from tests.builders import NOON
from tests.events.builders import rows, viewed

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("committed")]
GUARD_SECONDS = 6
PATIENCE_SECONDS = 120
FORGETFUL = """
import sys, django
django.setup()
from django.db import transaction
from events.services import append_batch
from tests.builders import NOON
from tests.events.builders import rows, viewed
from uuid import uuid4
with transaction.atomic():
    append_batch(events=[viewed(uuid4(), "FORGOTTEN")], at=NOON)
    print("written", flush=True)
    sys.stdin.read()
"""


def forgetful(environment: dict[str, str]) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", FORGETFUL], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**environment, "DTOC_IDLE_IN_TRANSACTION_SECONDS": str(GUARD_SECONDS)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.05)


def test_the_guard_ends_a_forgotten_transaction_and_the_feed_goes_on_without_a_loss(environment):
    before = viewed(uuid4())
    append_batch(events=[before], at=NOON)
    process = forgetful(environment)
    try:
        behind = [viewed(uuid4()) for _ in range(3)]
        append_batch(events=behind, at=NOON)

        assert [event.event_id for event in feed(None, 9)] == [before.event_id]  # it holds the feed
        eventually(lambda: feed_gap_age_seconds() > GUARD_SECONDS / 2, "the metric shows its age")
        assert process.poll() is None  # alive, and silent
        eventually(lambda: len(feed(None, 9)) > 1, "the feed goes on")
    finally:
        process.communicate("")

    assert [event.event_id for event in feed(None, 9)] == [
        event.event_id for event in (before, *behind)
    ]
    assert process.returncode != 0  # it was told
    eventually(lambda: feed_gap_age_seconds() == 0, "nothing holds the feed")


def test_every_session_of_ours_asks_for_the_guard():
    asked = "SELECT setting, source FROM pg_settings WHERE name = %s"

    assert rows(asked, ["idle_in_transaction_session_timeout"]) == [("60000", "client")]


def test_the_guard_can_be_left_to_the_server():
    url = "postgresql://me@db.example/shop"

    assert "options" not in database_settings(url, idle_in_transaction_seconds=0)["OPTIONS"]
    assert database_settings(url)["OPTIONS"]["options"].endswith("=60000")
