"""Celery tasks: plain values in, one service each; safe to deliver twice."""

import logging
import time
from datetime import datetime
from typing import Any
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import OperationalError

from common.clock import now
from common.later import ask_later
from twins.nudges import begin_shard, nudge_shards
from twins.selectors import active_model_id, lagging_shards
from twins.services import (
    TrainingOptions,
    activate_model,
    advance,
    count_markets,
    mend_twins,
    rebuild_twins,
    retry_parked,
    thin_snapshots,
    train_model,
    watch_drift,
)

logger = logging.getLogger(__name__)

LONGEST_SECONDS = 10.0
LONGEST_MENDING_SECONDS = 60.0


@shared_task(name="twins.advance_shard", autoretry_for=(OperationalError,), retry_backoff=True)
def advance_shard(shard: int) -> int:
    """The lagging twins of a shard are advanced, or 10 s have passed and the rest is asked for."""
    begin_shard(shard)
    deadline = time.monotonic() + LONGEST_SECONDS
    streams = 0
    while report := advance(shard=shard, at=now()):
        streams += report.streams
        if time.monotonic() > deadline:
            nudge_shards([shard])
            break
    logger.info("twins advanced", extra={"shard": shard, "streams": streams})
    return streams


@shared_task(name="twins.sweep")
def sweep() -> int:
    """Every shard with work has been nudged: makes good what was lost with a worker or Redis."""
    if active_model_id() is None:
        return 0
    shards = lagging_shards()
    nudge_shards(shards)
    return len(shards)


@shared_task(name="twins.retry_parked")
def retry_parked_streams() -> int:
    """Parked streams that are due have been tried again; returns how many are free."""
    return retry_parked(at=now()).streams


@shared_task(name="twins.mend")
def mend_waiting_twins(after: str | None = None) -> int:
    """Twins that wait are folded again, or 60 s have passed and the rest is asked for."""
    deadline = time.monotonic() + LONGEST_MENDING_SECONDS
    mended = 0
    for pseudonym, report in mend_twins(at=now(), after=UUID(after) if after else None):
        mended += report.streams
        if time.monotonic() > deadline:
            ask_later("twins.mend", after=str(pseudonym))
            break
    logger.info("waiting twins mended", extra={"twins": mended})
    return mended


@shared_task(name="twins.count_markets")
def count_the_markets() -> int:
    """Forecasts read the market of this night; returns for how many model versions."""
    return count_markets(at=now())


@shared_task(name="twins.watch_drift")
def watch_for_drift() -> bool:
    """Whether the twins foresee worse than they did; announced then, and trained where set."""
    alarming = watch_drift(at=now())
    if alarming and settings.DTOC_TRAIN_ON_DRIFT:
        ask_later("twins.train")
    return alarming


@shared_task(name="twins.thin_snapshots")
def thin() -> int:
    """Old snapshots have been thinned; returns how many went."""
    return thin_snapshots(at=now())


@shared_task(name="twins.train")
def train(
    cut_off: str | None = None,
    validation_from: str | None = None,
    activate: bool = False,
    reason: str = "",
    **chosen: Any,
) -> str:
    """A model version is trained, and activated where asked; times are ISO 8601 with a zone.

    ``chosen`` are further fields of ``TrainingOptions``. Delivered again after its worker was
    killed, it goes on from the last epoch.
    """
    options = TrainingOptions(
        cut_off=_moment(cut_off), validation_from=_moment(validation_from), **chosen
    )
    version = train_model(options, at=now())
    if activate and version.id != active_model_id():
        for _ in rebuild_twins(model_id=version.id, at=now()):
            pass
        activate_model(model_id=version.id, at=now(), reason=reason)
    return str(version.id)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
