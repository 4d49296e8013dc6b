"""The baselines of protocol C that know nothing of a customer, fitted before the cut.

Those that do are in ``ml.rhythm.posterior``.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ml.events import Floats
from ml.rhythm.posterior import discrete
from ml.rhythm.spells import Spells

ORDER_GROUPS = (0, 1, 2, 4, 8)  # Kaplan-Meier curves: 0, 1, 2-3, 4-7, 8 and more earlier days
TAIL = 5.0  # person-days at the overall rate that steady each day's hazard


def exponential(learned: Spells, asked: Spells) -> Floats:
    """Return the log-likelihoods under one rate for everybody."""
    rate = learned.observed.sum() / (learned.end - learned.start).sum()
    waited = asked.end - asked.start
    return discrete(-rate * (waited - 1.0), -rate * waited, asked)


def kaplan_meier(learned: Spells, asked: Spells) -> Floats:
    """Return the log-likelihoods under one curve per number of earlier purchase days.

    Each day's hazard is steadied by a few person-days at the curve's overall rate, which also
    carries it on beyond the longest gap seen.
    """
    result = np.zeros(len(asked.start))
    longest = int(max((learned.end - learned.start).max(), (asked.end - asked.start).max())) + 1
    bounds = (*ORDER_GROUPS, np.iinfo(np.int64).max)
    for low, high in pairwise(bounds):
        inside = (learned.number >= low) & (learned.number < high)
        wanted = (asked.number >= low) & (asked.number < high)
        if not wanted.any():
            continue
        waited = (learned.end - learned.start)[inside]
        ended = np.bincount(waited[learned.observed[inside]], minlength=longest + 1)
        at_risk = np.bincount(waited, minlength=longest + 1)[::-1].cumsum()[::-1]
        rate = ended.sum() / max(int(waited.sum()), 1)
        hazard = (ended + TAIL * rate) / (at_risk + TAIL)
        log_survival = np.concatenate(([0.0], np.cumsum(np.log1p(-hazard[1:]))))
        k = (asked.end - asked.start)[wanted]
        seen = asked.observed[wanted]
        result[wanted] = log_survival[np.where(seen, k - 1, k)] + np.where(
            seen, np.log(hazard[k]), 0.0
        )
    return result
