"""Parts of ``latecomers`` begun as processes of a site, and what they said at the end."""

import subprocess
import sys
from contextlib import closing

import psycopg2

from dtoc_project.supervisor import ROOT
from tests.faults.site import Site

FOLDED = "SELECT coalesce(sum(advanced_version), 0) FROM events_stream"
LAG = "SELECT coalesce(sum(version - advanced_version), 0) FROM events_stream"


def begun(found: Site, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.latecomers", *arguments],
        cwd=ROOT, env=found.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def ended(process: "subprocess.Popen[str]") -> str:
    told, _ = process.communicate(timeout=3_000)
    assert process.returncode == 0, told
    return told.strip().splitlines()[-1] if told.strip() else ""


def number(found: Site, statement: str) -> int:
    """What the database answers, past the product."""
    url = found.environment["DTOC_DATABASE_URL"]
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])
