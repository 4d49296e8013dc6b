"""How good a model is on a window it has not learned from, beside the baselines.

Every target is predicted from the fold of everything that the customer did before it, the window
included. Intervals are customer-bootstrap 95 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml import baselines
from ml.baselines import Histories
from ml.encoding import encode, running
from ml.events import EventTable, Floats
from ml.fold import fold_states
from ml.metrics import Bootstrap, Figure, ItemScores
from ml.next_basket import measured as measured_baskets
from ml.rhythm.days import DAY_MS, PurchaseDays
from ml.rhythm.likelihood import Waiting, overall_rate, without_factor
from ml.targets import Targets, targets_of

if TYPE_CHECKING:
    from ml.twin import TwinModel

ROWS_PER_BLOCK = 1_024
CENTRAL_80 = 1.2815515655446004  # standard normal quantile of .9

# Raised where a figure means something else than before: reports of two protocols do not compare.
PROTOCOL = 1

NOTES = (
    "next item: most of the skill lies in the order of the lines inside an order, which shops "
    "print in picking or catalogue order; read first_of_order for decisions that customers take",
    "model_told knows when the line comes and whether it opens an order, the others do not",
    "an item first sold inside the window counts as a miss and is left out of nll",
    "time: log-likelihood of the day on which each waiting time ended, or that it did not, given "
    "what had elapsed when the window began",
    "next basket: orders of customers with an earlier one; the day of the order is known; an item "
    "first sold inside the window stays in the basket and counts as a miss",
    "line total: mean absolute error of the logarithm, given the item",
)


def evaluate(
    model: TwinModel,
    events: EventTable,
    countries: Sequence[str],
    *,
    known: int,
    cut_off_ms: int,
    validation_from_ms: int,
    draws: int = 300,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the figures for [validation_from_ms, cut_off_ms); ``events`` end before the cut-off.

    ``known`` is how many items, from the first row on, were there to be learned.
    """
    measured = _Measured(model, events, countries, known, cut_off_ms, validation_from_ms)
    return {
        "protocol": PROTOCOL,
        "next_item": measured.next_item(draws, seed),
        "next_basket": measured.next_basket(draws, seed),
        "time_to_order": measured.time_to_order(draws, seed),
        "line_total": measured.line_total(draws, seed),
        "notes": list(NOTES),
    }


class _Measured:
    """The model's states after every row, and the targets inside the window."""

    def __init__(
        self,
        model: TwinModel,
        events: EventTable,
        countries: Sequence[str],
        known: int,
        cut_off_ms: int,
        validation_from_ms: int,
    ) -> None:
        self.model, self.events, self.known = model.eval(), events, known
        self.countries, self.cut_off_ms = countries, cut_off_ms
        self.validation_from_ms = validation_from_ms
        start = model.initial_state(countries)
        self.columns = encode(events, start, model.dictionaries)
        self.h = fold_states(model, self.columns, events.customer, start.h, start.c)
        self.targets = self._targets(len(countries), cut_off_ms, validation_from_ms)
        self.early = events.occurred_at_ms < validation_from_ms

    def _targets(self, customers: int, cut_off_ms: int, validation_from_ms: int) -> Targets:
        every = targets_of(
            self.events, self.columns, customers=customers, cut_off_ms=cut_off_ms,
            known=self.model.dictionaries.item_rows, scored_from_ms=validation_from_ms,
        )  # fmt: skip
        return every.rows(torch.arange(len(self.events)))

    def histories(self) -> Histories:
        """Return the targets that have an earlier purchase of the same customer."""
        buys = (self.events.kind == 1).astype(float)
        follows = np.append(buys[1:] > 0, False)
        scored = self.targets.has_item.numpy() & (running(self.events, buys) > 0)
        asked = np.flatnonzero(scored & follows)
        return Histories(self.events, self.columns, self.early, asked, self.known)

    def next_item(self, draws: int, seed: int) -> dict[str, Any]:
        """Return ranking figures of the next line, overall and at the first line of an order."""
        past = self.histories()
        told, untold = self._score_items(past)
        methods = {"model": untold, "model_told": told}
        if self.model.next_item is not None:
            found = self.model.next_item.score(
                self.events, self.countries, from_ms=self.validation_from_ms
            )
            place = np.searchsorted(found.row, past.asked + 1)
            mixed = [ItemScores(s.rank[place], s.nll[place]) for s in (found.untold, found.told)]
            methods = {"model": mixed[0], "model_told": mixed[1], "network": untold}
        methods |= {
            "popularity": baselines.score_popularity(past),
            "own_and_popularity": baselines.score_own(past),
            "markov_and_popularity": baselines.score_markov(past),
        }
        bootstrap = Bootstrap(self.events.customer[past.asked], draws=draws, seed=seed)
        first = self.targets.same_order.numpy()[past.asked] == 0
        return {
            "targets": len(past.asked),
            "all_lines": {m: bootstrap.figures(s.values()) for m, s in methods.items()},
            "first_of_order": {m: bootstrap.figures(s.values(), first) for m, s in methods.items()},
        }

    def next_basket(self, draws: int, seed: int) -> dict[str, Any]:
        """Return ranking figures of whole orders; empty where the model does not rank them."""
        model = self.model
        if model.next_item is None or model.next_basket is None:
            return {}
        return measured_baskets(
            model.next_basket, model.next_item, self.events, self.countries,
            from_ms=self.validation_from_ms, draws=draws, seed=seed,
        )  # fmt: skip

    def time_to_order(self, draws: int, seed: int) -> dict[str, Figure]:
        """Return log-likelihoods of each waiting time inside the window, in whole days."""
        first, until = self.validation_from_ms // DAY_MS, -(-self.cut_off_ms // DAY_MS)
        days, law = PurchaseDays.of_events(self.events), self.model.rhythm.law
        waiting = Waiting.inside(days, first, until)
        methods = {
            "model": waiting.log_likelihood(law),
            "own_rates": waiting.log_likelihood(without_factor(law)),
            "one_rate": waiting.log_likelihood_of_rate(overall_rate(days, first)),
        }
        bootstrap = Bootstrap(waiting.customer, draws=draws, seed=seed)
        return bootstrap.figures(methods)

    def line_total(self, draws: int, seed: int) -> dict[str, Figure]:
        """Return absolute errors of the log total, and how often the 80 % interval held."""
        past = self.histories()
        rows = past.asked[self.targets.has_total.numpy()[past.asked]]
        truth = self.targets.log_total.numpy()[rows].astype(np.float64)
        mu, sigma = self._totals(rows)
        own, item = self._total_baselines(rows)
        bootstrap = Bootstrap(self.events.customer[rows], draws=draws, seed=seed)
        errors = {"model": mu, "own_mean": own, "item_mean": item}
        figures = bootstrap.figures({m: np.abs(truth - v) for m, v in errors.items()})
        held = (np.abs(truth - mu) <= CENTRAL_80 * sigma).astype(np.float64)
        return {**figures, "model_80_percent_interval_held": bootstrap.figure(held)}

    def _score_items(self, past: Histories) -> tuple[ItemScores, ItemScores]:
        told, untold = _empty(len(past.asked)), _empty(len(past.asked))
        wanted = torch.from_numpy(np.where(past.wanted < past.known, past.wanted, 0))
        same = self.targets.same_order
        with torch.inference_mode():
            for block in torch.split(torch.arange(len(past.asked)), ROWS_PER_BLOCK):
                asked = torch.from_numpy(past.asked)[block]
                h = self.h[asked].to(self.model.device)
                for scores, kind in ((told, same[asked].to(h.device)), (untold, None)):
                    logits = self.model.item_logits(h, kind, self.known).cpu()
                    _score_block(scores, block, logits, wanted[block])
        unknown = past.wanted >= past.known
        for scores in (told, untold):
            scores.rank[unknown], scores.nll[unknown] = baselines.MISS, np.nan
        return told, untold

    def _totals(self, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            item = torch.from_numpy(self.columns.item[rows + 1]).to(self.model.device)
            h = self.h[torch.from_numpy(rows)].to(self.model.device)
            mu, sigma = self.model.line_total(h, item)
        return mu.cpu().double().numpy(), sigma.cpu().double().numpy()

    def _total_baselines(self, rows: NDArray[np.int64]) -> tuple[Floats, Floats]:
        paid = (self.events.kind == 1) & (self.columns.total > 0)
        logs = np.where(paid, np.log(np.where(paid, self.columns.total, 1.0)), 0.0)
        early = paid & self.early
        overall = float(logs[early].mean()) if early.any() else 0.0
        count = running(self.events, paid.astype(float))
        sums = running(self.events, logs)
        own = np.where(count > 0, sums / np.maximum(count, 1), overall)
        size = self.model.dictionaries.item_rows
        by_item = np.bincount(self.columns.item[early], logs[early], size)
        lines = np.bincount(self.columns.item[early], minlength=size)
        item = np.where(lines > 0, by_item / np.maximum(lines, 1), overall)
        return own[rows], item[self.columns.item[rows + 1]]


def _empty(targets: int) -> ItemScores:
    return ItemScores(np.full(targets, baselines.MISS), np.full(targets, np.nan))


def _score_block(scores: ItemScores, block: Tensor, logits: Tensor, wanted: Tensor) -> None:
    target = logits.gather(1, wanted.unsqueeze(1))
    scores.rank[block.numpy()] = (logits >= target).sum(dim=1).numpy()
    nll = torch.logsumexp(logits, dim=1) - target.squeeze(1)
    scores.nll[block.numpy()] = nll.double().numpy()
