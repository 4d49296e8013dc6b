"""A wave of offers as it was foreseen, beside what happened.

Whoever got an offer is set against whoever got none in the same wave. What is foreseen knows the
events before the wave and who got which offer; what happened is looked at afterwards only.

Shapes: N customers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.events import Floats, Integers
from ml.uplift.calibration import Calibration, calibration
from ml.uplift.comparison import OUTCOMES, Compared, Comparison, spend_spread
from ml.uplift.errors import NoEarlierWave, UnknownWave, WaveBeforeTraining, WindowEmpty
from ml.uplift.forecast import Expected, Walk
from ml.uplift.intervals import Draws, Estimate
from ml.uplift.journal import RECEIVED, Customers, Journal, Offers, outcome_between
from ml.uplift.metrics import Trial
from ml.uplift.model import Advance, ResponseModel, learn
from ml.uplift.panel import STEP_HOURS, panel_before
from ml.uplift.ranking import Ranking, ranking
from ml.uplift.simple import Simple, simple_forecasts


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Which wave is forecast, from what, and how carefully. Hours; ``window`` after the wave."""

    train_until: int
    wave: int
    window: int = 72
    refits: int = 40
    draws: int = 500
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """Everything that is reported of one wave. ``end`` is the hour at which the window ended."""

    ask: Ask
    end: int
    ended_by: str
    customers: int
    learned_waves: tuple[int, ...]
    compared: tuple[Compared, ...]
    simple: tuple[Simple, ...]
    rankings: tuple[Ranking, ...]
    calibrations: dict[str, Calibration]
    overlap: Estimate  # what a further offer keeps of its effect
    together: int  # customer-steps with two or more offers at work that this was learned from

    def rows(self, outcome: str) -> tuple[Compared, ...]:
        """Return the comparisons of one outcome: all offers, each type, each offer."""
        return tuple(row for row in self.compared if row.outcome == outcome)


def backtest(
    journal: Journal,
    customers: Customers,
    offers: Offers,
    ask: Ask,
    advance: Advance = lambda done: None,
) -> Backtest:
    """Return the wave as foreseen and as measured.

    ``advance`` hears of ``refits + 3`` steps of work.

    Raises:
        UnknownWave, NoEarlierWave, WaveBeforeTraining, WindowEmpty, OneArmEmpty: there is nothing
            to foresee, or nothing to compare it with.
    """
    check(journal, ask)
    end, ended_by = window_end(journal, ask)
    made = (journal.hour == ask.wave) & (journal.kind == RECEIVED)
    known = journal.where((journal.hour < ask.wave) | made)
    offered = known.offered_at(ask.wave, len(customers))
    after = outcome_between(journal, len(customers), ask.wave, end)
    trials = {name: Trial(offered >= 0, getattr(after, name)) for name in OUTCOMES}
    foreseen = foresee(known, customers, offers, ask, end, advance)
    draws = Draws(len(customers), draws=ask.draws, seed=ask.seed)
    learned = known.before(ask.train_until)
    comparison = Comparison(
        offers=offers, offered=offered, given=foreseen.given, nothing=foreseen.nothing,
        measured=after, spread=spend_spread(learned, len(customers), end - ask.wave),
        draws=draws, seed=ask.seed,
    )  # fmt: skip
    return Backtest(
        ask=ask, end=end, ended_by=ended_by, customers=len(customers),
        learned_waves=learned.waves,
        compared=comparison.rows(),
        simple=simple_forecasts(
            learned, offers, offered, until=ask.train_until, window=end - ask.wave, draws=draws
        ),
        rankings=tuple(ranking(n, trials[n], foreseen.score[n], draws) for n in OUTCOMES),
        calibrations={n: calibration(trials[n], foreseen.score[n], draws) for n in OUTCOMES},
        overlap=foreseen.model.overlap,
        together=foreseen.model.together,
    )  # fmt: skip


def check(journal: Journal, ask: Ask) -> None:
    """The wave may be foreseen from what comes before the end of the training.

    Raises:
        UnknownWave, NoEarlierWave, WaveBeforeTraining: it may not.
    """
    if ask.wave not in journal.waves:
        raise UnknownWave(hour=ask.wave, waves=", ".join(map(str, journal.waves)))
    if ask.train_until > ask.wave:
        raise WaveBeforeTraining(until=ask.train_until, wave=ask.wave)
    if not any(wave < ask.train_until for wave in journal.waves):
        raise NoEarlierWave(until=ask.train_until)


def window_end(journal: Journal, ask: Ask) -> tuple[int, str]:
    """Return where the window ends, and by what: its length, the next wave, the end of the file.

    Raises:
        WindowEmpty: the file ends with the wave.
    """
    if journal.end <= ask.wave + 1:
        raise WindowEmpty(wave=ask.wave, end=journal.end)
    ends = [(ask.wave + ask.window, "its length")]
    ends += [(wave, "the next wave") for wave in journal.waves if wave > ask.wave]
    if journal.end + STEP_HOURS <= ends[0][0]:  # less than a step is a quiet end, no missing one
        ends.append((journal.end, "the end of the file"))
    return min(ends)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What was expected before the wave.

    ``given`` is with the offers really made, ``nothing`` without: the best parameters first, then
    each draw. ``score`` is each customer's mean uplift over the offers of the wave, by outcome
    (N,): whoever was offered something and whoever was not are scored alike.
    """

    model: ResponseModel
    given: tuple[Expected, ...]
    nothing: tuple[Expected, ...]
    score: dict[str, Floats]


def foresee(
    known: Journal, customers: Customers, offers: Offers, ask: Ask, end: int, advance: Advance
) -> Foreseen:
    """Return the forecast of a wave; ``known`` holds nothing after it but the offers made."""
    panel = panel_before(known, ask.wave, len(customers), offers)
    until = (ask.train_until - ask.wave) // STEP_HOURS
    model = learn(
        panel, customers, offers, until=until, draws=ask.refits, seed=ask.seed, advance=advance
    )
    steps = -(-(end - ask.wave) // STEP_HOURS)
    walk = Walk.of(model, panel.holdings, offers, steps=steps, seed=ask.seed)
    offered = known.offered_at(ask.wave, len(customers))
    every = (model.best, *model.draws)
    given = tuple(walk.expected(parameters, offered) for parameters in every)
    nothing = tuple(walk.expected(parameters) for parameters in every)
    score = _mean_uplift(walk, np.unique(offered[offered >= 0]), nothing[0])
    advance(ask.refits + 3)
    return Foreseen(model, given, nothing, score)


def _mean_uplift(walk: Walk, made: Integers, nothing: Expected) -> dict[str, Floats]:
    totals = {name: np.zeros(len(nothing.spend)) for name in OUTCOMES}
    for offer in made:
        with_it = walk.expected(walk.model.best, np.full(len(nothing.spend), offer))
        for name, total in totals.items():
            total += getattr(with_it, name) - getattr(nothing, name)
    return {name: total / len(made) for name, total in totals.items()}
