"""Telling workers that a shard has work, not more often than useful.

A nudge leaves a key in Redis until a worker begins, or until it runs out: a flood of posts sends
one task for each shard. A lost nudge is made good by the periodic sweep.
"""

import atexit
import logging
import os
from collections.abc import Iterable
from functools import cache
from threading import Event, Lock, Thread

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.later import ask_now

logger = logging.getLogger(__name__)

TASK = "twins.advance_shard"
EXPIRY_SECONDS = 10
TIMEOUT_SECONDS = 2
RESTING_SECONDS = 0.02
LONGEST_END_SECONDS = 3 * TIMEOUT_SECONDS  # to connect, to ask, and to send the task


def nudge_shards(shards: Iterable[int]) -> None:
    """A worker has been told of each shard, unless one was told just now and has not begun."""
    try:
        fresh = _first_told(sorted(shards))
    except redis.RedisError as error:
        logger.warning("nudge lost", extra={"task": TASK, "error": str(error)})
        return
    for shard in fresh:
        ask_now(TASK, shard=shard)


def begin_shard(shard: int) -> None:
    """From here on a new nudge is sent again: what comes now, this worker may miss."""
    try:
        _client().delete(_key(shard))
    except redis.RedisError as error:
        logger.warning("nudge key kept", extra={"shard": shard, "error": str(error)})


def _first_told(shards: list[int]) -> list[int]:
    """Those of the shards that no worker was told of just now; from here on one was."""
    if len(shards) == 1:
        told = [_client().set(_key(shards[0]), 1, nx=True, ex=EXPIRY_SECONDS)]
    else:
        with _client().pipeline(transaction=False) as together:
            for shard in shards:
                together.set(_key(shard), 1, nx=True, ex=EXPIRY_SECONDS)
            told = together.execute()
    return [shard for shard, is_first in zip(shards, told, strict=True) if is_first]


def _key(shard: int) -> str:
    return f"dtoc:twins:nudged:{shard}"


@cache
def _client() -> redis.Redis:
    # Without retries: an append must not wait for a Redis that is away; the sweep makes it good.
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


class Messenger:
    """Nudges from a thread of its own, so that whoever appends does not wait for Redis.

    The first word after a silence goes out at once; what is told in the 20 ms after it goes out
    together, so that a stream of single events does not become a stream of messages. A process that
    is killed takes at most that much with it, which the sweep makes good; one that ends sends it
    before.
    """

    _waiting: set[int]
    _thread: Thread | None

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._begin)
        atexit.register(self.end)

    def tell(self, shards: set[int]) -> None:
        """Workers will be told of these shards; after the commit, as all nudges."""
        with self._lock:
            self._waiting |= shards
            if self._thread is None:
                self._thread = Thread(target=self._run, name="nudges", daemon=True)
                self._thread.start()
        self._told.set()

    def send(self) -> None:
        """What has been told up to now is sent."""
        with self._lock:
            shards, self._waiting = self._waiting, set()
        if shards:
            nudge_shards(shards)

    def end(self) -> None:
        """All that was told is sent, and the thread is gone.

        A thread that the end of the interpreter met inside the client of Redis would keep a lock
        that the client's own clean-up waits for, and the process would never end.
        """
        self._ending.set()
        self._told.set()
        if self._thread is not None:
            self._thread.join(LONGEST_END_SECONDS)
        self.send()

    def _begin(self) -> None:
        self._lock, self._told, self._ending = Lock(), Event(), Event()
        self._waiting = set()
        self._thread = None  # a fork does not take threads along

    def _run(self) -> None:
        while self._told.wait() and not self._ending.is_set():
            self._told.clear()
            try:
                self.send()
            except Exception:  # the thread outlives whatever one message met
                logger.exception("nudge lost", extra={"task": TASK})
            self._ending.wait(RESTING_SECONDS)


messenger = Messenger()
