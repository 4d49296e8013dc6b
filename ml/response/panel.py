"""Order lines as a panel of SKU x week: what a price elasticity is estimated from."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DAY_MS = 86_400_000
MONDAY_OFFSET_DAYS = 3  # 1970-01-01 was a Thursday
MOST_SWEEPS = 500
SWEEP_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One cell for each SKU and week with a sale; all arrays have one entry for each cell."""

    sku: Integers
    week: Integers
    lines: Floats
    log_price: Floats
    price_moves: NDArray[np.bool_]  # the SKU has more than one price


def panel_of(
    sku: NDArray[np.object_],
    occurred_at_ms: Integers,
    quantity: Floats,
    unit_price: Floats,
    least_lines_per_week: float,
) -> Panel:
    """Return the cells of the SKUs that sell often enough, numbered without gaps.

    Lines count whole; the price is the median among small lines only: those of at most the SKU's
    median quantity. Weeks run from Monday to Sunday, UTC. A SKU's average runs from its first
    week to its last.
    """
    week = (occurred_at_ms // DAY_MS + MONDAY_OFFSET_DAYS) // 7
    frame = pd.DataFrame({"sku": sku, "week": week, "quantity": quantity, "price": unit_price})
    frame = frame[(frame["quantity"] > 0) & (frame["price"] > 0)]
    small = frame["quantity"] <= frame.groupby("sku")["quantity"].transform("median")
    cells = frame.groupby(["sku", "week"]).size().to_frame("lines")
    cells["price"] = frame[small].groupby(["sku", "week"])["price"].median()
    cells = cells.dropna().reset_index()
    span = cells.groupby("sku")["week"].transform(lambda weeks: weeks.max() - weeks.min() + 1)
    often = cells.groupby("sku")["lines"].transform("sum") >= least_lines_per_week * span
    cells = cells[often]
    prices = cells.groupby("sku")["price"].transform("nunique")
    return Panel(
        sku=_numbered(cells["sku"]),
        week=_numbered(cells["week"]),
        lines=cells["lines"].to_numpy(np.float64),
        log_price=np.log(cells["price"].to_numpy(np.float64)),
        price_moves=prices.to_numpy() > 1,
    )


def _numbered(column: "pd.Series[int] | pd.Series[str]") -> Integers:
    return np.unique(column.to_numpy(), return_inverse=True)[1].astype(np.int64)


def demeaned(columns: Floats, panel: Panel, *, weights: Floats) -> Floats:
    """Return the columns (K, cells) without the levels of SKUs and of weeks.

    Takes the weighted means out in turns until they no longer move: the remainder of a weighted
    regression on both sets of indicators.
    """
    out = columns.copy()
    totals = [(group, np.bincount(group, weights=weights)) for group in (panel.sku, panel.week)]
    scale = np.abs(columns).max() + 1.0
    for _ in range(MOST_SWEEPS):
        moved = 0.0
        for group, total in totals:
            for column in out:
                means = np.bincount(group, weights=weights * column) / total
                column -= means[group]
                moved = max(moved, float(np.abs(means).max()))
        if moved < SWEEP_TOLERANCE * scale:
            break
    return out
