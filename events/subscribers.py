"""Who wants to know that events were appended. Higher apps register in their ``apps.py``."""

from collections.abc import Callable

Callback = Callable[[set[int]], None]

_callbacks: list[Callback] = []


def on_appended(callback: Callback) -> None:
    """``callback`` hears, after each commit that appended, which shards have work."""
    if callback not in _callbacks:
        _callbacks.append(callback)


def appended(shards: set[int]) -> None:
    """Every subscriber was told; call it after the commit."""
    for callback in _callbacks:
        callback(shards)
