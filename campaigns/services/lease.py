"""A lease that stays ours while we compute."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import DatabaseError, connection

from common.operations import renew_lease

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 15.0
Clock = Callable[[], datetime]


@contextmanager
def kept_lease(
    *, chunk_id: int, holder: str, clock: Clock, every_seconds: float = HEARTBEAT_SECONDS
) -> Iterator[None]:
    """While the block runs, a thread with a database connection of its own renews the lease.

    It stops at the first renewal that is refused; the result will then be refused as well. A
    database that cannot be reached for a moment is tried again at the next beat.
    """
    over = threading.Event()

    def beat() -> None:
        try:
            while not over.wait(every_seconds):
                if not _renewed(chunk_id, holder, clock()):
                    return
        finally:
            connection.close()

    thread = threading.Thread(target=beat, name=f"lease of chunk {chunk_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _renewed(chunk_id: int, holder: str, at: datetime) -> bool:
    try:
        return renew_lease(chunk_id=chunk_id, holder=holder, at=at)
    except DatabaseError as error:
        logger.warning("lease not renewed", extra={"chunk": chunk_id, "error": str(error)})
        connection.close()
        return True
