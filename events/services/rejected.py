"""The live view: the last items of each source that were not accepted, without body or identity.

It lives in Redis only, beside the truth (quarantine and counters): lost with Redis, gone after a
day, and never a reason for an intake to wait or to fail.
"""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any
from uuid import UUID

import redis
from django.conf import settings
from django.db import transaction
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.canonical_json import dumps

logger = logging.getLogger(__name__)

SHOWN = 100
KEPT_SECONDS = 24 * 3600
TIMEOUT_SECONDS = 0.5
PAUSE_SECONDS = 10.0  # after a failure: a Redis that is away costs one batch its timeout, not all
SOURCES = "dtoc:rejected:sources"
MOST_SOURCES = 1_000


@dataclass(frozen=True, slots=True)
class Rejection:
    """One item that did not end accepted: its place in its batch and why."""

    index: int
    reason: str
    detail: str
    event_id: UUID | None


@dataclass(frozen=True, slots=True)
class LiveView:
    """What Redis knows; ``available`` is False where it cannot be asked."""

    items: list[dict[str, Any]]
    sources: list[str]
    available: bool


class _Pause:
    """Until when nothing is sent, by the monotonic clock of this process."""

    until = 0.0


def tell_rejected(source: str, at: datetime, rejections: Sequence[Rejection]) -> None:
    """Once the transaction commits, the live view shows the last of these."""
    if rejections:
        transaction.on_commit(partial(_push, source, at, rejections[-SHOWN:]))


def rejected_items(source: str | None = None) -> LiveView:
    """The last hundred of a source, or of every source, the newest first."""
    try:
        client: Any = _client()  # its types allow for answers that are still awaited
        known = [name.decode() for name in client.zrevrange(SOURCES, 0, MOST_SOURCES - 1)]
        asked = known if source is None else [source]
        with client.pipeline(transaction=False) as together:
            for name in asked:
                together.lrange(_key(name), 0, SHOWN - 1)
            lists = together.execute()
    except redis.RedisError as error:
        logger.warning("live view not read", extra={"error": str(error)})
        return LiveView([], [], available=False)
    items = [json.loads(text) for texts in lists for text in texts]
    items.sort(key=lambda item: str(item["at"]), reverse=True)  # stable: within a batch as pushed
    return LiveView(items, sorted(known), available=True)


def _push(source: str, at: datetime, rejections: Sequence[Rejection]) -> None:
    if time.monotonic() < _Pause.until:
        return
    lines = [
        dumps(
            {
                "at": at,
                "source": source,
                "reason": one.reason,
                "detail": one.detail,
                "event_id": one.event_id,
                "index": one.index,
            }
        )
        for one in rejections
    ]
    try:
        _send(source, at, lines)
    except redis.RedisError as error:
        _Pause.until = time.monotonic() + PAUSE_SECONDS
        logger.warning("live view not told", extra={"source": source, "error": str(error)})


def _send(source: str, at: datetime, lines: list[bytes]) -> None:
    """One round trip, whatever there is to tell."""
    key = _key(source)
    with _client().pipeline(transaction=False) as together:
        together.lpush(key, *lines)
        together.ltrim(key, 0, SHOWN - 1)
        together.expire(key, KEPT_SECONDS)
        together.zadd(SOURCES, {source: at.timestamp()})
        together.zremrangebyscore(SOURCES, "-inf", at.timestamp() - KEPT_SECONDS)
        together.zremrangebyrank(SOURCES, 0, -MOST_SOURCES - 1)
        together.expire(SOURCES, KEPT_SECONDS)
        together.execute()


def _key(source: str) -> str:
    return f"dtoc:rejected:of:{source}"


@cache
def _client() -> "redis.Redis":
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
