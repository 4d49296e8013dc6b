"""Counting the market: once a night, anew from the events that are there then.

Counted anew, so that what came late is in it, and what was erased is not.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import numpy as np

from events.catalogue import ItemPurchased
from events.selectors import all_events_columns
from twins.encoding import training_table
from twins.heads import EPOCH
from twins.markets import MONDAY
from twins.models import MarketSnapshot, ModelVersion
from twins.selectors import loaded_model

DAYS_KEPT = 14  # all of them; beyond that, Mondays

State = ModelVersion.State


def count_market(*, model_id: UUID, at: datetime) -> MarketSnapshot | None:
    """The model's forecasts read a market of today's midnight from now on.

    Of the midnight after the last purchase where that was before: a shop that has rested since then
    is remembered by its last days, not as one that sells nothing. Returns None where the model
    counts no market or its newest one says the same already. Reads every purchase.

    Raises:
        UnknownModelVersion, ModelArtefactBroken
    """
    model = loaded_model(model_id)
    if model.next_item is None:
        return None
    today = at.astimezone(UTC).date()
    events = training_table(all_events_columns(_midnight(today), [ItemPurchased.type]))
    frame = model.next_item.frame
    lines = frame.lines(events)
    day = min(_day_number(today), int(lines.day.max(initial=-1)) + 1)
    if day <= _newest_day(model_id, model.next_item.market.day):
        return None
    snapshot = frame.market(lines).before(day)
    row, _ = MarketSnapshot.objects.get_or_create(
        model_version_id=model_id,
        day=EPOCH.date() + timedelta(days=day),
        defaults={
            "number": snapshot.number,
            "lines": int(np.count_nonzero(lines.day < day)),
            "data": snapshot.to_bytes(),
            "taken_at": at,
        },
    )
    return row


def count_markets(*, at: datetime) -> int:
    """Every model version with twins of its own has the market of this night; old ones are gone.

    Returns how many were counted.
    """
    standing = ModelVersion.objects.filter(state__in=[State.ACTIVE, State.REBUILT])
    counted = [count_market(model_id=version.id, at=at) for version in standing]
    old = MarketSnapshot.objects.filter(day__lt=at.astimezone(UTC).date() - timedelta(DAYS_KEPT))
    old.exclude(day__week_day=MONDAY).delete()
    return sum(row is not None for row in counted)


def _newest_day(model_id: UUID, of_model: int) -> int:
    rows = MarketSnapshot.objects.filter(model_version_id=model_id).order_by("-day")
    newest = rows.values_list("day", flat=True).first()
    return max(of_model, _day_number(newest)) if newest else of_model


def _day_number(day: date) -> int:
    return (day - EPOCH.date()).days


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
