"""What the figures of a back-test are called, and what a reader has to know."""

from __future__ import annotations

from collections.abc import Iterator

from ml.uplift.backtest import Backtest

FIGURES = {
    "qini": "Qini: gain per offered customer over all depths",
    "qini_normalised": "  as a share of a ranking that knows the outcome",
    "auuc": "AUUC: area under the uplift curve, per customer",
    "auuc_gain": "  beyond targeting at random",
    "auuc_normalised": "  as a share of the ideal ranking",
}


def notes(report: Backtest) -> Iterator[str]:
    """The notes below the tables."""
    ask, waves = report.ask, ", ".join(map(str, report.learned_waves))
    yield (
        f"learned from the events before hour {ask.train_until} (waves at hours {waves}), "
        f"{ask.refits} refits; the window ended at hour {report.end} by {report.ended_by}"
    )
    yield (
        "predicted: the difference that such groups would show, with the luck of so many "
        "customers; caused: what the offers changed among those who got them, without luck"
    )
    yield (
        f"a further offer, while another one works, keeps {report.overlap.value:.2f} "
        f"[{report.overlap.low:.2f}, {report.overlap.high:.2f}] of its effect (0: it adds nothing, "
        f"1: effects add up), {_rests_on(report)}"
    )
    yield (
        "ranking and calibration: customers are scored by their mean predicted uplift over the "
        "offers of the wave, whichever they got"
    )
    yield "all intervals are of 90 %; a simple rule's knows chance in the earlier waves only"


def _rests_on(report: Backtest) -> str:
    if not report.together:
        return "which is an assumption: nobody had two offers at work before"
    return f"learned from {report.together:,} customer-steps of six hours with two or more at work"
