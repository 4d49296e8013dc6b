"""What may be chosen of a training, and the configuration that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from twins.errors import InvalidTrainingOption

if TYPE_CHECKING:
    from ml.training import TrainingConfig

VALIDATION_DAYS = 30
DEFAULT_PRESET = "quick"
# Options that mean a field of the configuration, and the least that each may be.
OF_TRAINING = {
    "epochs": 1, "patience": 1, "closing_epochs": 0, "learning_rate": 0.0, "decay": 0.0,
    "clip": 0.0, "l2": 0.0, "lanes": 1, "window": 1, "last_events": 1,
}  # fmt: skip
OF_MODEL = {"hidden": 4, "context": 1, "dropout": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What may be chosen; None leaves it to the ``preset``, one of ``ml.training.PRESETS``.

    ``cut_off`` None: just after the last purchase or return. ``validation_from`` None:
    ``validation_days`` before the cut-off. ``from_start``: a training of the same that was
    interrupted is not gone on with. The rest is that of ``ml.training.TrainingConfig`` and
    ``ml.twin.TwinConfig``.
    """

    preset: str = DEFAULT_PRESET
    core: str | None = None
    hidden: int | None = None
    context: int | None = None
    dropout: float | None = None
    epochs: int | None = None
    patience: int | None = None
    closing_epochs: int | None = None
    learning_rate: float | None = None
    decay: float | None = None
    clip: float | None = None
    l2: float | None = None
    lanes: int | None = None
    window: int | None = None
    last_events: int | None = None
    cut_off: datetime | None = None
    validation_from: datetime | None = None
    validation_days: int = VALIDATION_DAYS
    seed: int = 0
    device: str | None = None
    from_start: bool = False
    name: str = ""


def config_of(options: TrainingOptions, device: str) -> TrainingConfig:
    """The configuration that these options mean on a device.

    Raises:
        InvalidTrainingOption: there is no such preset or core, or a number is out of its range.
    """
    from ml.cores import CORES  # torch: only here, so that the web can import us
    from ml.training import PRESETS, TrainingConfig

    _known("preset", options.preset, tuple(PRESETS))
    if options.core is not None:
        _known("core", options.core, CORES)
    config = replace(TrainingConfig(seed=options.seed, device=device), **PRESETS[options.preset])
    model = {**_chosen(options, OF_MODEL), **({"core": options.core} if options.core else {})}
    changed = _chosen(options, OF_TRAINING)
    config = replace(config, model=replace(config.model, **model), **changed)
    if config.model.core == "transformer" and config.model.hidden % 4:
        raise InvalidTrainingOption(
            option="hidden", value=config.model.hidden, expected="a multiple of 4"
        )
    return config


def _chosen(options: TrainingOptions, least: dict[str, Any]) -> dict[str, Any]:
    chosen = {f.name: getattr(options, f.name) for f in fields(options) if f.name in least}
    found = {name: value for name, value in chosen.items() if value is not None}
    for name, value in found.items():
        if not value >= least[name]:  # so that a NaN is refused too
            raise InvalidTrainingOption(
                option=name, value=value, expected=f"at least {least[name]}"
            )
    return found


def _known(option: str, value: str, there: tuple[str, ...]) -> None:
    if value not in there:
        raise InvalidTrainingOption(
            option=option, value=value, expected=f"one of {', '.join(there)}"
        )
