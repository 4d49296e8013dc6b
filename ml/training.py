"""How a model is learned: time-ordered split, early stopping, seeded, no look past the cut-off."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from ml.encoding import look_up
from ml.evaluation import evaluate
from ml.events import EventTable
from ml.fold import fold_states
from ml.lanes import lane_batches
from ml.losses import HEADS, HeadLosses, head_losses
from ml.reader import LaneReader
from ml.split import Material, Split, median_prices
from ml.twin import TwinConfig, TwinModel

ROWS_PER_BLOCK = 2_048


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How long and how fast a model is learned.

    ``patience`` epochs without a better validation loss end the search; the weights of the best
    epoch then see the validation window for ``closing_epochs``. ``head_weights`` follow
    ``losses.HEADS``. Countries with fewer than ``rare_country`` customers share ``other``.
    """

    model: TwinConfig = field(default_factory=TwinConfig)
    epochs: int = 10
    patience: int = 3
    closing_epochs: int = 1
    learning_rate: float = 4e-3
    decay: float = 0.95
    clip: float = 1.0
    l2: float = 1e-5
    lanes: int = 10
    window: int = 100
    item_dropout: float = 0.03
    head_weights: tuple[float, float, float, float] = (1.0, 1.0, 2.0, 0.5)
    rare_country: int = 10
    buckets: int = 16
    validation_customers: int = 1_500
    bootstrap_draws: int = 300
    seed: int = 0
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """One epoch is over; losses are nats, by head and as the weighted sum per row."""

    epoch: int
    epochs: int
    train_loss: float
    validation_loss: float
    train_heads: dict[str, float]
    validation_heads: dict[str, float]
    lines_per_second: float
    seconds: float
    remaining_seconds: float


@dataclass(frozen=True, slots=True)
class Trained:
    """A model and the report of its making."""

    model: TwinModel
    report: dict[str, Any]


def train(
    events: EventTable,
    countries: Sequence[str],
    config: TrainingConfig,
    *,
    cut_off_ms: int,
    validation_from_ms: int,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> Trained:
    """Learn a model from the events before ``cut_off_ms`` and measure it on the last of them.

    Row b of ``countries`` is customer b. The search sees events before ``validation_from_ms`` only;
    the report's figures are of the model that the search found. Equal arguments give an equal model
    on one machine with one number of threads.

    Raises:
        NothingToLearn: fewer than two purchases before the validation window.
        NoValidation: no purchase inside it.
    """
    began = time.perf_counter()
    data = Split.of(
        events,
        countries,
        cut_off_ms=cut_off_ms,
        validation_from_ms=validation_from_ms,
        rare_country=config.rare_country,
        buckets=config.buckets,
    )
    with _seeded(config.seed):
        run = _Run(data, config)
        history = run.search(on_epoch or (lambda report: None))
        measured = evaluate(
            run.model, data.whole, countries, known=data.known, cut_off_ms=cut_off_ms,
            validation_from_ms=validation_from_ms, draws=config.bootstrap_draws, seed=config.seed,
        )  # fmt: skip
        run.close()
    best = min(history, key=lambda epoch: epoch.validation_loss)
    report = {
        "config": asdict(config),
        "data": data.facts(),
        "epochs": [asdict(epoch) for epoch in history],
        "best_epoch": best.epoch,
        "validation": measured,
        "validated": "the weights of the best epoch, before the closing epochs",
        "seconds": time.perf_counter() - began,
    }
    return Trained(run.model.cpu().eval(), report)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from a seeded generator inside and leave the caller's one as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


class _Run:
    """One training: model, optimiser and the two tables."""

    def __init__(self, split: Split, config: TrainingConfig) -> None:
        self.split, self.config = split, config
        self.device = torch.device(config.device or "cpu")
        self.model = TwinModel(config.model, split.dictionaries)
        self.model.to(self.device)
        self._take_prices(split.early)
        self.country = torch.from_numpy(
            look_up(split.dictionaries.country_index(), split.countries)
        ).to(self.device)
        self.weights = torch.tensor(config.head_weights, device=self.device)
        self.rng = np.random.default_rng(config.seed)
        self.optimiser = _optimiser(self.model, config)

    def search(self, on_epoch: Callable[[EpochReport], None]) -> list[EpochReport]:
        """Learn until the validation loss stops falling; the model ends with the best weights."""
        split = self.split
        early = Material(split.early, split, known=split.known, cut_off_ms=split.validation_from_ms)
        validation = self._validation()
        history: list[EpochReport] = []
        best = copy.deepcopy(self.model.state_dict())
        for epoch in range(1, self.config.epochs + 1):
            history.append(self._epoch(epoch, early, validation))
            on_epoch(history[-1])
            leader = min(history, key=lambda report: report.validation_loss)
            if leader is history[-1]:
                best = copy.deepcopy(self.model.state_dict())
            if epoch - leader.epoch >= self.config.patience:
                break
        self.model.load_state_dict(best)
        return history

    def close(self) -> None:
        """Learn from everything before the cut-off, items first sold in the window included."""
        split = self.split
        self._take_prices(split.whole)
        whole = Material(
            split.whole,
            split,
            known=len(split.dictionaries.items),
            cut_off_ms=split.cut_off_ms,
        )
        for _ in range(self.config.closing_epochs):
            self._learn(whole)

    def _take_prices(self, events: EventTable) -> None:
        """Let the model know the median prices of these events."""
        prices = torch.from_numpy(median_prices(events, self.split.dictionaries))
        self.model.item_price.copy_(prices)

    def _validation(self) -> Material:
        """Return customers, buyers in the window or not, with all that they did before it."""
        split, whole = self.split, self.split.whole
        customers = np.unique(whole.customer)
        size = min(self.config.validation_customers, len(customers))
        chosen = np.random.default_rng(self.config.seed).choice(customers, size, replace=False)
        return Material(
            whole.rows(np.isin(whole.customer, chosen)), split, known=split.known,
            cut_off_ms=split.cut_off_ms, scored_from_ms=split.validation_from_ms,
        )  # fmt: skip

    def _epoch(self, epoch: int, early: Material, validation: Material) -> EpochReport:
        began = time.perf_counter()
        losses = self._learn(early)
        learned = time.perf_counter() - began
        measured = self._measure(validation)
        seconds = time.perf_counter() - began
        rows = int(validation.targets.has_same_order.sum())
        return EpochReport(
            epoch=epoch,
            epochs=self.config.epochs,
            train_loss=float(losses.weighted(self.weights, len(early.events))),
            validation_loss=float(measured.weighted(self.weights, max(rows, 1))),
            train_heads=losses.means(),
            validation_heads=measured.means(),
            lines_per_second=len(early.events) / learned,
            seconds=seconds,
            remaining_seconds=seconds * (self.config.epochs - epoch),
        )

    def _learn(self, material: Material) -> HeadLosses:
        """Take one pass over the material and return its losses, measured on the way."""
        config = self.config
        self.model.train()
        learner = LaneReader(
            self.model, material, self.country, lanes=config.lanes, item_dropout=config.item_dropout
        )
        sums = torch.zeros(len(HEADS), device=self.device)
        counts = torch.zeros(len(HEADS), device=self.device)
        for batch in lane_batches(
            material.starts, material.lengths, window=config.window, lanes=config.lanes,
            rng=self.rng,
        ):  # fmt: skip
            losses = learner.losses(batch)
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(losses.weighted(self.weights, int(batch.lengths.sum())))
            nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
            self.optimiser.step()
            sums, counts = sums + losses.sums.detach(), counts + losses.counts
        for group in self.optimiser.param_groups:
            group["lr"] *= config.decay
        return HeadLosses(sums, counts)

    def _measure(self, material: Material) -> HeadLosses:
        """Return the losses on the scored rows, each from the fold of its whole history."""
        start = self.model.initial_state(self.split.countries)
        h = fold_states(self.model, material.columns, material.events.customer, start.h, start.c)
        scored = material.targets.has_item | material.targets.has_time
        scored = (scored | material.targets.has_same_order)[: len(h)].nonzero().squeeze(-1)
        self.model.eval()
        sums = counts = torch.zeros(len(HEADS), device=self.device)
        with torch.inference_mode():
            for rows in torch.split(scored, ROWS_PER_BLOCK):
                targets = material.targets.rows(rows).to(self.device)
                part = head_losses(self.model, h[rows].to(self.device), targets, material.known)
                sums, counts = sums + part.sums, counts + part.counts
        return HeadLosses(sums, counts)


def _optimiser(model: TwinModel, config: TrainingConfig) -> torch.optim.Optimizer:
    tables = [t.weight for t in (model.item, model.target, model.kind, model.country)]
    inside = {id(table) for table in tables}
    others = [p for p in model.parameters() if id(p) not in inside]
    groups: list[dict[str, Any]] = [
        {"params": tables, "weight_decay": config.l2},
        {"params": others},
    ]
    return torch.optim.Adam(groups, lr=config.learning_rate)
