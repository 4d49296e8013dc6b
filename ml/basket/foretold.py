"""The next basket of many customers, as names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.basket.features import Candidates, candidates
from ml.basket.known import Known
from ml.basket.model import LISTED, BasketModel
from ml.basket.shelf import Shelf
from ml.mixture.market import Snapshot
from ml.mixture.memory import Memory


@dataclass(frozen=True, slots=True)
class Foretold:
    """One item of a list: how likely the next order has it, and whether an earlier one had."""

    sku: str
    probability: float
    bought_before: bool

    def as_dict(self, rank: int) -> dict[str, Any]:
        """Return the item for JSON."""
        return {
            "sku": self.sku,
            "rank": rank,
            "probability": self.probability,
            "bought_before": self.bought_before,
        }


Basket = tuple[Foretold, ...]


def baskets(
    model: BasketModel,
    memories: Sequence[Memory],
    market: Snapshot,
    days: Sequence[int],
    vocabulary: Sequence[str],
) -> list[Basket]:
    """Return the ten items that each customer's next order has likeliest, the likeliest first.

    ``days`` are those of the orders. Before a first order there is nothing to foretell from: the
    list is empty.
    """
    begun = [row for row, memory in enumerate(memories) if memory.lines]
    known = [Known.of(memories[row], days[row]) for row in begun]
    found: list[Basket] = [()] * len(memories)
    for row, one in zip(begun, candidates(known, Shelf.of(market)), strict=True):
        found[row] = _basket(model, one, vocabulary)
    return found


def _basket(model: BasketModel, one: Candidates, vocabulary: Sequence[str]) -> Basket:
    places, chances = model.best(one, LISTED)
    columns = (one.items[places], chances, np.asarray(one.owned)[places])
    return tuple(
        Foretold(vocabulary[item], chance, owned)
        for item, chance, owned in zip(*(column.tolist() for column in columns), strict=True)
    )
