"""Forecasts of an uplift that need no model: what anybody would say of the next wave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ml.events import Floats, Integers
from ml.uplift.intervals import Draws, Estimate
from ml.uplift.journal import Journal, Offers, Outcome, outcome_between
from ml.uplift.metrics import Mask


@dataclass(frozen=True, slots=True)
class Simple:
    """What one rule says of the uplift of all offers; 90 % for chance in what it rests on."""

    name: str
    spend: Estimate
    bought: Estimate


@dataclass(frozen=True, slots=True)
class Wave:
    """An earlier wave, measured for as long as the one that is forecast."""

    offered: Integers
    outcome: Outcome

    @property
    def control(self) -> Mask:
        """Who got nothing."""
        return np.asarray(self.offered < 0)


def simple_forecasts(
    known: Journal, offers: Offers, offered: Integers, *, until: int, window: int, draws: Draws
) -> tuple[Simple, ...]:
    """Return what each rule says of a wave with these offers (N,), from the events ``until`` then.

    Only one rule is left where no earlier wave was measured for a whole window.
    """
    waves = earlier_waves(known, len(offered), until, window)
    nothing = Simple("no effect", Estimate(0.0, 0.0, 0.0), Estimate(0.0, 0.0, 0.0))
    if not waves:
        return (nothing,)
    return (
        _rule("mean of the earlier waves", waves, draws, _uplift),
        _rule("the last earlier wave", waves[-1:], draws, _uplift),
        _rule("mean of each offer in the earlier waves", waves, draws, _by_offer(offered)),
        nothing,
        _rule("every offer converts", waves, draws, _all_convert(offers, offered)),
    )


def earlier_waves(known: Journal, customers: int, until: int, window: int) -> list[Wave]:
    """Return the waves that had both arms and a whole window to themselves."""
    ends = (*known.waves[1:], until)
    found = []
    for start, end in zip(known.waves, ends, strict=True):
        wave = Wave(
            known.offered_at(start, customers),
            outcome_between(known, customers, start, start + window),
        )
        if end - start >= window and 0 < wave.control.sum() < customers:
            found.append(wave)
    return found


Rule = Callable[[Wave, str, Floats], Floats]


def _rule(name: str, waves: list[Wave], draws: Draws, rule: Rule) -> Simple:
    def figure(outcome: str) -> Estimate:
        return draws.estimate(lambda w: np.mean([rule(wave, outcome, w) for wave in waves], axis=0))

    return Simple(name, figure("spend"), figure("bought"))


def _mean(values: Floats, chosen: Mask, weights: Floats) -> Floats:
    drawn = weights[:, chosen]
    return np.asarray(drawn @ values[chosen] / np.maximum(drawn.sum(axis=1), 1))


def _uplift(wave: Wave, outcome: str, weights: Floats) -> Floats:
    values = getattr(wave.outcome, outcome)
    return _mean(values, ~wave.control, weights) - _mean(values, wave.control, weights)


def _by_offer(offered: Integers) -> Rule:
    """The mean of each offer, as often as it is made this time; 0 for one never made before."""
    made = offered[offered >= 0]

    def rule(wave: Wave, outcome: str, weights: Floats) -> Floats:
        values = getattr(wave.outcome, outcome)
        control = _mean(values, wave.control, weights)
        total = np.zeros(len(weights))
        for offer, count in zip(*np.unique(made, return_counts=True), strict=True):
            got = wave.offered == offer
            if got.any():
                total += count * (_mean(values, got, weights) - control)
        return np.asarray(total / len(made))

    return rule


def _all_convert(offers: Offers, offered: Integers) -> Rule:
    """Everybody offered buys, and spends what the offer asks for on top of what others spend."""
    asked = float(offers.difficulty[offered[offered >= 0]].mean())

    def rule(wave: Wave, outcome: str, weights: Floats) -> Floats:
        if outcome == "spend":
            return np.full(len(weights), asked)
        return 1 - _mean(wave.outcome.bought, wave.control, weights)

    return rule
