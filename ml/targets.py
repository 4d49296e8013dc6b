"""What the model should have said at each row: the next purchase line, or that none came."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml.encoding import Columns
from ml.events import EventKind, EventTable, Integers

Number = TypeVar("Number", np.int64, np.float64, np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Targets of N rows, and then of B starts: the first line after the profile alone.

    ``has_*`` say which heads a row teaches. ``item`` is a row of the dictionaries.

    Shapes: all (N + B,).
    """

    item: Tensor
    has_item: Tensor
    same_order: Tensor
    has_same_order: Tensor
    log_total: Tensor
    has_total: Tensor

    def rows(self, index: Tensor) -> Targets:
        """Return the targets of these rows."""
        return Targets(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device) -> Targets:
        """Return the targets on a device."""
        return Targets(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def next_purchase(events: EventTable, customers: int) -> Integers:
    """Return the row of the next purchase after each row and after each start, -1 where none."""
    n = len(events)
    rows = np.arange(n)
    purchases = np.where(events.kind == EventKind.PURCHASED, rows, n)
    coming = np.concatenate((np.minimum.accumulate(purchases[::-1])[::-1], [n]))
    start = np.searchsorted(events.customer, np.arange(customers))
    candidates = np.concatenate((coming[1:], coming[start]))
    owner = np.concatenate((events.customer, np.arange(customers)))
    customer_at = np.concatenate((events.customer, [-1]))
    return np.where(customer_at[candidates] == owner, candidates, -1)


def targets_of(
    events: EventTable,
    columns: Columns,
    *,
    customers: int,
    known: int,
    cut_off_ms: int,
    scored_from_ms: int | None = None,
) -> Targets:
    """Return the targets of every row and start; ``events`` all lie before ``cut_off_ms``.

    Items from row ``known`` on are no targets. With ``scored_from_ms`` only what happened from then
    on is scored, given everything before.
    """
    follower = next_purchase(events, customers)
    found = follower >= 0
    j = np.maximum(follower, 0)
    is_row = np.arange(len(follower)) < len(events)
    now = np.concatenate((events.occurred_at_ms, np.zeros(customers, np.int64)))
    then = np.where(found, _at(events.occurred_at_ms, j), cut_off_ms)
    scored = _scored(found, then, scored_from_ms)
    same = found & is_row & _at(columns.same_order, j) & _adjacent(follower)
    begun = scored_from_ms if scored_from_ms is not None else 0
    inside = is_row & (now >= begun)
    total = _at(columns.total, j)
    item = _at(columns.item, j)
    return Targets(
        item=torch.from_numpy(item),
        has_item=torch.from_numpy(found & scored & (item < known)),
        same_order=torch.from_numpy(same.astype(np.float32)),
        has_same_order=torch.from_numpy(inside & scored),
        log_total=_floats(np.log(np.maximum(total, 1e-9))),
        has_total=torch.from_numpy(found & scored & (total > 0)),
    )


def _scored(
    found: NDArray[np.bool_], then: Integers, scored_from_ms: int | None
) -> NDArray[np.bool_]:
    if scored_from_ms is None:
        return np.ones_like(found)
    return np.asarray(~found | (then >= scored_from_ms))


def _adjacent(follower: Integers) -> NDArray[np.bool_]:
    return np.asarray(follower == np.arange(len(follower)) + 1)


def _at(column: NDArray[Number], j: Integers) -> NDArray[Number]:
    return column[j] if len(column) else np.zeros(len(j), column.dtype)


def _floats(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
