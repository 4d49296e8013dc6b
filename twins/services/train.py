"""Training: a new immutable model version from the events before a cut-off."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from django.conf import settings
from django.db import transaction

from common.ids import code_version
from customers.selectors import countries_of
from events.selectors import Columns, all_events_columns
from ml.errors import NothingToLearn, NoValidation
from ml.events import EventKind, EventTable
from twins.encoding import FOLDED_TYPES, columns_sha256, training_table
from twins.errors import InvalidTrainingWindow, TooLittleHistory
from twins.heads import EPOCH, moment_of
from twins.models import ModelVersion

if TYPE_CHECKING:
    from ml.training import EpochReport, Trained

VALIDATION_DAYS = 30
LEAST_CUSTOMERS = 2
LEAST_PURCHASES = 2
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What may be chosen. ``cut_off`` None: just after the last purchase or return.

    ``validation_from`` None: ``validation_days`` before the cut-off.
    """

    epochs: int | None = None
    cut_off: datetime | None = None
    validation_from: datetime | None = None
    validation_days: int = VALIDATION_DAYS
    seed: int = 0
    device: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class _Material:
    """What is learned from, and where it ends."""

    columns: Columns
    events: EventTable
    countries: list[str]
    cut_off: datetime
    validation_from: datetime


def train_model(
    options: TrainingOptions,
    *,
    at: datetime,
    on_epoch: Callable[[EpochReport], None] | None = None,
) -> ModelVersion:
    """A trained model version is stored, files first; it is not active.

    Learns from all purchases, returns and registrations before the cut-off that are neither
    technical nor outliers. Takes minutes; holds no transaction meanwhile.

    Raises:
        InvalidTrainingWindow: the validation window is empty.
        TooLittleHistory: there are too few customers or purchases.
    """
    material = _material(options)
    trained = _trained(material, options, on_epoch)
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
    material = _Material(columns, events, countries, cut_off, validation_from)
    if len(pseudonyms) < LEAST_CUSTOMERS:
        raise _too_little(material)
    return material


def _after_the_last(events: EventTable) -> datetime:
    """Registrations do not count: those of an import are dated years after what they import."""
    traded = events.occurred_at_ms[events.kind != EventKind.REGISTERED]
    return (moment_of(int(traded.max())) or EPOCH) + MILLISECOND if len(traded) else EPOCH


def _trained(
    material: _Material,
    options: TrainingOptions,
    on_epoch: Callable[[EpochReport], None] | None,
) -> Trained:
    from ml.training import TrainingConfig, train  # torch: only here, so that the web can import us
    from twins.artefacts import device_of

    chosen: dict[str, Any] = {} if options.epochs is None else {"epochs": options.epochs}
    device = device_of(options.device or settings.DTOC_DEVICE)
    config = TrainingConfig(seed=options.seed, device=device, **chosen)
    try:
        return train(
            material.events,
            material.countries,
            config,
            cut_off_ms=milliseconds(material.cut_off),
            validation_from_ms=milliseconds(material.validation_from),
            on_epoch=on_epoch,
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
                "events_sha256": columns_sha256(material.columns),
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
