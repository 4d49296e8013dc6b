"""Who may work on an import: one at a time, and whoever lost that right can commit nothing."""

import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from common.models import Operation
from common.operations import renew_lease
from events.errors import ImportEnded, ImportOvertaken, ImportRunning

logger = logging.getLogger(__name__)

Clock = Callable[[], datetime]
LOCK_CLASS = 0x44546F49  # "DToI": apart from the locks of streams and of idempotency keys
HEART_BEAT = timedelta(seconds=15)


@dataclass(slots=True)
class Turn:
    """The lease of an import's only chunk; ``holder`` is different for every turn."""

    import_id: UUID
    operation_id: UUID
    chunk_id: int
    holder: str
    clock: Clock
    lock: "FileLock | None" = None
    _renewed_at: datetime | None = None

    def fence(self) -> None:
        """The lease is ours and runs on; inside a transaction, nobody takes it before the commit.

        Raises:
            ImportEnded: somebody cancelled the import, or it has expired.
            ImportOvertaken: another worker has taken it over.
        """
        at = self.clock()
        if renew_lease(chunk_id=self.chunk_id, holder=self.holder, at=at):
            self._renewed_at = at
            return
        operation = Operation.objects.get(id=self.operation_id)
        if operation.is_finished:
            raise ImportEnded(import_id=self.import_id, status=operation.status)
        raise ImportOvertaken(import_id=self.import_id)

    def beat(self) -> None:
        """The lease is renewed where a quarter of it has gone by, between two chunks."""
        if self._renewed_at is None or self.clock() - self._renewed_at > HEART_BEAT:
            self.fence()


class FileLock:
    """A lock of the session: while this process lives, no other one imports the file.

    The server drops it with the connection, so a killed process holds it no longer than the server
    needs to notice. A reconnected process has to ask again.
    """

    def __init__(self, key: str, shown: str) -> None:
        self.slot = zlib.crc32(key.encode()) - 2**31
        self.shown = shown
        self._held_by: Any = None

    def hold(self) -> None:
        """It is held by the connection that is used now.

        Raises:
            ImportRunning: another process holds it.
        """
        connection.ensure_connection()
        if self._held_by is connection.connection:
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [LOCK_CLASS, self.slot])
            if not cursor.fetchone()[0]:
                raise ImportRunning(path=self.shown)
        self._held_by = connection.connection

    def let_go(self) -> None:
        if self._held_by is not None and self._held_by is connection.connection:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCK_CLASS, self.slot])
        self._held_by = None


@contextmanager
def locked_file(
    key: str, shown: str, until_free: Callable[[], Iterator[None]]
) -> Iterator[FileLock]:
    """The lock is held inside; ``until_free`` says how often, and how far apart, it is asked for.

    Raises:
        ImportRunning: another process holds it.
    """
    lock = FileLock(key, shown)
    for _ in until_free():
        try:
            lock.hold()
            break
        except ImportRunning:
            continue
    else:
        lock.hold()
    try:
        yield lock
    finally:
        _let_go_quietly(lock)


def _let_go_quietly(lock: FileLock) -> None:
    try:
        lock.let_go()
    except Exception:  # the connection is gone, and the lock with it
        logger.info("import lock went with its connection")
