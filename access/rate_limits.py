"""How fast somebody may send, counted in Redis, so that all web processes count together.

A sliding window of two counters: a sender costs the same whatever the rate, a batch of thousands is
one step of a counter, and nobody gets twice the burst at the turn of a window, as with fixed ones.
A refused request takes nothing. Where Redis is away everybody is let through: an outage of the
cache must not lose events.
"""

import logging
import math
import time
from dataclasses import dataclass
from functools import cache
from threading import Lock

import redis
from django.conf import settings
from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

logger = logging.getLogger("dtoc.access")

PREFIX = "dtoc:limits"
REDIS_SECONDS = 0.5  # a request waits no longer for Redis
PAUSE_SECONDS = 5.0  # for which a Redis that failed is not asked again


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many events a second on average, and so many at once; a rate of 0 is no limit."""

    per_second: int
    burst: int

    @property
    def window_seconds(self) -> int:
        return max(1, math.ceil(self.burst / self.per_second))


@dataclass(frozen=True, slots=True)
class Window:
    """The two counters of a sliding window; a counter fades linearly after its own window."""

    limit: int
    seconds: int
    previous: int
    previous_fades_in: float  # seconds until it counts nothing
    current: int
    current_ends_in: float  # seconds until it begins to fade

    @property
    def used(self) -> int:
        return math.floor(self.previous * self.previous_fades_in / self.seconds) + self.current

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    def wait_seconds(self, cost: int) -> int:
        """Whole seconds, 1 up, after which ``cost`` fits if nobody else takes anything."""
        room = self.limit - cost
        if self.current <= room:
            fading, left, begins_in = self.previous, room - self.current, 0.0
            gone = self.seconds - self.previous_fades_in
        else:
            fading, left, begins_in, gone = self.current, room, self.current_ends_in, 0.0
        # What fades is rounded down, so it fits as soon as less than one more than `left` counts.
        needed = self.seconds * (1 - (left + 1) / fading) - gone if fading else 0.0
        return max(1, math.floor(begins_in + needed) + 1)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a sender may do now; ``window`` is None where nothing is counted."""

    allowed: bool = True
    window: Window | None = None
    retry_after_seconds: int = 0

    def headers(self) -> dict[str, str]:
        """The header fields of the answer.

        Source: draft-ietf-httpapi-ratelimit-headers-10.
        """
        if self.window is None:
            return {}
        window = self.window
        reset = max(1, math.ceil(window.current_ends_in))
        told = {
            "RateLimit-Policy": f'"events";q={window.limit};w={window.seconds}',
            "RateLimit": f'"events";r={window.remaining};t={reset}',
        }
        return told if self.allowed else {**told, "Retry-After": str(self.retry_after_seconds)}


UNCOUNTED = Standing()


class _Outage:
    """Whether Redis failed a moment ago; told once to the log, however long it lasts."""

    def __init__(self) -> None:
        self._until = 0.0
        self._told = False
        self._lock = Lock()

    def is_on(self) -> bool:
        return time.monotonic() < self._until

    def begin(self, error: Exception) -> None:
        with self._lock:
            self._until = time.monotonic() + PAUSE_SECONDS
            if not self._told:
                self._told = True
                logger.warning("rate limits are off", extra={"why": type(error).__name__})

    def end(self) -> None:
        self._until, self._told = 0.0, False


outage = _Outage()


def take(limit: RateLimit, who: str, events: int) -> Standing:
    """``events`` are taken off what ``who`` may send, or nothing is and the sender has to wait.

    A batch larger than the whole burst takes all of it, else it could never be sent.
    """
    if limit.per_second <= 0 or outage.is_on():
        return UNCOUNTED
    item = RateLimitItemPerSecond(limit.burst, limit.window_seconds, PREFIX)
    cost = min(events, limit.burst)
    try:
        limiter = _limiter(settings.REDIS_URL)
        allowed = limiter.hit(item, who, cost=cost)
        window = _window(limiter, item, who)
    except (redis.RedisError, OSError) as error:
        outage.begin(error)
        return UNCOUNTED
    outage.end()
    return Standing(allowed, window, 0 if allowed else window.wait_seconds(cost))


def _window(
    limiter: SlidingWindowCounterRateLimiter, item: RateLimitItemPerSecond, who: str
) -> Window:
    storage = limiter.storage
    assert isinstance(storage, RedisStorage)  # noqa: S101 - made below
    seconds = item.get_expiry()
    previous, fades_in, current, forgotten_in = storage.get_sliding_window(
        item.key_for(who), seconds
    )
    ends_in = max(0.0, forgotten_in - seconds)  # a counter is kept for its own window and the next
    return Window(item.amount, seconds, previous, fades_in, current, ends_in)


@cache
def _limiter(url: str) -> SlidingWindowCounterRateLimiter:
    pool = redis.ConnectionPool.from_url(
        url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
    )
    # The library reads no Unix-socket URL of the kind that we have, so it gets the pool.
    storage = RedisStorage("redis://", connection_pool=pool, key_prefix=PREFIX)
    return SlidingWindowCounterRateLimiter(storage)
