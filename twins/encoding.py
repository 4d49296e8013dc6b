"""From stored events to the table that a model reads.

A model folds what it learned from: purchases, returns and the registration. Technical and outlier
events and all other types move a twin's stream version and nothing else. A registration counts only
where nothing came before it: in an imported history it is dated years after the first purchase, and
says when the customer became known to us, not what the customer did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np

from events.catalogue import CustomerRegistered, ItemPurchased, ItemReturned
from events.selectors import Columns, StoredEvent
from ml.events import EventKind, EventTable, order_key

KINDS = {
    ItemPurchased.type: int(EventKind.PURCHASED),
    ItemReturned.type: int(EventKind.RETURNED),
    CustomerRegistered.type: int(EventKind.REGISTERED),
}
FOLDED_TYPES = sorted(KINDS)

_order_key = lru_cache(maxsize=65_536)(order_key)


def is_folded(event: StoredEvent) -> bool:
    """Whether the event can change a twin at all."""
    return event.type in KINDS and not event.technical and not event.outlier


def fold_order(events: Iterable[StoredEvent], *, clock_ms: int) -> list[StoredEvent]:
    """The events that change a twin whose clock is ``clock_ms``, by (occurred_at, version)."""
    folded = sorted(filter(is_folded, events), key=lambda e: (e.occurred_at_ms, e.version))
    begun = clock_ms != 0
    registered = CustomerRegistered.type
    return [e for i, e in enumerate(folded) if e.type != registered or (i == 0 and not begun)]


def event_table(histories: Sequence[Sequence[StoredEvent]]) -> EventTable:
    """The table in which customer b is the b-th history; each is in fold order already."""
    events = [event for history in histories for event in history]
    lines = [event.data for event in events]
    lengths = [len(history) for history in histories]
    return EventTable(
        customer=np.repeat(np.arange(len(histories), dtype=np.int64), lengths),
        kind=np.array([KINDS[event.type] for event in events], dtype=np.int8),
        sku=_objects([getattr(line, "sku", "") for line in lines]),
        order=np.array([_order_of(getattr(line, "order_id", "")) for line in lines], np.int64),
        occurred_at_ms=np.array([event.occurred_at_ms for event in events], np.int64),
        quantity=np.array([getattr(line, "quantity", 0) for line in lines], np.float64),
        unit_price=np.array([float(getattr(line, "unit_price", 0)) for line in lines], np.float64),
        country=_objects([getattr(line, "country", "") for line in lines]),
        offer_depth=np.zeros(len(events), np.float64),
    )


def training_table(columns: Columns) -> EventTable:
    """The same table from the columns of ``events.selectors.all_events_columns``."""
    kinds = np.fromiter(map(KINDS.__getitem__, columns["type"]), np.int8, len(columns["type"]))
    customer = columns["customer"]
    first = np.ones(len(customer), dtype=np.bool_)
    first[1:] = customer[1:] != customer[:-1]
    kept = first | (kinds != EventKind.REGISTERED)
    orders, index = np.unique(columns["order_id"].astype(str), return_inverse=True)
    keys = np.array([_order_of(order) for order in orders.tolist()], np.int64)
    table = EventTable(
        customer=customer,
        kind=kinds,
        sku=columns["sku"].astype(object),
        order=keys[index] if len(keys) else np.zeros(0, np.int64),
        occurred_at_ms=columns["occurred_at_ms"].astype(np.int64),
        quantity=columns["quantity"].astype(np.float64),
        unit_price=columns["unit_price"].astype(np.float64),
        country=columns["country"].astype(object),
        offer_depth=np.zeros(len(customer), np.float64),
    )
    return table.rows(kept)


def columns_sha256(columns: Columns) -> str:
    """The SHA-256 of the events in the columns; equal events give equal digests."""
    whole = sha256()
    for pseudonym in columns["pseudonyms"]:
        whole.update(pseudonym.bytes)
    for name in sorted(set(columns) - {"pseudonyms"}):
        values = columns[name]
        plain = values.dtype != object
        content = values.tobytes() if plain else "\x1f".join(values.tolist()).encode()
        whole.update(f"\x1e{name}:{len(content)}:".encode())
        whole.update(content)
    return whole.hexdigest()


def _order_of(order_id: str) -> int:
    return _order_key(order_id) if order_id else 0


def _objects(values: list[Any]) -> np.ndarray[Any, np.dtype[np.object_]]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
