"""The API keeps its own contract, whatever is sent: the OpenAPI document, tried by a fuzzer."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dtoc_project.supervisor import ROOT
from tests.e2e.client import Client
from tests.e2e.conftest import Stack

pytestmark = pytest.mark.e2e
CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"


def test_no_request_breaks_the_server_and_every_answer_matches_the_schema(
    stack: Stack, tmp_path: Path
):
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"), "run", f"{stack.base}/api/schema/",
            "--header", f"Authorization: {Client(stack).headers['Authorization']}",
            "--checks", CHECKS, "--max-examples", "25", "--seed", "1", "--no-color",
        ],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.e2e.fuzz_hooks", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path, capture_output=True, text=True, timeout=200,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    cases = re.search(r"(\d+) generated", done.stdout)
    assert cases is not None
    assert int(cases[1]) > 1_000
