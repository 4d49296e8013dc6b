"""The clock, read at the edges only (API, tasks, commands); services take times as arguments."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """The current time in UTC, cut to milliseconds as everything that we store."""
    return truncated(datetime.now(UTC))


def truncated(moment: datetime) -> datetime:
    """``moment`` in UTC without the digits below a millisecond.

    Raises:
        ValueError: ``moment`` has no time zone.
    """
    if moment.tzinfo is UTC and moment.microsecond % 1000 == 0:
        return moment  # nearly always, on the hot path
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def running_from(at: datetime) -> Callable[[], datetime]:
    """A clock that shows ``at`` now and goes on: for long work that was told when it began."""
    begun = time.monotonic()
    return lambda: truncated(at + timedelta(seconds=time.monotonic() - begun))
