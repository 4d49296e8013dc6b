"""What happens to customers, told to the apps above inside the transaction in which it happens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Registered:
    """A customer who has just been registered."""

    pseudonym: UUID
    country: str


OnRegistered = Callable[[Sequence[Registered], datetime], None]
OnClosing = Callable[[UUID, datetime], None]

_on_registered: list[OnRegistered] = []
_on_closing: list[OnClosing] = []


def on_registered(callback: OnRegistered) -> None:
    """``callback`` runs with each batch of new customers, their streams being locked."""
    if callback not in _on_registered:
        _on_registered.append(callback)


def on_closing(callback: OnClosing) -> None:
    """``callback`` runs when an erasure closes a customer's stream, which is locked.

    It may run more than once for one customer.
    """
    if callback not in _on_closing:
        _on_closing.append(callback)


def announce_registered(newcomers: Sequence[Registered], at: datetime) -> None:
    """Every subscriber has heard of the newcomers; the first failure undoes the registration."""
    for callback in _on_registered:
        callback(newcomers, at)


def announce_closing(pseudonym: UUID, at: datetime) -> None:
    """Every subscriber has closed what it keeps open for the customer."""
    for callback in _on_closing:
        callback(pseudonym, at)
