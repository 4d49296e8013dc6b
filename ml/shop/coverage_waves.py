"""The rule of thumb: the next offer brings what earlier ones brought on average."""

from __future__ import annotations

import numpy as np

from ml.events import EventKind, EventTable, Floats
from ml.response import Trial
from ml.rhythm.days import DAY_MS
from ml.shop.coverage_history import History

NORMAL_90 = 1.6449
Bounds = tuple[float, float, float]  # mean, low, high


def mean_of_waves(history: History, audience: int, horizon_days: int) -> dict[str, Bounds]:
    """Return the mean uplift per member of earlier waves times the audience, by measure.

    Treated less held out, counted over ``horizon_days`` from each wave's start; whatever their
    depth, all waves weigh alike. The 90 % interval knows the chance in those waves and nothing
    else.
    """
    end_ms = history.end_ms - horizon_days * DAY_MS
    whole = [trial for trial in history.trials if trial.opens_ms <= end_ms]
    found = [_differences(history.events, trial, horizon_days) for trial in whole]
    bounds = {}
    for measure in ("orders", "buyers", "revenue"):
        mean = audience * float(np.mean([uplift[measure][0] for uplift in found]))
        error = audience * float(np.sqrt(sum(one[measure][1] for one in found))) / len(found)
        bounds[measure] = (mean, mean - NORMAL_90 * error, mean + NORMAL_90 * error)
    return bounds


def _differences(
    events: EventTable, trial: Trial, horizon_days: int
) -> dict[str, tuple[float, float]]:
    """Return mean difference of the arms and its variance, by measure."""
    figures = _figures(events, trial, horizon_days)
    treated, control = (
        {name: values[trial.customer[arm]] for name, values in figures.items()}
        for arm in (trial.treated, ~trial.treated)
    )
    return {
        name: (
            float(treated[name].mean() - control[name].mean()),
            sum(float(arm[name].var(ddof=1)) / len(arm[name]) for arm in (treated, control)),
        )
        for name in figures
    }


def _figures(events: EventTable, trial: Trial, horizon_days: int) -> dict[str, Floats]:
    at, end_ms = events.occurred_at_ms, trial.opens_ms + horizon_days * DAY_MS
    lines = events.rows(
        (events.kind == EventKind.PURCHASED) & (at >= trial.opens_ms) & (at < end_ms)
    )
    many = 1 + int(max(events.customer.max(), trial.customer.max()))
    who = np.unique(np.stack([lines.customer, lines.order]), axis=1)[0]
    orders = np.bincount(who, minlength=many).astype(np.float64)
    paid = np.bincount(lines.customer, lines.quantity * lines.unit_price, many).astype(np.float64)
    return {"orders": orders, "buyers": (orders > 0).astype(np.float64), "revenue": paid}
