"""How long and how fast a model is learned, and what an epoch tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ml.mixture.frame import MixtureConfig
from ml.twin import TwinConfig

TIMINGS = ("lines_per_second", "seconds", "remaining_seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a model is learned: Adam, clipped gradients, weight decay on vectors, early stopping.

    ``patience`` epochs without a better validation loss end the search; the weights of the best
    epoch then see the validation window for ``closing_epochs``. ``lanes`` customers are read at a
    time, in windows of ``window`` events; ``last_events`` leaves out what a customer did before so
    many events. ``head_weights`` follow ``losses.HEADS``. Countries with fewer than
    ``rare_country`` customers share ``other``. ``mixed`` None: half precision where there is CUDA.
    ``mixture`` None: the network alone foretells the next item.
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
    last_events: int | None = None
    item_dropout: float = 0.03
    head_weights: tuple[float, float, float] = (1.0, 1.0, 0.5)
    rare_country: int = 10
    buckets: int = 16
    validation_customers: int = 1_500
    bootstrap_draws: int = 300
    seed: int = 0
    device: str | None = None
    mixed: bool | None = None
    mixture: MixtureConfig | None = field(default_factory=MixtureConfig)


# By name, what each changes. The quick one is four times as bold as the thesis: ten epochs have to
# do. The thesis reads one customer at a time and nothing but the last hundred events of each.
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "quick": {},
    "patient": {"epochs": 60, "patience": 10, "learning_rate": 1e-3},
    "thesis": {
        "epochs": 100, "patience": 10, "learning_rate": 1e-3, "lanes": 1, "window": 100,
        "last_events": 100, "item_dropout": 0.0,
    },
}  # fmt: skip


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

    def figures(self) -> dict[str, Any]:
        """Return what a second training would find again: everything but the times."""
        return {name: value for name, value in asdict(self).items() if name not in TIMINGS}
