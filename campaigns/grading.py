"""Forecast against measurement: pure figures, no database.

Money is a decimal string with two digits where it is a total and with four per customer; counts
are numbers. ``buyers`` per customer is the share who bought anything.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]
Figures = dict[str, Any]

LEVEL = 0.9
FEWEST = 5  # customers of an arm; a mean over fewer could tell of a single person
FORECAST = ("revenue", "orders", "buyers")
MEASURED = ("revenue", "orders", "units", "buyers")
KIND = "Welch's t interval for the difference of two means"
TOO_FEW = "fewer than {fewest} customers are left in the {arm} arm, so no figure is shown"
OTHER_WINDOW = "{window} days were measured and {horizon} forecast, which cannot be compared"


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of means with its interval; no interval where nothing varied in either arm."""

    mean: float
    reach: float | None

    @property
    def ends(self) -> tuple[float, float | None, float | None]:
        """Mean, low and high."""
        if self.reach is None:
            return self.mean, None, None
        return self.mean, self.mean - self.reach, self.mean + self.reach


def difference(treated: Floats, control: Floats, level: float = LEVEL) -> Difference:
    """The mean of the treated minus that of the control, each of two customers or more.

    Source: Welch 1947, with the degrees of freedom of Satterthwaite 1946: the arms are of unequal
    size, and an offer that makes some customers spend more makes their spending vary more.
    """
    mean = float(treated.mean() - control.mean())
    parts = [_variance(arm) / len(arm) for arm in (treated, control)]
    variance = sum(parts)
    if variance == 0.0:
        return Difference(mean, None)
    freedom = variance**2 / sum(
        part**2 / (len(arm) - 1) for part, arm in zip(parts, (treated, control), strict=True)
    )
    return Difference(mean, float(stdtrit(freedom, 0.5 + level / 2)) * math.sqrt(variance))


def _variance(values: Floats) -> float:
    """The sample variance; exactly 0 where all are equal, whatever rounding does to their mean."""
    return float(values.var(ddof=1)) if np.ptp(values) else 0.0


def forecast_of(result: Figures, scenario: int) -> Figures:
    """What a simulation's result says of one scenario, for each customer simulated."""
    customers = int(result["customers"]["simulated"])
    uplift = result["scenarios"][scenario]["uplift"]
    each = {
        name: {
            end: figure(name, float(uplift[name][end]) / max(customers, 1))
            for end in ("mean", "low", "high")
        }
        for name in FORECAST
    }
    return {
        "customers_simulated": customers,
        "horizon": result["horizon"],
        "level": result["interval"]["level"],
        "per_customer": each,
        "total": None,
    }


def scaled(forecast: Figures, treated: int) -> Figures:
    """The forecast with its total over ``treated`` customers.

    The ends of the interval are scaled with the mean. That is right for what is not known of the
    response, which all customers share; the part of it that is luck would shrink more slowly.
    """
    totals = {
        name: {end: total(name, float(value) * treated) for end, value in ends.items()}
        for name, ends in forecast["per_customer"].items()
    }
    return {**forecast, "total": totals}


def measured(arms: dict[str, dict[str, Floats]], forecast: Figures, *, window_days: int) -> Figures:
    """What was measured, and how it stands to the forecast, as it goes into the ledger.

    ``arms`` holds for each arm what its customers did within the window, one number each.
    """
    sizes = {arm: len(outcomes["revenue"]) for arm, outcomes in arms.items()}
    frame: Figures = {
        "customers": sizes,
        "interval": {"level": LEVEL, "kind": KIND},
        "reason": None,
        "outcomes": None,
        "against_forecast": None,
    }
    for arm, size in sizes.items():
        if size < FEWEST:
            return {**frame, "reason": TOO_FEW.format(fewest=FEWEST, arm=arm)}
    treated, control = arms["treatment"], arms["control"]
    found = {name: difference(treated[name], control[name]) for name in MEASURED}
    frame["outcomes"] = {
        name: _outcome(name, treated[name], control[name], found[name]) for name in MEASURED
    }
    horizon = int(forecast["horizon"]["days"])
    if horizon != window_days:
        return {**frame, "reason": OTHER_WINDOW.format(window=window_days, horizon=horizon)}
    grades = {name: graded(name, found[name], forecast["per_customer"][name]) for name in FORECAST}
    return {**frame, "against_forecast": grades}


def graded(name: str, found: Difference, forecast: Figures) -> Figures:
    """One outcome's uplift per customer against its forecast.

    ``expected`` is where the measured uplift should lie if the forecast is right: the forecast's
    interval, widened by the sampling error of the measurement (squares add, both being independent
    of each other).
    """
    mean, low, high = (float(forecast[end]) for end in ("mean", "low", "high"))
    gap = found.mean - mean
    grade: Figures = {
        "forecast": forecast,
        "measured": figure(name, found.mean),
        "difference": figure(name, gap),
        "relative_error": round(abs(gap / mean), 6) if mean else None,
        "expected": None,
        "within": None,
    }
    if found.reach is None:
        return grade
    bottom = mean - math.hypot(mean - low, found.reach)
    top = mean + math.hypot(high - mean, found.reach)
    expected = {"low": figure(name, bottom), "high": figure(name, top)}
    return {**grade, "expected": expected, "within": bottom <= found.mean <= top}


def _outcome(name: str, treated: Floats, control: Floats, found: Difference) -> Figures:
    ends = dict(zip(("mean", "low", "high"), found.ends, strict=True))
    people = len(treated)
    return {
        "treatment": figure(name, float(treated.mean())),
        "control": figure(name, float(control.mean())),
        "uplift": {end: _or_none(figure, name, value) for end, value in ends.items()},
        "total": {
            end: _or_none(total, name, None if value is None else value * people)
            for end, value in ends.items()
        },
    }


def _or_none(show: Any, name: str, value: float | None) -> Any:
    return None if value is None else show(name, value)


def figure(name: str, value: float) -> str | float:
    """A mean per customer as it is stored."""
    return _money(value, "0.0001") if name == "revenue" else round(value, 6) + 0.0


def total(name: str, value: float) -> str | float:
    """A total as it is stored."""
    return _money(value, "0.01") if name == "revenue" else round(value, 4) + 0.0


def _money(value: float, digits: str) -> str:
    rounded = Decimal(value).quantize(Decimal(digits))
    return str(rounded if rounded else abs(rounded))  # zero has no sign
