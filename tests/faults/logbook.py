"""What the crew wrote down, against the table: every way in which they could differ."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

from dtoc_project.supervisor import ROOT
from tests.faults.crew import Plan

TABLE = "SELECT event_id, stream, version FROM events_event ORDER BY epoch, txid, position"


@dataclass(frozen=True)
class Logbook:
    """Event ids, as their 16 bytes; ``table`` in the order of the feed, with stream and version."""

    sent: list[bytes]
    read: list[list[bytes]]
    table: list[tuple[bytes, bytes, int]]
    failed: int
    complaints: str

    def violations(self) -> set[str]:
        """Which promises were broken; empty where all hold."""
        found = {"a process failed"} if self.failed else set()
        stored = [event_id for event_id, _, _ in self.table]
        if set(self.sent) - set(stored):
            found.add("acknowledged and not stored")
        if set(stored) - set(self.sent):
            found.add("stored and not acknowledged")
        if len(set(stored)) < len(stored):
            found.add("stored twice")
        if self._gaps():
            found.add("versions have gaps")
        for read in self.read:
            found |= self._of_reader(read, stored)
        return found

    def _gaps(self) -> bool:
        versions: dict[bytes, list[int]] = {}
        for _, stream, version in self.table:
            versions.setdefault(stream, []).append(version)
        return any(sorted(own) != list(range(1, len(own) + 1)) for own in versions.values())

    def _of_reader(self, read: list[bytes], stored: list[bytes]) -> set[str]:
        found = set()
        if set(stored) - set(read):
            found.add("lost for a reader")
        if len(set(read)) < len(read):
            found.add("read twice")
        if read != stored and set(read) == set(stored):
            found.add("read in another order than stored")
        if self._reordered(read):
            found.add("a stream was read out of order")
        return found

    def _reordered(self, read: list[bytes]) -> bool:
        place = {event_id: (stream, version) for event_id, stream, version in self.table}
        last: dict[bytes, int] = {}
        for stream, version in (place[event_id] for event_id in read if event_id in place):
            if version < last.get(stream, 0):
                return True
            last[stream] = version
        return False


def logbook_of(plan: Plan, folder: Path, environment: dict[str, str]) -> Logbook:
    """The crew has worked on the database of this test."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.crew", str(folder), plan.json()],
        env={**os.environ, **environment, "OMP_NUM_THREADS": "1"},
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
        table = [(event_id.bytes, stream.bytes, version) for event_id, stream, version in cursor]
    return Logbook(
        sent=[i for path in folder.glob("writer-*.ids") for i in ids(path)],
        read=[ids(path) for path in sorted(folder.glob("reader-*.ids"))],
        table=table,
        failed=done.returncode,
        complaints=done.stderr[-3_000:],
    )


def ids(path: Path) -> list[bytes]:
    content = path.read_bytes()
    return [content[at : at + 16] for at in range(0, len(content), 16)]
