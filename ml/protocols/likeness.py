"""Which items stand in the same orders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

SHRINKAGE = 10


def likeness(baskets: sparse.csr_array) -> NDArray[np.float32]:
    """Return the shrunk cosine (V, V) of items over baskets (orders, V) of ones; diagonal 0.

    The cosine times n / (n + 10), where n orders had both.
    """
    together = (baskets.T @ baskets).toarray(order="C").astype(np.float32, copy=False)
    length = np.sqrt(np.maximum(together.diagonal(), 1))
    np.fill_diagonal(together, 0)
    for row, norm in zip(together, length, strict=True):  # in place: the matrix may be large
        row *= row / ((row + SHRINKAGE) * (norm * length))
    return np.asarray(together)
