"""Parking: a stream whose fold fails steps aside, and the others of its batch go on.

The culprits of a batch are found by halving it. A parked stream is tried again alone, later and
later, so that it costs the others nothing; it may be mended meanwhile by a release, an upcaster or
another model.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from django.db import InterfaceError, InternalError, OperationalError, transaction

from twins.errors import ModelArtefactBroken, NoActiveModel, UnknownModelVersion
from twins.models import ParkedStream

logger = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(days=1)
JITTER = 0.25  # a share of the pause, either way
SUSPICIOUS = 32  # so many streams, and none that goes through: it is not the streams

# What is wrong with the surroundings is tried again by whoever called, for all streams alike.
SURROUNDINGS = (
    OperationalError,
    InterfaceError,
    InternalError,  # a server that is a replica, a session that was ended
    NoActiveModel,
    UnknownModelVersion,
    ModelArtefactBroken,
)


@dataclass(slots=True)
class Outcome:
    """Which streams were folded up to which version, over how many events."""

    versions: dict[UUID, int] = field(default_factory=dict)
    events: int = 0


@dataclass(slots=True)
class Tried:
    """What came through, and what each of the others failed with."""

    done: Outcome = field(default_factory=Outcome)
    failed: dict[UUID, Exception] = field(default_factory=dict)


def is_of_streams(error: Exception) -> bool:
    """Whether the error may come from a stream rather than from what all streams share."""
    return not isinstance(error, SURROUNDINGS)


def divided(pseudonyms: list[UUID], fold: Callable[[list[UUID]], Outcome]) -> Tried:
    """Every stream that can be folded is, in parts as large as they can be; the others are named.

    Needs a transaction: each part has a savepoint. With one culprit among n streams the fold runs
    about 2 log n times.

    Raises:
        Exception: 32 streams failed and none came through, so something else is wrong; or
            whatever is wrong with the surroundings.
    """
    tried, parts = Tried(), [pseudonyms]
    while parts:
        part = parts.pop()
        try:
            with transaction.atomic():
                outcome = fold(part)
        except Exception as error:
            if not is_of_streams(error):
                raise
            if len(part) > 1:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
                continue
            tried.failed[part[0]] = error
            if len(tried.failed) >= SUSPICIOUS and not tried.done.versions:
                raise
        else:
            tried.done.versions |= outcome.versions
            tried.done.events += outcome.events
    return tried


def park(*, pseudonym: UUID, model_id: UUID, error: Exception, at: datetime) -> ParkedStream:
    """The stream steps aside until its next try; needs the stream's claim."""
    row = ParkedStream.objects.filter(pseudonym=pseudonym, model_version_id=model_id).first()
    row = row or ParkedStream(
        pseudonym=pseudonym, model_version_id=model_id, attempts=0, first_failed_at=at
    )
    row.attempts += 1
    row.error, row.reason = type(error).__name__[:100], (str(error) or repr(error))[:300]
    row.last_failed_at, row.next_try_at = at, at + pause_after(row.attempts, pseudonym)
    row.save()
    logger.error(
        "stream parked",
        extra={"pseudonym": str(pseudonym), "error": row.error, "attempts": row.attempts},
        exc_info=error,
    )
    return row


def pause_after(attempts: int, pseudonym: UUID) -> timedelta:
    """A minute, doubled with every failure up to a day, a quarter more or less.

    The quarter is drawn from stream and attempt: what failed together is not tried again together.
    """
    pause: timedelta = min(FIRST_PAUSE * 2 ** min(attempts - 1, 20), LONGEST_PAUSE)
    return pause * Random(f"{pseudonym} {attempts}").uniform(1 - JITTER, 1 + JITTER)
