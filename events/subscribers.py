"""Who wants to know that events were appended. Higher apps register in their ``apps.py``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

Callback = Callable[[set[int]], None]

_callbacks: list[Callback] = []


@dataclass(frozen=True, slots=True)
class Representation:
    """What a customer has become by an event: a body for the sender, and its ETag."""

    body: dict[str, Any]
    etag: str


Represent = Callable[[UUID, datetime], Representation | None]

_represent: list[Represent] = []


def represented_by(represent: Represent) -> None:
    """``represent`` brings a customer up to date at once and shows the result, or cannot."""
    _represent[:] = [represent]


def representation_of(stream: UUID, at: datetime) -> Representation | None:
    """The customer after all events appended so far; None where nobody can tell."""
    return _represent[0](stream, at) if _represent else None


def on_appended(callback: Callback) -> None:
    """``callback`` hears, after each commit that appended, which shards have work."""
    if callback not in _callbacks:
        _callbacks.append(callback)


def appended(shards: set[int]) -> None:
    """Every subscriber was told, or will be by whoever holds the word; call it after the commit."""
    held = _held.get()
    if held is not None:
        held.shards |= shards
        return
    for callback in _callbacks:
        callback(shards)


@dataclass(slots=True)
class HeldWord:
    """Shards of which subscribers will be told."""

    shards: set[int] = field(default_factory=set)

    def forget(self) -> None:
        """They need not be: what they would have done has been done."""
        self.shards.clear()


_held: ContextVar[HeldWord | None] = ContextVar("held_word", default=None)


@contextmanager
def word_held() -> Iterator[HeldWord]:
    """Of what is appended inside subscribers are told at the end, whatever happens.

    For who goes on to do their work: they would only be in the way.
    """
    word = HeldWord()
    token = _held.set(word)
    try:
        yield word
    finally:
        _held.reset(token)
        if word.shards:
            appended(word.shards)
