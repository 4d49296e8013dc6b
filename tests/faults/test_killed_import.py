"""An import that is killed again and again ends as one that nobody disturbed."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from django.core.management import call_command

from events.models_imports import Import
from events.selectors import intake_counts
from tests.events.builders import empty_event_store, rows
from tests.faults.size import sized

pytestmark = [pytest.mark.faults, pytest.mark.data]
KILLS = sized(8, 20)
ROWS = sized(8_000, 20_000)
CHUNK_ROWS = 50
PATIENCE_SECONDS = 300
EVENTS = """
SELECT event_id, type, schema_version, occurred_at, data::text, metadata::text, version
FROM events_event WHERE type <> 'customer_registered' ORDER BY event_id
"""
# The ids of registrations are made of random pseudonyms.
REGISTRATIONS = """
SELECT occurred_at, data::text, metadata::text, version
FROM events_event WHERE type = 'customer_registered' ORDER BY 1, 2, 3, 4
"""
QUARANTINE = """
SELECT event_id, reason, detail, source FROM events_quarantinedevent ORDER BY event_id
"""
GAPS = """
SELECT count(*) FROM (SELECT stream FROM events_event GROUP BY stream
    HAVING count(*) <> max(version) OR min(version) <> 1) AS gaps
"""


@pytest.fixture
def committed(transactional_db: None) -> Iterator[None]:
    yield
    empty_event_store()


@pytest.fixture
def file(tmp_path: Path, public_data: Path) -> Path:
    """The first rows of the public data set, every kind of doubtful row among them."""
    path = tmp_path / "rows.parquet"
    pq.write_table(pq.read_table(public_data / "online_retail.parquet").slice(0, ROWS), path)
    return path


def everything() -> dict[str, object]:
    """All that an import leaves, but for what two of them cannot share."""
    return {
        "events": rows(EVENTS),
        "registrations": Counter(rows(REGISTRATIONS)),
        "quarantine": rows(QUARANTINE),
        "counters": intake_counts(),
        "gaps": rows(GAPS),
    }


def figures(report: str) -> list[str]:
    """The report without how long it took."""
    return [line for line in report.splitlines() if not line.startswith("seconds")]


def checkpoint() -> int:
    return next(iter(Import.objects.values_list("rows", flat=True)), 0)


def killed_once(command: list[str], environment: dict[str, str], rng: random.Random) -> int:
    """The checkpoint at which a process was killed: in its start, or among its commits."""
    before, process = (
        checkpoint(),
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE),
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    if rng.random() < 0.7:
        while checkpoint() == before:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
        time.sleep(rng.uniform(0, 0.2))
    else:
        time.sleep(rng.uniform(0.2, 1.6))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return checkpoint()


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("committed")
def test_an_import_killed_again_and_again_equals_one_that_was_not(file, environment):
    rng = random.Random(20111209)
    command = [
        sys.executable, "manage.py", "import_events", str(file), "--mapping=online_retail",
        f"--chunk-rows={CHUNK_ROWS}",
    ]  # fmt: skip

    reached = [killed_once(command, environment, rng) for _ in range(KILLS)]
    last = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    record = Import.objects.select_related("operation").get()  # all runs were one import
    killed, figures_killed, counts_killed = everything(), figures(last.stdout), record.counts

    call_command("flush", verbosity=0, interactive=False)
    empty_event_store()
    out = StringIO()
    call_command(
        "import_events", str(file), mapping="online_retail", chunk_rows=CHUNK_ROWS, stdout=out
    )

    assert reached == sorted(reached)
    assert reached[-1] < ROWS
    assert len(set(reached)) > KILLS // 2  # most of them were among the commits
    told = re.sub(r"\s+", " ", last.stderr)
    assert f"going on after row {reached[-1]:,} of an import begun at" in told
    assert figures_killed == figures(out.getvalue())
    assert counts_killed == Import.objects.get().counts
    assert killed == everything()
    assert killed["gaps"] == [(0,)]
    assert record.operation.status == "succeeded"
    assert record.operation.done == record.rows == ROWS
