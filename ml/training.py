"""How a model is learned: time-ordered split, early stopping, seeded, no look past the cut-off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ml.basket.model import BasketConfig
from ml.checkpoint import Checkpoint
from ml.errors import NothingToLearn, NoValidation
from ml.evaluation import evaluate
from ml.events import EventTable
from ml.mixture.model import Mixture
from ml.next_basket import fit_beside
from ml.next_item import fit_around, gate_days, moved_on
from ml.rhythm.model import Rhythm
from ml.search import Search, leader
from ml.split import Split
from ml.timing import DAY_MS
from ml.training_config import PRESETS, EpochReport, TrainingConfig
from ml.twin import TwinModel

__all__ = ["PRESETS", "EpochReport", "Trained", "TrainingConfig", "train"]


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
    on_stage: Callable[[str], None] = lambda stage: None,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Learn a model from the events before ``cut_off_ms`` and measure it on the last of them.

    Row b of ``countries`` is customer b. The search sees events before ``validation_from_ms`` only;
    the report's figures are of the model that the search found. Equal arguments give an equal model
    and report on one machine with one number of threads, also where the training was killed and
    goes on from its ``checkpoint``, which is written after each epoch, before it is told of. The
    checkpoint has to be that of these arguments; forgetting it is the caller's, once the model is
    stored.

    Raises:
        NothingToLearn: fewer than two purchases before the validation window.
        NoValidation: no purchase inside it.
    """
    data = Split.of(
        events,
        countries,
        cut_off_ms=cut_off_ms,
        validation_from_ms=validation_from_ms,
        rare_country=config.rare_country,
        buckets=config.buckets,
    )
    with _seeded(config.seed):
        run = Search(data, config)
        history = run.search(on_epoch or (lambda report: None), checkpoint)
        _fit_heads(run, on_stage, checkpoint)
        on_stage("measuring on the validation window")
        measured = evaluate(
            run.model, data.whole, countries, known=data.known, cut_off_ms=cut_off_ms,
            validation_from_ms=validation_from_ms, draws=config.bootstrap_draws, seed=config.seed,
        )  # fmt: skip
        run.close()
    mixture = run.model.next_item
    run.model.rhythm = Rhythm.fit(data.whole, cut_off_ms=cut_off_ms, seed=config.seed)
    if mixture is not None:
        run.model.adopt(moved_on(mixture, run.model, data.whole, cut_off_ms))
    report = {
        "config": asdict(config),
        "data": data.facts(),
        "epochs": [epoch.figures() for epoch in history],
        "best_epoch": leader(history).epoch,
        "next_item": list(mixture.names) if mixture else ["network"],
        "validation": measured,
        "validated": "the weights of the best epoch, before the closing epochs",
    }
    return Trained(run.model.cpu().eval(), report)


def _fit_heads(run: Search, on_stage: Callable[[str], None], checkpoint: Checkpoint | None) -> None:
    """Fit what stands around the network, on what was known before the validation window."""
    split, seed, model = run.split, run.config.seed, run.model
    until_ms = split.validation_from_ms
    mixture = _mixture(run, on_stage, checkpoint)
    if mixture is not None:
        model.adopt(mixture)
        on_stage("the next basket")
        model.next_basket = fit_beside(
            mixture, split.early, split.countries, until_ms=until_ms,
            config=BasketConfig(seed=seed),
        )  # fmt: skip
    on_stage("the rhythm of orders")
    model.rhythm = Rhythm.fit(split.early, cut_off_ms=until_ms, seed=seed)


def _mixture(
    run: Search, on_stage: Callable[[str], None], checkpoint: Checkpoint | None
) -> Mixture | None:
    """Fit the mixture on what was known before the validation window."""
    split, config = run.split, run.config.mixture
    if config is None:
        return None
    until_ms = split.validation_from_ms
    window_from_ms = until_ms - gate_days(split.early, config, until_ms) * DAY_MS
    on_stage("a network that has not seen the gate's window")
    before = _network_before(run, window_from_ms, checkpoint)
    on_stage("the gate of the next item")
    return fit_around(run.model, before, split.early, split.countries, config, until_ms=until_ms)


def _network_before(
    run: Search, cut_off_ms: int, checkpoint: Checkpoint | None
) -> TwinModel | None:
    """Learn a network as long as the run did, from what came before a moment; None from nothing."""
    split, config = run.split, run.config
    window = split.cut_off_ms - split.validation_from_ms
    try:
        data = Split.of(
            split.early, split.countries, cut_off_ms=cut_off_ms,
            validation_from_ms=cut_off_ms - window, rare_country=config.rare_country,
            buckets=config.buckets,
        )  # fmt: skip
    except (NothingToLearn, NoValidation):
        return None
    with _seeded(config.seed):
        other = Search(data, config)
        other.search(lambda report: None, checkpoint.part("gate") if checkpoint else None)
        other.close()
    return other.model.eval()


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from a seeded generator inside and leave the caller's one as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
