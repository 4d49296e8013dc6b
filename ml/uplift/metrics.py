"""What a ranking of customers by predicted uplift is worth, measured on a randomised experiment.

Customers are targeted from the highest score down. At each depth the treated so far are set
against the untreated so far; a ranking is good where the gain comes early. Customers of equal
score are targeted together, so a score that tells nobody apart is worth exactly nothing.

Source: Radcliffe 2007, "Using control groups to target on predicted lift" (Qini); Gutierrez and
Gerardy 2017, "Causal inference and uplift modelling" (AUUC). Areas and ideal rankings are those of
scikit-uplift 0.5, divided by the customers so that files of different size compare.

Shapes: N customers, R draws, K depths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.events import Floats
from ml.uplift.errors import OneArmEmpty
from ml.uplift.intervals import Draws, Estimate

Mask = NDArray[np.bool_]
AreaOf = Callable[["Curves"], Floats]
DEPTHS = (0.1, 0.2, 0.3)


@dataclass(frozen=True, slots=True)
class Trial:
    """A randomised experiment as it ended: who was treated (N,) and what they did (N,)."""

    treated: Mask
    outcome: Floats

    def __post_init__(self) -> None:
        offered = int(self.treated.sum())
        if not 0 < offered < len(self.treated):
            raise OneArmEmpty(offered=offered, others=len(self.treated) - offered)


@dataclass(frozen=True, slots=True)
class Curves:
    """Targeting from the best score down, one row for each draw of customers (R, K).

    ``targeted`` counts customers. ``qini`` is what the treated among them did beyond what as many
    untreated would have done; ``uplift`` is the difference of the two means for all of them.
    """

    targeted: Floats
    treated: Floats
    qini: Floats
    uplift: Floats


def curves(trial: Trial, score: Floats, weights: Floats) -> Curves:
    """Return the curves under each row of ``weights`` (R, N): how often a customer was drawn."""
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    drawn, treated = weights[:, order], trial.treated[order].astype(np.float64)
    outcome = trial.outcome[order]

    def so_far(values: Floats) -> Floats:
        sums = np.cumsum(drawn * values, axis=1)[:, ends]
        return np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)

    n_treated, n_others = so_far(treated), so_far(1 - treated)
    y_treated, y_others = so_far(treated * outcome), so_far((1 - treated) * outcome)
    mean_others = _ratio(y_others, n_others)
    targeted = n_treated + n_others
    qini = y_treated - mean_others * n_treated
    uplift = (_ratio(y_treated, n_treated) - mean_others) * targeted
    return Curves(targeted, n_treated, qini, uplift)


def qini(trial: Trial, score: Floats, draws: Draws) -> Estimate:
    """Return the mean gain for each treated customer over all depths, beyond targeting at random.

    In the unit of the outcome; 0 is what a random ranking is worth.
    """
    return draws.estimate(lambda w: _qini_areas(curves(trial, score, w)))


def auuc(trial: Trial, score: Floats, draws: Draws) -> Estimate:
    """Return the area under the uplift curve, for each customer; random targeting has half of
    the uplift of everybody."""
    return draws.estimate(lambda w: _areas(curves(trial, score, w)))


def auuc_gain(trial: Trial, score: Floats, draws: Draws) -> Estimate:
    """Return the area under the uplift curve beyond that of targeting at random."""
    return draws.estimate(lambda w: _gain_areas(curves(trial, score, w)))


def qini_normalised(trial: Trial, score: Floats, draws: Draws) -> Estimate:
    """Return the Qini gain as a share of that of a ranking that knows every outcome."""
    return _normalised(trial, score, qini_ideal(trial), draws, _qini_areas)


def auuc_normalised(trial: Trial, score: Floats, draws: Draws) -> Estimate:
    """Return the gain of the uplift curve as a share of that of the ideal ranking."""
    return _normalised(trial, score, auuc_ideal(trial), draws, _gain_areas)


def uplift_at(trial: Trial, score: Floats, share: float, draws: Draws) -> Estimate:
    """Return treated minus untreated among the best ``share`` of all customers, per customer."""
    best = np.zeros(len(score), dtype=np.bool_)
    best[np.argsort(-score, kind="stable")[: int(len(score) * share)]] = True
    return mean_difference(trial, draws, best)


def mean_difference(trial: Trial, draws: Draws, among: Mask | None = None) -> Estimate:
    """Return treated minus untreated, the mean for each customer; nan where an arm is empty."""
    chosen = np.ones(len(trial.outcome)) if among is None else among.astype(np.float64)
    arms = np.stack([chosen * trial.treated, chosen * ~trial.treated], axis=1)

    def difference(w: Floats) -> Floats:
        mean = _ratio(w @ (arms * trial.outcome[:, None]), w @ arms, empty=np.nan)
        return np.asarray(mean[:, 0] - mean[:, 1])

    return draws.estimate(difference)


def qini_ideal(trial: Trial) -> Floats:
    """Return the score that puts what the treated did first and what the others did last."""
    return np.where(trial.treated, trial.outcome, -trial.outcome)


def auuc_ideal(trial: Trial) -> Floats:
    """Return the ideal score of scikit-uplift where outcomes are 0 or 1, else that of the Qini."""
    bought = trial.outcome == 1
    if not np.all(bought | (trial.outcome == 0)):
        return qini_ideal(trial)
    more_lost = (bought & ~trial.treated).sum() > (~bought & trial.treated).sum()
    first = bought if more_lost else trial.treated
    return np.asarray(2.0 * (bought == trial.treated) + first)


def _normalised(trial: Trial, score: Floats, ideal: Floats, draws: Draws, area: AreaOf) -> Estimate:
    def share(w: Floats) -> Floats:
        return _ratio(area(curves(trial, score, w)), area(curves(trial, ideal, w)), empty=np.nan)

    return draws.estimate(share)


def _qini_areas(found: Curves) -> Floats:
    between = _under(found.qini, found.targeted) - found.qini[:, -1] * found.targeted[:, -1] / 2
    return np.asarray(between / (found.targeted[:, -1] * found.treated[:, -1]))


def _areas(found: Curves) -> Floats:
    return np.asarray(_under(found.uplift, found.targeted) / found.targeted[:, -1] ** 2)


def _gain_areas(found: Curves) -> Floats:
    return _areas(found) - found.uplift[:, -1] / found.targeted[:, -1] / 2


def _under(curve: Floats, x: Floats) -> Floats:
    return np.asarray(np.trapezoid(curve, x, axis=1))


def _ratio(above: Floats, below: Floats, empty: float = 0.0) -> Floats:
    return np.divide(above, below, out=np.full_like(above, empty), where=below != 0)
