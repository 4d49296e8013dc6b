"""What the time to the next order rests on, taken apart from a stored forecast.

The base is a rate whose posterior mean is a weighted mean of everybody's rate and the customer's
own: with prior gamma(r, alpha) and n own gaps that took the operational time s,

    (r + n) / (alpha + s) = (1 - w) r / alpha + w n / s,    w = s / (alpha + s)

(the credibility weight of Buehlmann 1967). On it stands the learned factor, a sum of logarithms,
which is given term by term. Plain numbers and numpy: no model is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.rhythm.clock import weekday
from ml.rhythm.law import (
    MOST_LOG_FACTOR,
    RATIO_KNOTS,
    WAITED_KNOTS,
    own_columns,
    waited_columns,
)
from ml.timing import DAY_MS, Buying, TimeToOrder

# Columns of the learned factor that are one thing to a reader, in their order: name, how many.
OWN_GROUPS = (("gaps_so_far", 9), ("spend", 3))
WAITED_GROUPS = (
    ("days_waited", 1 + len(WAITED_KNOTS)),
    ("waited_against_usual_gap", 1 + len(RATIO_KNOTS)),
    ("waited_against_last_gaps", 4),
    ("same_weekday", 2),
    ("a_month_ago", 1),
)
EVERYBODY = "everybody"
LABELS = {
    EVERYBODY: "the level of all customers",
    "gaps_so_far": "how many gaps there were, and the last two of them",
    "spend": "what is spent on a purchase day",
    "days_waited": "the days since the last order",
    "waited_against_usual_gap": "those days against the usual gap",
    "waited_against_last_gaps": "those days against the last two gaps",
    "same_weekday": "the same weekday as that of the last order",
    "a_month_ago": "the last order being about a month ago",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeReason:
    """What an order on the day of asking rests on.

    ``usual_gap_days`` is the expected gap, between ``own_gap_days`` (the mean of the ``own_gaps``,
    None where there is none) and ``everybodys_gap_days``; ``own_weight`` (0 to 1) is how much the
    own ones count in the rate. These are operational days, of which a week has seven.
    ``waited_days`` have passed since the last purchase day. ``weekday_factor`` is how busy the
    weekday of asking is, 1 on average. ``factor`` multiplies the day's hazard; ``terms`` are the
    logarithms that it is made of, the largest first, before it is kept within bounds. Without a
    purchase there is no factor: it is 1.
    """

    bought: bool
    own_gaps: int
    own_gap_days: float | None
    everybodys_gap_days: float
    usual_gap_days: float
    own_weight: float
    waited_days: int | None
    weekday: int  # Monday is 0
    weekday_factor: float
    factor: float
    terms: tuple[tuple[str, float], ...]


def time_reason(time: TimeToOrder, buying: Buying, as_of_ms: int) -> TimeReason:
    """Return what the next order of one customer rests on, as of a moment after the last one."""
    law, today = time.law, as_of_ms // DAY_MS
    gaps, known = time.shape - law.shape, time.scale - law.scale
    waited = today - time.last_day if time.bought and time.last_day is not None else None
    terms = _terms(time, buying, max(waited, 1)) if waited is not None else {}
    of_week = int(weekday(np.array([today]))[0])
    return TimeReason(
        bought=time.bought,
        own_gaps=round(gaps),
        own_gap_days=known / gaps if round(gaps) else None,
        everybodys_gap_days=law.scale / law.shape,
        usual_gap_days=time.scale / time.shape,
        own_weight=known / time.scale,
        waited_days=waited,
        weekday=of_week,
        weekday_factor=law.weekday[of_week],
        factor=_factor(sum(terms.values()), beyond=max(waited or 1, 1) > law.longest_days),
        terms=tuple(sorted(terms.items(), key=lambda term: -abs(term[1]))),
    )


def _factor(log_factor: float, *, beyond: bool) -> float:
    """The factor within its bounds; where no wait was ever seen to end it is at most 1."""
    bounded = float(np.clip(log_factor, -MOST_LOG_FACTOR, MOST_LOG_FACTOR))
    return float(np.exp(min(bounded, 0.0) if beyond else bounded))


def _terms(time: TimeToOrder, buying: Buying, waited: int) -> dict[str, float]:
    """The logarithms that the learned factor is the sum of, after so many days."""
    law, known = time.law, buying.purchases
    gap, before = float(time.gap_days), float(time.gap_before_days)
    own = own_columns(
        np, gaps=time.shape - law.shape, own_gap=time.scale / time.shape, gap_days=gap,
        gap_before_days=before, typical_log_spend=law.typical_log_spend,
        mean_spend=known["spend_cents"] / (100.0 * max(known["purchase_days"], 1)),
        last_spend=known["last_day_cents"] / 100.0,
    )  # fmt: skip
    moving = waited_columns(
        np, waited=float(min(waited, law.longest_days)), own_gap=time.scale / time.shape,
        gap_days=gap, gap_before_days=before,
    )  # fmt: skip
    return {
        EVERYBODY: law.level,
        **_grouped(OWN_GROUPS, law.own, own),
        **_grouped(WAITED_GROUPS, law.waited, moving),
    }


def _grouped(
    groups: tuple[tuple[str, int], ...], weights: tuple[float, ...], columns: list[float]
) -> dict[str, float]:
    terms = [weight * float(column) for weight, column in zip(weights, columns, strict=True)]
    result, start = {}, 0
    for name, size in groups:
        result[name] = sum(terms[start : start + size])
        start += size
    return result
