"""Parts of an audience that a result is broken down by: how often the customer has ordered."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from campaigns.outcomes import Integers

# By the orders before the horizon, each from its own number on.
SEGMENTS = {
    "no order yet": 0,
    "1 order": 1,
    "2 to 4 orders": 2,
    "5 to 9 orders": 5,
    "10 or more": 10,
}
LEAST_SHOWN = 5  # customers; figures of fewer would be nearly a person's own


def segments_of(memories: Iterable[Mapping[str, Any]]) -> Integers:
    """The place in ``SEGMENTS`` of each customer, from what the twin remembers."""
    orders = np.fromiter((memory["orders"] for memory in memories), np.int64)
    first = np.array(list(SEGMENTS.values()))
    return np.asarray(np.searchsorted(first, orders, side="right") - 1, dtype=np.int64)
