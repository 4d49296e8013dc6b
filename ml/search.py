"""The search for the weights: epoch after epoch until the validation loss stops falling."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ml.checkpoint import Checkpoint, Progress, copied, random_states, restore_random
from ml.encoding import look_up
from ml.events import EventTable, Integers
from ml.fold import fold_states
from ml.lanes import lane_batches
from ml.losses import HEADS, HeadLosses, head_losses
from ml.reader import LaneReader
from ml.split import Material, Split, median_prices
from ml.training_config import EpochReport, TrainingConfig
from ml.twin import TwinModel

ROWS_PER_BLOCK = 2_048


class Search:
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
        self.optimiser = optimiser_of(self.model, config)

    def search(
        self, on_epoch: Callable[[EpochReport], None], checkpoint: Checkpoint | None
    ) -> list[EpochReport]:
        """Learn until the validation loss stops falling; the model ends with the best weights."""
        split = self.split
        early = Material(split.early, split, known=split.known, cut_off_ms=split.validation_from_ms)
        validation = self._validation()
        history, best = self._resumed(checkpoint)
        while not _is_over(history, self.config):
            history.append(self._epoch(len(history) + 1, early, validation))
            if leader(history) is history[-1]:
                best = copied(self.model)
            if checkpoint is not None:
                checkpoint.write(self._progress(history, best))
            on_epoch(history[-1])
        self.model.load_state_dict(best)
        return history

    def _resumed(
        self, checkpoint: Checkpoint | None
    ) -> tuple[list[EpochReport], Mapping[str, Tensor]]:
        """Return the epochs that are over and the best weights so far, everything else restored."""
        progress = checkpoint.read() if checkpoint is not None else None
        if progress is None:
            return [], copied(self.model)
        self.model.load_state_dict(progress.model)
        self.optimiser.load_state_dict(dict(progress.optimiser))
        restore_random(progress.random, self.rng, self.device)
        return [EpochReport(**epoch) for epoch in progress.history], progress.best

    def _progress(self, history: list[EpochReport], best: Mapping[str, Tensor]) -> Progress:
        return Progress(
            model=copied(self.model),
            best=best,
            optimiser=self.optimiser.state_dict(),
            random=random_states(self.rng, self.device),
            history=[asdict(epoch) for epoch in history],
        )

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
        lines = int(_last(early, self.config.last_events)[1].sum())
        rows = int(validation.targets.has_same_order.sum())
        return EpochReport(
            epoch=epoch,
            epochs=self.config.epochs,
            train_loss=float(losses.weighted(self.weights, lines)),
            validation_loss=float(measured.weighted(self.weights, max(rows, 1))),
            train_heads=losses.means(),
            validation_heads=measured.means(),
            lines_per_second=lines / learned,
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
        starts, lengths = _last(material, config.last_events)
        sums = torch.zeros(len(HEADS), device=self.device)
        counts = torch.zeros(len(HEADS), device=self.device)
        for batch in lane_batches(
            starts, lengths, window=config.window, lanes=config.lanes, rng=self.rng
        ):
            with self._precision():
                losses = learner.losses(batch)
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(losses.weighted(self.weights, int(batch.lengths.sum())))
            nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
            self.optimiser.step()
            sums, counts = sums + losses.sums.detach(), counts + losses.counts
        for group in self.optimiser.param_groups:
            group["lr"] *= config.decay
        return HeadLosses(sums, counts)

    def _precision(self) -> torch.autocast:
        """Products in half precision where it is mixed; weights, states and losses stay single."""
        mixed, device = self.config.mixed, self.device.type
        if mixed is None:
            mixed = device == "cuda" and torch.cuda.is_bf16_supported()
        return torch.autocast(device, dtype=torch.bfloat16, enabled=mixed)

    def _measure(self, material: Material) -> HeadLosses:
        """Return the losses on the scored rows, each from the fold of its whole history."""
        start = self.model.initial_state(self.split.countries)
        h = fold_states(self.model, material.columns, material.events.customer, start.h, start.c)
        scored = material.targets.has_item
        scored = (scored | material.targets.has_same_order)[: len(h)].nonzero().squeeze(-1)
        self.model.eval()
        sums = counts = torch.zeros(len(HEADS), device=self.device)
        with torch.inference_mode():
            for rows in torch.split(scored, ROWS_PER_BLOCK):
                targets = material.targets.rows(rows).to(self.device)
                part = head_losses(self.model, h[rows].to(self.device), targets, material.known)
                sums, counts = sums + part.sums, counts + part.counts
        return HeadLosses(sums, counts)


def leader(history: Sequence[EpochReport]) -> EpochReport:
    """Return the epoch of the lowest validation loss, the first of equal ones."""
    return min(history, key=lambda report: report.validation_loss)


def _is_over(history: Sequence[EpochReport], config: TrainingConfig) -> bool:
    if not history:
        return config.epochs < 1
    waited = history[-1].epoch - leader(history).epoch
    return len(history) >= config.epochs or waited >= config.patience


def _last(material: Material, events: int | None) -> tuple[Integers, Integers]:
    """Return where the histories to be read begin, and how long they are."""
    if events is None:
        return material.starts, material.lengths
    left_out = np.maximum(material.lengths - events, 0)
    return material.starts + left_out, material.lengths - left_out


def optimiser_of(model: TwinModel, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return Adam, with weight decay on the vectors of items, kinds and countries only."""
    tables = [t.weight for t in (model.item, model.target, model.kind, model.country)]
    inside = {id(table) for table in tables}
    others = [p for p in model.parameters() if id(p) not in inside]
    groups: list[dict[str, Any]] = [
        {"params": tables, "weight_decay": config.l2},
        {"params": others},
    ]
    return torch.optim.Adam(groups, lr=config.learning_rate)
