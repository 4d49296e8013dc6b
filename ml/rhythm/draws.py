"""The law on tensors: when the next orders of many rows come, drawn by inverse hazards.

``law`` says what the formulas are. A draw is one uniform number u: the order comes when the
cumulative hazard has grown by -log u. An offer multiplies the hazard inside its window.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ml.noise import uniforms
from ml.rhythm.days import DAY_MS
from ml.rhythm.drift import Drift
from ml.rhythm.law import WEEK, Law, Own

LEVEL_OF_WEEK, LEVEL_STEP = 201, 202  # purposes of random numbers, apart from those of rows
EIGHT = 8  # days are computed in eights: no row's numbers depend on where it stands in a tensor


class Hazards:
    """The hazards of some days in a row, of T rows or fewer that T rows refer to.

    Shapes: T rows, D days; the own numbers are (T,) float64, their ``last_day`` int64.
    """

    def __init__(self, law: Law, own: Own, first_day: int, days: int) -> None:
        self.law, self.own, self.first_day = law, own, first_day
        self.days = days + -days % EIGHT
        device = own.last_day.device
        day = torch.arange(first_day, first_day + self.days, device=device)
        wide = Own(*(column.unsqueeze(1) for column in own))
        plain = law.hazards(torch, wide, day)
        on_last = (day == wide.last_day) & (wide.bought > 0)
        self.of_day = torch.where(on_last, law.same_day_hazard, plain)

    def rows(self, index: Tensor, level: Tensor) -> OrderTimes:
        """Return the times of rows that refer to these, under levels (T, D) of the whole shop."""
        return OrderTimes(self, index, self.of_day[index] * level)


class OrderTimes:
    """The cumulative hazard of T rows between midnights, and its inverse. Times in ms (T,)."""

    def __init__(self, hazards: Hazards, index: Tensor, of_day: Tensor) -> None:
        self.law, self.first_day, self.days = hazards.law, hazards.first_day, hazards.days
        own = hazards.own
        self.bought_on = torch.where(own.bought > 0, own.last_day, -1)[index]
        self.share_over = own.last_day_share[index]
        self.of_day = of_day
        self.running = torch.nn.functional.pad(of_day.cumsum(1), (1, 0))

    def hazard_until(self, at_ms: Tensor) -> Tensor:
        """Return the cumulative hazard from the first midnight to a moment (float64)."""
        day = torch.div(at_ms, DAY_MS, rounding_mode="floor")
        place = (day - self.first_day).clamp(0, self.days - 1)
        share = self.law.day_share(torch, at_ms - (place + self.first_day) * DAY_MS).clamp(0, 1)
        over = torch.where(self._on_last(place), self.share_over, 0.0)
        share = ((share - over) / (1 - over)).clamp(min=0.0)
        hazard: Tensor = self._at(self.running, place) + self._at(self.of_day, place) * share
        return hazard

    def moment_of(self, hazard: Tensor, *, otherwise_ms: int) -> Tensor:
        """Return when the cumulative hazard is reached; ``otherwise_ms`` where it is not."""
        place = (self.running[:, 1:] <= hazard.unsqueeze(1)).sum(1)
        reached = place < self.days
        place = place.clamp(max=self.days - 1)
        inside = (hazard - self._at(self.running, place)) / self._at(self.of_day, place)
        over = torch.where(self._on_last(place), self.share_over, 0.0)
        share = (over + inside * (1 - over)).clamp(0, 1)
        of_day = self.law.share_ms(torch, share).clamp(max=DAY_MS - 1).floor().to(torch.int64)
        return torch.where(reached, (place + self.first_day) * DAY_MS + of_day, otherwise_ms)

    def draw(
        self, u: Tensor, from_ms: Tensor, window_ms: tuple[Tensor, Tensor], multiplier: Tensor,
        *, end_ms: int,
    ) -> Tensor:  # fmt: skip
        """Return when the next order comes (ms), ``end_ms`` where not before that.

        No order has come until ``from_ms``. Inside the window the hazard is multiplied. The order
        comes when the hazard since then has grown by -log u; what the multiplier adds inside the
        window is subtracted from that. The difference is exactly 0 where the multiplier is 1, so
        such a row equals its control.
        """
        opens, closes = (torch.maximum(edge, from_ms).clamp(max=end_ms) for edge in window_ms)
        used = self.hazard_until(from_ms)
        budget = -torch.log(u)
        at_opening = self.hazard_until(opens)
        inside = self.hazard_until(closes) - at_opening
        left = (budget - (at_opening - used)).clamp(min=0.0)  # on arrival at the window
        spent = left <= multiplier * inside
        saved = torch.where(spent, left * (1 - 1 / multiplier), inside * (multiplier - 1))
        due = self.moment_of(used + budget - saved, otherwise_ms=end_ms)
        return torch.maximum(due, from_ms).clamp(max=end_ms)

    def _on_last(self, place: Tensor) -> Tensor:
        return place + self.first_day == self.bought_on

    def _at(self, values: Tensor, place: Tensor) -> Tensor:
        return values.gather(1, place.unsqueeze(1)).squeeze(1)


def levels(
    drift: Drift, seed: int, replicates: int, first_day: int, days: int, device: torch.device
) -> Tensor:
    """Return what each replicate multiplies every customer's hazard by, day by day (R, D), mean 1.

    One level for the whole shop: its walk from week to week and the luck of each week. All arms of
    a replicate meet the same.
    """
    padded = days + -days % EIGHT
    day = torch.arange(first_day, first_day + padded, device=device)
    week = torch.div(day + 3, WEEK, rounding_mode="floor")  # weeks begin on Mondays
    week = week - week[0]
    weeks = torch.arange(int(week[-1]) + 1, device=device)
    replicate = torch.arange(replicates, device=device).unsqueeze(1)
    nobody = torch.zeros(1, dtype=torch.int64, device=device)

    def normal(purpose: int) -> Tensor:
        drawn: Tensor = torch.special.ndtri(uniforms(seed, nobody, replicate, weeks, purpose))
        return drawn

    walk = (drift.step * normal(LEVEL_STEP)).cumsum(1)
    log_level = walk + drift.week * normal(LEVEL_OF_WEEK)
    variance = drift.week**2 + drift.step**2 * (weeks + 1)
    level: Tensor = torch.exp(log_level - variance / 2)[:, week]
    return level
