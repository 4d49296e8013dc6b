"""The market that forecasts read: what all customers bought before some midnight.

Each model has one of its own, of its cut-off. Where a newer one was counted (``services.market``),
live twins read the newest. A past version that has to be folded again reads the newest of the ones
that are kept for good and stood when the version was recorded, so that it always says the same.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

from twins.models import MarketSnapshot

if TYPE_CHECKING:
    from ml.mixture.market import Snapshot

MONDAY = 2  # as Django counts the days of a week


def newest_market(model_id: UUID) -> Snapshot | None:
    """The newest market counted for a model; None where it has nothing newer than its own."""
    rows = MarketSnapshot.objects.filter(model_version_id=model_id).order_by("-day")
    return _of(rows.values_list("id", flat=True).first())


def market_known_at(model_id: UUID, moment: datetime) -> Snapshot | None:
    """The market of the last Monday that stood at a moment; None where there was none yet."""
    rows = MarketSnapshot.objects.filter(
        model_version_id=model_id, day__week_day=MONDAY, taken_at__lte=moment
    )
    return _of(rows.order_by("-day").values_list("id", flat=True).first())


def market_row_of(model_id: UUID, day: int | None) -> int | None:
    """The row that a forecast of that market day was made from, or the last kept one before it.

    None where that is the model's own. ``day`` is counted from 1970, None: no market was read.
    """
    if day is None:
        return None
    until = date(1970, 1, 1) + timedelta(days=day)
    rows = MarketSnapshot.objects.filter(model_version_id=model_id, day__lte=until)
    return rows.order_by("-day").values_list("id", flat=True).first()


def market_of_row(row_id: int | None) -> Snapshot | None:
    """The market of a row; None stands for the model's own."""
    return _of(row_id)


def _of(row_id: int | None) -> Snapshot | None:
    return None if row_id is None else _loaded(row_id)


@lru_cache(maxsize=2)  # tens of megabytes each; rows never change
def _loaded(row_id: int) -> Snapshot:
    from ml.mixture.market import Snapshot  # scipy: only where a model is loaded anyway

    data = MarketSnapshot.objects.values_list("data", flat=True).get(id=row_id)
    return Snapshot.from_bytes(bytes(data))
