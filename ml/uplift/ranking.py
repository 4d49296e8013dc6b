"""What targeting by the model would have been worth in the wave, beside targeting at random."""

from __future__ import annotations

from dataclasses import dataclass

from ml.events import Floats
from ml.uplift import metrics
from ml.uplift.intervals import Draws, Estimate
from ml.uplift.metrics import DEPTHS, Trial


@dataclass(frozen=True, slots=True)
class Ranking:
    """Figures of one outcome; ``everybody`` is the uplift at every depth of a random ranking."""

    outcome: str
    qini: Estimate
    qini_normalised: Estimate
    auuc: Estimate
    auuc_gain: Estimate
    auuc_normalised: Estimate
    everybody: Estimate
    at: tuple[tuple[float, Estimate], ...]


def ranking(outcome: str, trial: Trial, score: Floats, draws: Draws) -> Ranking:
    """Return what the score is worth; for each figure 0 or ``everybody`` is that of chance."""
    return Ranking(
        outcome,
        qini=metrics.qini(trial, score, draws),
        qini_normalised=metrics.qini_normalised(trial, score, draws),
        auuc=metrics.auuc(trial, score, draws),
        auuc_gain=metrics.auuc_gain(trial, score, draws),
        auuc_normalised=metrics.auuc_normalised(trial, score, draws),
        everybody=metrics.mean_difference(trial, draws),
        at=tuple((share, metrics.uplift_at(trial, score, share, draws)) for share in DEPTHS),
    )
