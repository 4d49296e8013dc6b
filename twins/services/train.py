"""Training: a new immutable model version from the events before a cut-off."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from django.conf import settings
from django.db import transaction

from common.ids import code_version
from customers.selectors import countries_of
from events.selectors import Columns, all_events_columns
from ml.errors import NothingToLearn, NoValidation
from ml.events import EventKind, EventTable
from twins.checkpoints import held_checkpoint, training_key
from twins.encoding import FOLDED_TYPES, columns_sha256, training_table
from twins.errors import InvalidTrainingWindow, TooLittleHistory
from twins.heads import EPOCH, moment_of
from twins.models import ModelVersion
from twins.training_options import TrainingOptions, config_of

if TYPE_CHECKING:
    from ml.checkpoint import Checkpoint
    from ml.training import EpochReport, Trained, TrainingConfig

LEAST_CUSTOMERS = 2
LEAST_PURCHASES = 2
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class _Material:
    """What is learned from, and where it ends."""

    columns: Columns
    sha256: str  # of the columns
    events: EventTable
    countries: list[str]
    cut_off: datetime
    validation_from: datetime


def train_model(
    options: TrainingOptions,
    *,
    at: datetime,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_resume: Callable[[int], None] = lambda epochs: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> ModelVersion:
    """A trained model version is stored, files first; it is not active.

    Learns from all purchases, returns and registrations before the cut-off that are neither
    technical nor outliers. Takes minutes; holds no transaction meanwhile. Killed and called again,
    it goes on from the last epoch, which ``on_resume`` is told, and ends in the same files. Where
    there is a version of these files already, that one is returned. ``on_stage`` is told what comes
    after the epochs.

    Raises:
        InvalidTrainingOption: there is no such preset or core, or a number is out of its range.
        InvalidTrainingWindow: the validation window is empty.
        TooLittleHistory: there are too few customers or purchases.
        TrainingInProgress: another process on this machine is at the same training.
    """
    from twins.artefacts import device_of

    config = config_of(options, device_of(options.device or settings.DTOC_DEVICE))
    material = _material(options)
    with held_checkpoint(_key(material, config), from_start=options.from_start) as checkpoint:
        if epochs := checkpoint.epochs():
            on_resume(epochs)
        trained = _trained(material, config, on_epoch, on_stage, checkpoint)
        return _stored(material, trained, options, at)


def _material(options: TrainingOptions) -> _Material:
    columns = all_events_columns(options.cut_off, FOLDED_TYPES)
    events = training_table(columns)
    cut_off = options.cut_off or _after_the_last(events)
    window = timedelta(days=options.validation_days)
    validation_from = options.validation_from or cut_off - window
    if validation_from >= cut_off:
        raise InvalidTrainingWindow(validation_from=validation_from, cut_off=cut_off)
    pseudonyms = columns["pseudonyms"].tolist()
    known = countries_of(pseudonyms)
    countries = [known.get(pseudonym, "") for pseudonym in pseudonyms]
    sha256 = columns_sha256(columns)
    material = _Material(columns, sha256, events, countries, cut_off, validation_from)
    if len(pseudonyms) < LEAST_CUSTOMERS:
        raise _too_little(material)
    return material


def _after_the_last(events: EventTable) -> datetime:
    """Registrations do not count: those of an import are dated years after what they import."""
    traded = events.occurred_at_ms[events.kind != EventKind.REGISTERED]
    return (moment_of(int(traded.max())) or EPOCH) + MILLISECOND if len(traded) else EPOCH


def _key(material: _Material, config: TrainingConfig) -> str:
    facts = {
        "events": material.sha256,
        "countries": material.countries,
        "config": asdict(config),
        "cut_off": material.cut_off,
        "validation_from": material.validation_from,
        "code": code_version(),
        "libraries": libraries(),
    }
    return training_key(facts)


def _trained(
    material: _Material,
    config: TrainingConfig,
    on_epoch: Callable[[EpochReport], None] | None,
    on_stage: Callable[[str], None],
    checkpoint: Checkpoint,
) -> Trained:
    from ml.training import train  # torch: only here, so that the web can import us

    try:
        return train(
            material.events,
            material.countries,
            config,
            cut_off_ms=milliseconds(material.cut_off),
            validation_from_ms=milliseconds(material.validation_from),
            on_epoch=on_epoch,
            on_stage=on_stage,
            checkpoint=checkpoint,
        )
    except (NothingToLearn, NoValidation) as error:
        raise _too_little(material) from error


def _stored(
    material: _Material, trained: Trained, options: TrainingOptions, at: datetime
) -> ModelVersion:
    from twins.artefacts import store_model

    sha256 = store_model(trained.model, trained.report)
    with transaction.atomic():
        version, _ = ModelVersion.objects.get_or_create(
            sha256=sha256,
            defaults={
                "name": options.name or f"twin-{material.cut_off:%Y%m%d}-{sha256[:8]}",
                "prefix": sha256,
                "config": trained.report["config"],
                "report": trained.report,
                "cut_off": material.cut_off,
                "validation_from": material.validation_from,
                "events_count": len(material.columns["customer"]),
                "events_sha256": material.sha256,
                "seed": options.seed,
                "code_version": code_version(),
                "libraries": libraries(),
                "created_at": at,
            },
        )
    return version


def libraries() -> dict[str, str]:
    """The versions of what shapes the numbers."""
    from ml import artefacts

    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        **{name: str(version) for name, version in artefacts.versions().items()},
    }


def milliseconds(moment: datetime) -> int:
    """The moment as integer milliseconds since 1970."""
    return (moment - EPOCH) // MILLISECOND


def _too_little(material: _Material) -> TooLittleHistory:
    bought = material.events.occurred_at_ms[material.events.kind == EventKind.PURCHASED]
    return TooLittleHistory(
        cut_off=material.cut_off,
        validation_from=material.validation_from,
        customers=len(material.countries),
        purchases=len(bought),
        before_validation=int((bought < milliseconds(material.validation_from)).sum()),
        least_customers=LEAST_CUSTOMERS,
        least_purchases=LEAST_PURCHASES,
    )
