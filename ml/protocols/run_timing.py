"""Protocol C, run: gaps, purchase days and spend of 90 days."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ml.events import Floats
from ml.metrics import Bootstrap, Figure
from ml.protocols.data import Lines
from ml.protocols.tables import Grid, ProtocolReport, Section, Stage, cell, quiet
from ml.protocols.timing import (
    COUNT_METRICS,
    REVENUE_METRICS,
    SPEND_METRICS,
    CustomerDraws,
    Gaps,
    auc,
    bias,
    deciles,
    likelihood_figure,
    rmse,
)
from ml.protocols.timing_models import exponential, kaplan_meier
from ml.protocols.twin import Expected
from ml.rhythm.clock import WeekdayClock, calendar
from ml.rhythm.days import HORIZON_DAYS, PurchaseDays
from ml.rhythm.posterior import GammaExponential, GammaGamma, Nbd
from ml.rhythm.regression import RecencyRegression
from ml.rhythm.spells import Counts, Spells

REGRESSION, MEAN = "recency regression", "geometric mean of both"
NBD = "NBD"
EARLIER_CUTS_DAYS = (90, 62, 34, 0)  # before the cut: 12 June, 10 July, 7 August, 10 September 2011
SECTIONS = (
    Section("Log-likelihood of the next gap", {"log_likelihood": "nats per spell"}),
    Section("Gaps that end in the holdout", {"gap.mae": "MAE, days"}),
    Section("Purchase days in the horizon", {f"count.{k}": v for k, v in COUNT_METRICS.items()}),
    Section("Spend per purchase day", {f"spend.{k}": v for k, v in SPEND_METRICS.items()}),
    Section("Revenue in the horizon", {f"revenue.{k}": v for k, v in REVENUE_METRICS.items()}),
)
NOTES = (
    "one year of data cannot know Christmas: every stationary model predicts too little here",
    "NBD is what BG/NBD collapses to here: one year shows no drop-out; the regression on what each "
    "customer did lately is learned at earlier cuts",
    "LightGBM is not among what DToC installs and is left out; elsewhere, learned at eight cuts of "
    "Online Retail, it reached RMSE 1.458 and AUC .733",
)

SpellScorer = Callable[[Spells], Floats]
CountScorer = Callable[[Counts, int, int], Expected]
CutScorer = Callable[[Counts, int, int], Floats]


def run(
    lines: Lines,
    *,
    cut_day: int,
    horizon: int = HORIZON_DAYS,
    spell_scorers: Mapping[str, SpellScorer] | None = None,
    count_scorers: Mapping[str, CountScorer] | None = None,
    cut_scorers: Mapping[str, CutScorer] | None = None,
    draws: int = 300,
    stage: Stage = quiet,
) -> ProtocolReport:
    """Return the figures of all baselines and of models that saw nothing from ``cut_day`` on.

    ``count_scorers`` say what each customer is expected to do in so many days from a cut on;
    ``cut_scorers`` on how many days each buys, learned anew from what came before any cut.

    Raises:
        NothingToPredict: nobody bought before the cut, or nothing after it.
    """
    days = PurchaseDays.of(lines)
    counts = Counts.of(days, cut_day, horizon)
    report = ProtocolReport(
        "C", f"When and how much: {len(counts.customer):,} customers, "
        f"{int(counts.bought.sum()):,} purchase days", SECTIONS, notes=list(NOTES),
    )  # fmt: skip
    with stage("timing", "questions", 4) as advance:
        _gaps(report, days, cut_day, horizon, spell_scorers or {}, draws)
        advance(1)
        expected = {
            name: scorer(counts, cut_day, horizon) for name, scorer in (count_scorers or {}).items()
        }
        _counts(report, days, cut_day, horizon, expected, draws)
        advance(1)
        _spend(report, counts, horizon, expected, draws)
        advance(1)
        _cuts(report, days, cut_day, horizon, cut_scorers or {}, draws)
        advance(1)
    return report


def _gaps(
    report: ProtocolReport,
    days: PurchaseDays,
    cut: int,
    horizon: int,
    scorers: Mapping[str, SpellScorer],
    draws: int,
) -> None:
    learned = Spells.of(days, 0, cut - 1)
    asked = Spells.of(days, cut, cut + horizon - 1)
    clock = WeekdayClock.fit(days, cut)
    found = {
        "exponential": exponential(learned, asked),
        "Kaplan-Meier by number of purchase days": kaplan_meier(learned, asked),
        "gamma-exponential": GammaExponential.fit(learned, calendar).log_likelihood(asked),
        "gamma-exponential, weekday factors": GammaExponential.fit(learned, clock).log_likelihood(
            asked
        ),
        **{name: scorer(asked) for name, scorer in scorers.items()},
    }
    for name, likelihood in found.items():
        figure = likelihood_figure(asked.customer, likelihood, draws=draws, seed=0)
        report.add(name, {"log_likelihood": figure})
    gaps = Gaps.of(days, cut, horizon)
    bootstrap = Bootstrap(gaps.customer, draws=draws, seed=0)
    for name, predicted in gaps.rules().items():
        report.add(name, {"gap.mae": bootstrap.figure(np.abs(predicted - gaps.days))})
    told = " ".join(f"{factor:.2f}" for factor in clock.factors)
    report.notes.append(
        f"{len(asked.start):,} spells, {int(asked.observed.sum()):,} ended; weekday factors from "
        f"Monday: {told}"
    )


def _counts(
    report: ProtocolReport,
    days: PurchaseDays,
    cut: int,
    horizon: int,
    expected: Mapping[str, Expected],
    draws: int,
) -> None:
    counts = Counts.of(days, cut, horizon)
    actual = counts.bought.astype(np.float64)
    found = {
        "own rate": counts.repeats / np.maximum(counts.seen, 1) * horizon,
        "as in the days before": counts.recent.astype(np.float64),
        **_fitted_counts(days, cut, horizon),
        **{name: twin.purchase_days for name, twin in expected.items()},
    }
    drawn = CustomerDraws(len(actual), draws=draws, seed=0)
    for name, predicted in found.items():
        figures = drawn.figures(COUNT_METRICS, predicted, actual)
        report.add(name, {f"count.{metric}": figure for metric, figure in figures.items()})
    for name, twin in expected.items():  # the chance of any is a head of its own
        report.add(name, {"count.auc": drawn.figure(auc, twin.chance, actual)})
    for name in (NBD, MEAN, *expected):
        if name in found:
            report.grids.append(_calibration(name, deciles(found[name], actual)))
    nbd = Nbd.fit(counts)
    report.notes.append(f"NBD: shape {nbd.shape:.3f}, scale {nbd.scale:.1f} days")


def _calibration(name: str, rows: Sequence[Mapping[str, float]]) -> Grid:
    cells = tuple(
        (str(n), f"{row['customers']:.0f}", f"{row['predicted']:.3f}", f"{row['actual']:.3f}")
        for n, row in enumerate(rows, start=1)
    )
    headings = ("tenth", "customers", "predicted", "actual")
    return Grid(f"Calibration by tenth of the prediction: {name}", headings, cells)


def _spend(
    report: ProtocolReport,
    counts: Counts,
    horizon: int,
    expected: Mapping[str, Expected],
    draws: int,
) -> None:
    bought = counts.bought > 0
    truth = counts.revenue[bought] / counts.bought[bought]
    own = counts.spend / (counts.repeats + 1)
    gamma = GammaGamma.fit(counts).expected(counts)
    rate = Nbd.fit(counts).expected(counts, horizon)
    drawn = CustomerDraws(len(truth), draws=draws, seed=0)
    overall = np.full(len(truth), counts.spend.sum() / (counts.repeats + 1).sum())
    for name, predicted in (
        ("overall mean spend", overall),
        ("own mean spend", own[bought]),
        ("Gamma-Gamma", gamma[bought]),
        *((name, twin.spend[bought]) for name, twin in expected.items()),
    ):
        figures = drawn.figures(SPEND_METRICS, predicted, truth)
        report.add(name, {f"spend.{metric}": figure for metric, figure in figures.items()})
    everybody = CustomerDraws(len(counts.customer), draws=draws, seed=0)
    for name, revenue in (
        ("NBD x own mean spend", rate * own),
        ("NBD x Gamma-Gamma", rate * gamma),
        *((name, twin.purchase_days * twin.spend) for name, twin in expected.items()),
    ):
        figures = everybody.figures(REVENUE_METRICS, revenue, counts.revenue)
        report.add(name, {f"revenue.{metric}": figure for metric, figure in figures.items()})


def _cuts(
    report: ProtocolReport,
    days: PurchaseDays,
    cut: int,
    horizon: int,
    scorers: Mapping[str, CutScorer],
    draws: int,
) -> None:
    """The same rules at several cuts, each fitted before it: season moves every figure."""
    opening = int(days.day.min())
    rows = []
    gains: dict[str, list[float]] = {}
    for back in EARLIER_CUTS_DAYS:
        if cut - back <= opening + horizon:
            continue
        counts = Counts.of(days, cut - back, horizon)
        actual = counts.bought.astype(np.float64)
        drawn = CustomerDraws(len(actual), draws=draws, seed=0)
        date = str(np.datetime64(cut - back, "D"))
        found = _fitted_counts(days, cut - back, horizon)
        found |= {name: scorer(counts, cut - back, horizon) for name, scorer in scorers.items()}
        for name, predicted in found.items():
            figures: dict[str, Figure] = {
                "rmse": drawn.figure(rmse, predicted, actual),
                "auc": drawn.figure(auc, predicted, actual),
                "rmse_gain": drawn.ratio(rmse, predicted, found[NBD], actual),
            }
            report.add(name, {f"cut_{date}.{metric}": figure for metric, figure in figures.items()})
            cells = (cell(figures[metric]) for metric in ("rmse", "rmse_gain", "auc"))
            rows.append((f"{date}: {name}", *cells, f"{bias(predicted, actual):.2f}"))
            gains.setdefault(name, []).append(figures["rmse_gain"]["value"])
    means = (f"{name} {np.mean(values):+.3f}" for name, values in gains.items())
    report.notes.append(f"RMSE against NBD, mean of the cuts: {', '.join(means)}")
    headings = ("cut", "RMSE", "RMSE against NBD", "AUC any", "predicted / actual")
    report.grids.append(Grid("Several cuts", headings, tuple(rows)))


def _fitted_counts(days: PurchaseDays, cut: int, horizon: int) -> dict[str, Floats]:
    """Return the expected purchase days by what can be fitted before the cut."""
    counts = Counts.of(days, cut, horizon)
    nbd = Nbd.fit(counts).expected(counts, horizon)
    regression = RecencyRegression.fit(days, cut, horizon)
    if regression is None:
        return {NBD: nbd}
    recent = regression.expected(days, cut)
    return {NBD: nbd, REGRESSION: recent, MEAN: np.sqrt(nbd * recent)}
