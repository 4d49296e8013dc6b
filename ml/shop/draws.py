"""Random numbers of the shop: each has an address, so nothing depends on the order of drawing."""

from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray

from ml.noise import uniforms

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

TILE = 16_384  # rows per call: the words of the generator stay in the processor's cache
SLOTS = 128  # line numbers of one customer and day; more than the most lines of an order


class Purpose(IntEnum):
    """What a number is for. Numbers of items have the item as their row, others the customer."""

    TASTE = 1
    RATE_NORMAL = 2
    RATE_GAMMA = 3
    ELASTICITY = 4
    JOINED = 5
    DROPOUT = 6
    COUNTRY = 7
    BASKET = 8
    WHOLESALE = 9
    WAVE_MEMBER = 10
    WAVE_ARM = 11
    ORDER = 20
    HOUR = 21
    OCCASION = 22
    SIZE = 23
    SIZE_ROUNDING = 24
    ITEM = 25
    QUANTITY = 26
    QUANTITY_ROUNDING = 27
    RETURN = 28
    RETURN_LAG = 29
    RETURN_QUANTITY = 30
    ITEM_VECTOR = 40
    ITEM_POPULARITY = 41
    ITEM_PRICE = 42
    ITEM_QUANTITY = 43
    ITEM_TIERED = 44
    ITEM_PROMOTED = 45
    PROMOTION = 46
    PROMOTION_DEPTH = 47
    CATEGORY_CENTRE = 48
    WAVE_DEPTH = 49


def uniform(
    seed: int, rows: Integers, step: Integers | int, purpose: Purpose, *, future: int = 0
) -> Floats:
    """Return one number in (0, 1) for each row; ``future`` chooses among possible futures."""
    rows_, steps = np.broadcast_arrays(rows, np.asarray(step, dtype=np.int64))
    out = np.empty(rows_.shape, np.float64)
    for start in range(0, len(rows_), TILE):
        cut = slice(start, start + TILE)
        row = torch.from_numpy(np.ascontiguousarray(rows_[cut]))
        at = torch.from_numpy(np.ascontiguousarray(steps[cut]))
        out[cut] = uniforms(seed, row, future, at, int(purpose)).numpy()
    return out


def normal(seed: int, rows: Integers, step: Integers | int, purpose: Purpose) -> Floats:
    """Return one standard normal number for each row."""
    return normal_quantile(uniform(seed, rows, step, purpose))


def normal_quantile(u: Floats) -> Floats:
    """Return the standard normal quantile of each probability."""
    values: Floats = torch.special.ndtri(torch.from_numpy(u)).numpy()
    return values
