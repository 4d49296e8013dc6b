"""The slope of an outcome on the dose of an offer, trial by trial.

The mean is log-linear: each trial's own level, a slope on what was expected of the customer, and
one on the dose. Counts weigh like Poisson, amounts like gamma variables; neither has to be one,
because errors are taken from the scores of customers (Liang and Zeger 1986), who may be in many
trials. The lot makes the dose independent of everything known before, so a wrong model of the
customers costs precision and no bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.events import Floats, Integers
from ml.response.trials import Rows

MOST_STEPS, TOLERANCE = 50, 1e-9
LARGEST_LOG = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Slopes:
    """What each trial says, and how much each customer of it has to do with that.

    A trial's slope is off by about the sum of its ``score`` over its ``information``.

    Shapes: T trials, (T,); C pairs of a trial and one of its customers, (C,).
    """

    slope: Floats
    information: Floats
    trial: Integers
    customer: Integers
    score: Floats
    weight: Floats  # what a pair gives to the information


def slopes(rows: Rows, trials: int, *, counts: bool) -> Slopes:
    """Return the slopes on the dose of outcomes that are counts, or amounts above 0.

    A trial without outcomes, or with all of them in one arm, has information 0.
    """
    rows = _informed(rows, trials)
    error, weight, away, slope = _fitted(rows, trials, counts=counts)
    squared = float((weight * away[1] ** 2).sum())
    alone = away[0] - away[1] * ((weight * away[0] * away[1]).sum() / squared if squared else 0.0)
    score, given = weight * alone * error, weight * alone**2
    information, total = (_sums(rows.trial, values, trials) for values in (given, score))
    one_step = np.divide(total, information, out=np.zeros(trials), where=information > 0)
    many = int(rows.customer.max(initial=0)) + 1
    pairs, pair = np.unique(rows.trial * many + rows.customer, return_inverse=True)
    return Slopes(
        slope=slope + one_step,
        information=information,
        trial=pairs // many,
        customer=pairs % many,
        score=_sums(pair, score, len(pairs)),
        weight=_sums(pair, given, len(pairs)),
    )


def _sums(group: Integers, values: Floats, groups: int) -> Floats:
    return np.bincount(group, values, groups).astype(np.float64)


def _informed(rows: Rows, trials: int) -> Rows:
    """Return the rows of trials in which anything happened."""
    kept = (np.bincount(rows.trial, rows.outcome, trials) > 0)[rows.trial]
    return Rows(**{name: getattr(rows, name)[kept] for name in Rows.__slots__})


def _fitted(rows: Rows, trials: int, *, counts: bool) -> tuple[Floats, Floats, Floats, float]:
    """Return errors and weights (N,), the columns without trials' means (2, N), and the slope.

    Iteratively reweighted least squares; errors are relative to the mean.
    """
    columns = np.stack([rows.dose, rows.usual])
    size = np.maximum(np.bincount(rows.trial, minlength=trials), 1)
    level = np.bincount(rows.trial, rows.outcome, trials) / size
    log_mean = np.log(level[rows.trial])
    slope = np.zeros(2)
    for _ in range(MOST_STEPS):
        error, weight, away = _state(rows, columns, log_mean, trials, counts=counts)
        working = _centred((log_mean + error)[None], rows, weight, trials)[0]
        before = slope
        slope = np.linalg.pinv((away * weight) @ away.T, hermitian=True) @ (away * weight @ working)
        log_mean = log_mean + error - (working - slope @ away)
        log_mean = np.clip(log_mean, -LARGEST_LOG, LARGEST_LOG)
        if np.abs(slope - before).max() < TOLERANCE:
            break
    error, weight, away = _state(rows, columns, log_mean, trials, counts=counts)
    return error, weight, away, float(slope[0])


def _state(
    rows: Rows, columns: Floats, log_mean: Floats, trials: int, *, counts: bool
) -> tuple[Floats, Floats, Floats]:
    mean = np.exp(log_mean)
    weight = mean if counts else np.ones(len(mean))
    return rows.outcome / mean - 1, weight, _centred(columns, rows, weight, trials)


def _centred(columns: Floats, rows: Rows, weight: Floats, trials: int) -> Floats:
    """Return the columns (K, N) less their weighted means in each trial."""
    total = np.maximum(np.bincount(rows.trial, weight, trials), np.finfo(np.float64).tiny)
    means = [np.bincount(rows.trial, weight * column, trials) / total for column in columns]
    return np.asarray(columns - np.stack(means)[:, rows.trial])
