"""The clock, read at the edges only (API, tasks, commands); services take times as arguments."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time in UTC, cut to milliseconds as everything that we store."""
    return truncated(datetime.now(UTC))


def truncated(moment: datetime) -> datetime:
    """``moment`` in UTC without the digits below a millisecond.

    Raises:
        ValueError: ``moment`` has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
