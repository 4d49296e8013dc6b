"""Whether predicted uplifts are of the right size: predicted against measured, group by group.

Customers are sorted by predicted uplift and cut into ten groups of equal size; each group is a
small randomised experiment of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.events import Floats
from ml.uplift.intervals import Draws, Estimate
from ml.uplift.metrics import Mask, Trial, mean_difference

GROUPS = 10


@dataclass(frozen=True, slots=True)
class Group:
    """Customers of about the same predicted uplift."""

    customers: int
    predicted: float
    measured: Estimate


@dataclass(frozen=True, slots=True)
class Calibration:
    """Groups from the lowest predicted uplift to the highest.

    ``slope`` is that of the least-squares line through (predicted, measured) of the groups: 1 where
    differences between customers are of the right size, below 1 where they are overstated.
    """

    groups: tuple[Group, ...]
    slope: Estimate


def calibration(trial: Trial, predicted: Floats, draws: Draws, groups: int = GROUPS) -> Calibration:
    """Return predicted and measured uplift of each group, and the slope between them."""
    members = np.array_split(np.argsort(predicted, kind="stable"), groups)
    masks = [_mask(rows, len(predicted)) for rows in members if len(rows)]
    told = np.array([predicted[mask].mean() for mask in masks])
    cells = _Cells(trial, masks)
    slope = draws.estimate(lambda w: _slopes(told, cells.differences(w)))
    found = (mean_difference(trial, draws, mask) for mask in masks)
    pairs = zip(masks, told.tolist(), found, strict=True)
    return Calibration(tuple(Group(int(m.sum()), p, e) for m, p, e in pairs), slope)


class _Cells:
    """The two arms of every group: which rows belong to it (N, G)."""

    def __init__(self, trial: Trial, masks: list[Mask]) -> None:
        inside = np.stack(masks, axis=1)
        self.arms = [
            (inside & arm[:, None]).astype(np.float64) for arm in (trial.treated, ~trial.treated)
        ]
        self.outcome = trial.outcome

    def differences(self, weights: Floats) -> Floats:
        """Return treated minus untreated of each group (R, G); nan where an arm is empty."""
        with np.errstate(invalid="ignore", divide="ignore"):
            treated, others = (
                (weights * self.outcome) @ arm / (weights @ arm) for arm in self.arms
            )
        return np.asarray(treated - others)


def _mask(rows: np.ndarray[tuple[int], np.dtype[np.int64]], customers: int) -> Mask:
    mask = np.zeros(customers, dtype=np.bool_)
    mask[rows] = True
    return mask


def _slopes(told: Floats, measured: Floats) -> Floats:
    """Return the slope of each row of ``measured`` (R, G) on ``told`` (G,)."""
    apart = told - told.mean()
    if not (apart**2).sum() > 0:
        return np.full(len(measured), np.nan)
    return np.asarray(measured @ apart / (apart**2).sum())
