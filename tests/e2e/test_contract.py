"""The API keeps its own contract, whatever is sent: the OpenAPI document, tried by a fuzzer."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dtoc_project.supervisor import ROOT
from tests.e2e.client import Client
from tests.faults.size import sized

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1_800)]  # the stack's beginning is in it
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"
EVENTS = r"^/api/v1/(customers/\{\w+\}/)?events/$"


def fuzzed(client: Client, folder: Path, *options: str) -> tuple[str, int]:
    """What the fuzzer said, and how many cases it made; it found nothing wrong."""
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"), "run", f"{client.base}/api/schema/",
            "--header", f"Authorization: {client.headers['Authorization']}",
            "--checks", CHECKS, "--seed", "1", "--no-color", *options,
        ],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.e2e.fuzz_hooks", "PYTHONPATH": str(ROOT)},
        cwd=folder, capture_output=True, text=True, timeout=800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    cases = re.search(r"(\d+) generated", done.stdout)
    assert cases is not None
    return done.stdout, int(cases[1])


def test_no_request_breaks_the_server_and_every_answer_matches_the_schema(
    client: Client, tmp_path: Path
):
    _, cases = fuzzed(client, tmp_path, "--max-examples", "7", "--exclude-path-regex", EVENTS)

    assert cases > 1_000


def test_whatever_is_sent_as_events_or_asked_of_the_feed_is_answered_as_the_schema_says(
    client: Client, tmp_path: Path
):
    most = str(sized(200, 500))
    said, cases = fuzzed(client, tmp_path, "--max-examples", most, "--include-path-regex", EVENTS)

    assert re.search(r"Operations:\s+3 selected", said), said  # POST, feed, stream
    assert cases >= sized(800, 2_000)
