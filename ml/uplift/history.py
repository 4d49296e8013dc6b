"""From a panel to what the parts of the model learn from.

Shapes: N customers, T steps of the panel, the first L of them to learn from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ml.events import Floats
from ml.uplift import amounts
from ml.uplift.amounts import AmountModel, Purchases, purchases_of
from ml.uplift.fitting import DTYPE, Task
from ml.uplift.panel import Panel
from ml.uplift.purchases import (
    RECENT_STEPS,
    PurchaseModel,
    Records,
    Working,
    record,
    weeks_of,
    working,
)  # fmt: skip
from ml.uplift.views import ViewModel, ViewRows, view_rows


@dataclass(frozen=True, slots=True)
class Standing:
    """Where customers stand when the wave comes, all (N,).

    Purchases that they made and that were expected of them, ``idle`` while no offer worked and
    ``moved`` while one did; those of each of the last steps (N, RECENT_STEPS); what they paid,
    as a record; and what a purchase holds on average beyond the common amounts.
    """

    idle: tuple[Tensor, Tensor]
    moved: tuple[Tensor, Tensor]
    latest: Tensor
    paid: Tensor
    excess: float


@dataclass(frozen=True, slots=True)
class History:
    """A panel in which each cell knows whether an offer worked; the parts of the model."""

    panel: Panel
    views: ViewModel
    buys: PurchaseModel
    pays: AmountModel
    learned: int  # L
    at: Working
    moved: Floats  # (N, T)
    looks: ViewRows
    sold: Purchases

    @staticmethod
    def of(
        panel: Panel, views: ViewModel, buys: PurchaseModel, pays: AmountModel, until: int
    ) -> History:
        """Return the history of which the steps before ``until`` may be learned from."""
        learned = until - panel.first
        at = working(panel)
        moved = np.zeros(panel.bought.shape)
        moved.reshape(-1)[at.cell.numpy()] = 1
        return History(
            panel, views, buys, pays, learned, at, moved,
            looks=view_rows(panel.holdings, until),
            sold=purchases_of(panel.bought[:, :learned], panel.spend, moved),
        )  # fmt: skip

    @property
    def together(self) -> int:
        """How many cells with two or more offers at work may be learned from."""
        at = self.at.before(self.learned, self.moved.shape[1])
        return int(((at.offer >= 0).sum(dim=1) > 1).sum())

    def pays_start(self) -> Tensor:
        """Return parameters of the amounts from which the search may begin."""
        start = self.pays.prior.mean.clone()
        if len(self.sold.amount):
            start[0] = torch.log(self.sold.amount.mean())
        return start

    def tasks(self, experience: Experience) -> tuple[Task, Task, Task]:
        """Return what is to be fitted: views, purchases, amounts."""
        return self._view_task(), self._purchase_task(experience), self._amount_task(experience)

    def _view_task(self) -> Task:
        def loss(parameters: Tensor, weights: Tensor) -> Tensor:
            told = self.views.log_likelihood(parameters, self.looks)
            return -(weights[self.looks.customer] * told).sum()

        return Task(loss, self.views.prior, len(self.moved))

    def _purchase_task(self, experience: Experience) -> Task:
        bought = torch.from_numpy(self.panel.bought[:, : self.learned].copy())
        weeks = weeks_of(self.panel.steps[: self.learned])
        records = experience.records.columns(self.learned)
        at = self.at.before(self.learned, self.moved.shape[1])

        def loss(parameters: Tensor, weights: Tensor) -> Tensor:
            told = self.buys.log_likelihood(parameters, bought, weeks, records, at)
            return -(weights[:, None] * told).sum()

        return Task(loss, self.buys.prior, len(self.moved))

    def _amount_task(self, experience: Experience) -> Task:
        paid = experience.paid[self.sold.customer, self.sold.step]

        def loss(parameters: Tensor, weights: Tensor) -> Tensor:
            told = self.pays.log_likelihood(parameters, self.sold, paid)
            return -(weights[self.sold.customer] * told).sum()

        return Task(loss, self.pays.prior, len(self.moved))


@dataclass(frozen=True, slots=True)
class Experience:
    """What customers had done before each step, and after the last: (N, T + 1).

    ``sums`` are purchases and expected purchases, idle and moved.
    """

    records: Records
    paid: Tensor
    sums: tuple[Floats, ...]

    @staticmethod
    def blank(history: History) -> Experience:
        """Return what is known of customers who have done nothing yet."""
        people, steps = history.moved.shape
        nothing = torch.zeros((people, steps + 1), dtype=DTYPE)
        return Experience(Records(nothing, nothing, nothing), nothing, ())

    @staticmethod
    def of(history: History, buys: Tensor, pays: Tensor) -> Experience:
        """Return what customers did beside what parameters without records made expect."""
        panel, blank = history.panel, Experience.blank(history)
        with torch.no_grad():
            never = history.buys.log_likelihood(
                buys, torch.zeros(history.moved.shape, dtype=DTYPE), weeks_of(panel.steps),
                blank.records.columns(history.moved.shape[1]), history.at,
            )  # fmt: skip
            worth = history.pays.means(pays, blank.paid[:, 0], 0.0)[0].numpy()[:, None]
        chance = -np.expm1(never.numpy())
        parts = (1 - history.moved, history.moved)
        sums = tuple(so_far(of * part) for part in parts for of in (panel.bought, chance))
        told = [torch.from_numpy(total) for total in (*sums, recent(panel.bought))]
        records = Records(record(*told[:2]), record(*told[2:4]), told[4])
        common = np.minimum(panel.spend, history.sold.most)
        paid = amounts.record(so_far(common), so_far(panel.bought) * worth, worth)
        return Experience(records, torch.from_numpy(paid), sums)

    def standing(self, history: History) -> Standing:
        """Return where customers stand after the last step."""
        last = [torch.from_numpy(total[:, -1].copy()) for total in self.sums]
        latest = np.zeros((len(history.moved), RECENT_STEPS))
        known = history.panel.bought[:, -RECENT_STEPS:]
        latest[:, RECENT_STEPS - known.shape[1] :] = known
        return Standing(
            (last[0], last[1]), (last[2], last[3]), torch.from_numpy(latest),
            self.paid[:, -1], history.sold.excess,
        )  # fmt: skip


def so_far(values: Floats) -> Floats:
    """Return the sums before each column, and after the last (N, T + 1)."""
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)


def recent(bought: Floats) -> Floats:
    """Return the purchases of the day before each column, and after the last (N, T + 1)."""
    sums = so_far(bought)
    late = sums.copy()
    late[:, RECENT_STEPS:] -= sums[:, :-RECENT_STEPS]
    return late
