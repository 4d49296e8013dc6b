"""Training epochs, against a plain loop of the same network over the same batches."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.ground import shop_file
from benchmarks.result import Result, Round, from_rounds

if TYPE_CHECKING:
    from ml.split import Material, Split
    from ml.training import TrainingConfig
    from ml.twin import TwinModel

CUSTOMERS = 400
DAY_MS = 86_400_000
VALIDATION_DAYS = 30


def run(folder: Path, rounds: int) -> list[Result]:
    """Lines per second of an epoch's learning pass for each core; seconds are with validation."""
    from ml.cores import CORES
    from ml.training import TrainingConfig

    shop = _Shop.of(folder)
    config = TrainingConfig(epochs=1, closing_epochs=0, mixture=None, device="cpu")
    results = []
    for core in sorted(CORES):
        found = _measured(shop, replace(config, model=replace(config.model, core=core)), rounds)
        results.append(found)
    return results


@dataclass(frozen=True, slots=True)
class _Shop:
    """A year of a synthetic shop as a table, with its split."""

    split: "Split"
    material: "Material"

    @staticmethod
    def of(folder: Path) -> "_Shop":
        from ml.split import Material, Split
        from twins.protocol_lines import read_lines

        lines = read_lines(shop_file(folder, CUSTOMERS), "synthetic_shop")
        end = int(lines.at_ms.max()) + 1
        begin = end - VALIDATION_DAYS * DAY_MS
        split = Split.of(
            lines.events(), lines.customer_countries(), cut_off_ms=end, validation_from_ms=begin,
            rare_country=10, buckets=16,
        )  # fmt: skip
        return _Shop(split, Material(split.early, split, known=split.known, cut_off_ms=begin))


def _measured(shop: _Shop, config: "TrainingConfig", rounds: int) -> Result:
    """The search of a training with one epoch, and the bare loop, in turn."""
    bare, seconds, found = _bare(shop, config), [], []
    for _ in range(rounds):
        speed, took = _searched(shop, config)
        seconds.append(took)
        found.append(Round(speed, bare()))
    result = from_rounds(
        name=f"train {config.model.core}",
        unit="lines/s",
        limit_is="the same batches through a plain loop of the same network",
        rounds=found,
    )
    return replace(result, facts={"seconds per epoch": sorted(seconds)[rounds // 2]})


def _searched(shop: _Shop, config: "TrainingConfig") -> tuple[float, float]:
    from ml.training import EpochReport, train

    told: list[EpochReport] = []

    class Enough(Exception):
        """Ends the training before it is evaluated."""

    def tell(epoch: EpochReport) -> None:
        told.append(epoch)
        raise Enough

    split = shop.split
    with suppress(Enough):
        train(
            split.whole, split.countries, config, cut_off_ms=split.cut_off_ms,
            validation_from_ms=split.validation_from_ms, on_epoch=tell,
        )  # fmt: skip
    return told[0].lines_per_second, told[0].seconds


def _bare(shop: _Shop, config: "TrainingConfig") -> Callable[[], float]:
    """Forward, loss, backward, clip and step over batches that lie ready in memory.

    States begin at zero in every window; no targets are gathered, no items disguised, no sums kept.
    """
    import numpy as np
    import torch

    from ml.fold import as_tensors, pack
    from ml.lanes import lane_batches
    from ml.losses import head_losses
    from ml.search import optimiser_of
    from ml.twin import TwinModel

    material, ready = shop.material, []
    columns = as_tensors(material.columns, torch.device("cpu"))
    rng = np.random.default_rng(config.seed)
    for batch in lane_batches(
        material.starts, material.lengths, window=config.window, lanes=config.lanes, rng=rng
    ):
        packing = pack(batch.starts, batch.lengths)
        rows = torch.from_numpy(packing.rows)
        step = {name: column[rows] for name, column in columns.items()}
        ready.append((step, packing.steps, material.targets.rows(rows)))

    def loop() -> float:
        torch.manual_seed(config.seed)
        model: TwinModel = TwinModel(config.model, shop.split.dictionaries).train()
        optimiser = optimiser_of(model, config)
        weights = torch.tensor(config.head_weights)
        begun = time.perf_counter()
        for step, steps, targets in ready:
            states = _states(model, step, steps)
            losses = head_losses(model, states, targets, material.known)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(losses.weighted(weights, len(states)))
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            optimiser.step()
        return len(material.events) / (time.perf_counter() - begun)

    return loop


def _states(model: "TwinModel", step: dict[str, Any], steps: Any) -> Any:
    import torch

    customers = int(steps[0])
    h = torch.zeros(customers, model.config.hidden)
    c = torch.zeros(customers, model.core.carried)
    states, _, _ = model.core.run(model.encode_step(**step), steps, h, c)
    return states
