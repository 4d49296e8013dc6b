"""When it happened, by a clock that may be wrong."""

from datetime import UTC, datetime, timedelta

FUTURE = timedelta(minutes=5)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def corrected(original: object, sent: object, received_at: datetime) -> tuple[datetime, bool]:
    """``received_at - (sent - original)``, and whether ``received_at`` had to stand in.

    The sender's clock is used for the span between two of its readings only. Without ``sent``
    nothing can be corrected; without ``original`` it happened when it was received. What cannot be
    read, is before 1970 or more than 5 minutes ahead is impossible.
    """
    if original is None:
        return received_at, False
    try:
        moment = _moment(original)
        if sent is not None:
            moment = received_at - (_moment(sent) - moment)
    except (ValueError, OverflowError):
        return received_at, True
    if not EPOCH <= moment <= received_at + FUTURE:
        return received_at, True
    return moment, False


def _moment(text: object) -> datetime:
    """A time of ISO 8601; UTC where it names no zone.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(text, str):
        raise ValueError("a time must be a text")
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
