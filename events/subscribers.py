"""Who wants to know that events were appended. Higher apps register in their ``apps.py``."""

from collections.abc import Callable
from dataclasses import dataclass
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
    """Every subscriber was told; call it after the commit."""
    for callback in _callbacks:
        callback(shards)
