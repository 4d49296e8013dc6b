"""Redis: searching every key and value of every database, and removing what names a pseudonym."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any
from uuid import UUID

import redis
from django.conf import settings

from customers.scan.report import ScanReport
from customers.scan.sought import Sought

# Celery's messages carry their arguments in base64.
ENCODED_BODY = re.compile(rb'"body": ?"([A-Za-z0-9+/=]+)"')
PAGE = 1_000
Reader = Callable[[Any, bytes], Any]  # asks a pipeline for all of a key
Element = tuple[bytes, list[bytes]]  # what names it inside its key, and all bytes it consists of


def scan_redis(sought: Sought, report: ScanReport) -> None:
    """Every key of every logical database was read."""
    for number, _, key, elements in _everything():
        report.redis_keys += 1
        parts = [key, *(part for _, parts in elements for part in parts)]
        counts = sought.count_in(b"\n".join(map(_with_bodies, parts)))
        report.add(f"redis:db {number}", dict(counts))


def count_in_redis(pseudonym: UUID) -> int:
    """How many keys or elements of keys name the pseudonym."""
    sought = _only(pseudonym)
    return sum(
        1 if _names(sought, [key]) else len(_hits(sought, elements))
        for _, _, key, elements in _everything()
    )


def erase_from_redis(pseudonym: UUID) -> int:
    """No key and no element of a key names the pseudonym; returns how many were removed.

    Only the elements that name it go: a queue keeps its other messages.
    """
    sought, removed = _only(pseudonym), 0
    for _, client, key, elements in _everything():
        if _names(sought, [key]):
            removed += int(client.delete(key))
        else:
            removed += sum(_remove(client, key, name) for name in _hits(sought, elements))
    return removed


def databases() -> list[int]:
    """The numbers of the logical databases that hold keys."""
    with connected(None) as client:
        return sorted(int(name.removeprefix("db")) for name in client.info("keyspace"))


@contextmanager
def connected(number: int | None) -> Iterator["redis.Redis"]:
    """A client of one logical database; that of the settings where ``number`` is None."""
    options: dict[str, Any] = {"socket_timeout": 30}
    with redis.Redis.from_url(settings.REDIS_URL, **options) as client:
        if number is not None:
            client.connection_pool.connection_kwargs["db"] = number
        yield client


def _only(pseudonym: UUID) -> Sought:
    return Sought(pseudonym_sha256="", pseudonym=pseudonym, identities=(), digests=())


def _names(sought: Sought, parts: list[bytes]) -> bool:
    return any(sought.count_in(_with_bodies(part)) for part in parts)


def _hits(sought: Sought, elements: list[Element]) -> list[bytes]:
    return [name for name, parts in elements if _names(sought, parts)]


def _with_bodies(value: bytes) -> bytes:
    """``value`` and, where it is a message of Celery, its decoded body."""
    # The second form: a message that is being worked on lies in JSON inside JSON.
    plain = value.replace(b'\\"', b'"')
    return b"\n".join([value, *map(_decoded, ENCODED_BODY.findall(plain))])


def _decoded(body: bytes) -> bytes:
    try:
        return base64.b64decode(body)
    except binascii.Error:
        return body


def _everything() -> Iterator[tuple[int, Any, bytes, list[Element]]]:
    """Database number, client, key and content of every key, read a page at a time."""
    for number in databases():
        with connected(number) as client:
            keys = client.scan_iter(count=PAGE)
            while page := list(islice(keys, PAGE)):
                for key, elements in zip(page, _read(client, page), strict=True):
                    yield number, client, key, elements


def _read(client: Any, keys: list[bytes]) -> list[list[Element]]:
    """What each key consists of; empty where it has just expired. Two round trips for all."""
    types = client.pipeline(transaction=False)
    for key in keys:
        types.type(key)
    contents = client.pipeline(transaction=False)
    known = types.execute()
    for key, kind in zip(keys, known, strict=True):
        read: Reader = READERS.get(kind, _read_nothing)
        read(contents, key)
    # A key may change its type between the trips; what replaced it is newer than this scan.
    answers = contents.execute(raise_on_error=False)
    return [_elements(kind, answer) for kind, answer in zip(known, answers, strict=True)]


READERS: dict[bytes, Reader] = {
    b"string": lambda pipe, key: pipe.get(key),
    b"list": lambda pipe, key: pipe.lrange(key, 0, -1),
    b"set": lambda pipe, key: pipe.smembers(key),
    b"zset": lambda pipe, key: pipe.zrange(key, 0, -1),
    b"hash": lambda pipe, key: pipe.hgetall(key),
    b"stream": lambda pipe, key: pipe.xrange(key),
}


def _read_nothing(pipe: Any, key: bytes) -> None:
    pipe.exists(key)  # keeps the answers in step with the keys


def _elements(kind: bytes, answer: Any) -> list[Element]:
    if kind not in READERS or answer is None or isinstance(answer, Exception):
        return []
    if kind == b"string":
        return [(b"", [answer])]
    if kind == b"hash":
        return [(name, [name, value]) for name, value in answer.items()]
    if kind == b"stream":
        return [(name, [part for pair in entry.items() for part in pair]) for name, entry in answer]
    return [(value, [value]) for value in answer]


def _remove(client: Any, key: bytes, name: bytes) -> int:
    """One element is gone; returns 1, or 0 where it went by itself."""
    removers = {
        b"string": lambda: client.delete(key),
        b"list": lambda: client.lrem(key, 0, name),
        b"set": lambda: client.srem(key, name),
        b"zset": lambda: client.zrem(key, name),
        b"hash": lambda: client.hdel(key, name),
        b"stream": lambda: client.xdel(key, name),
    }
    remove = removers.get(client.type(key))
    return int(remove()) if remove else 0
