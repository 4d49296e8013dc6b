"""Why a twin expects what it expects: the parts of its prediction, what moved it, and words."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from events.selectors import StoredEvent
from ml.timing import Buying, TimeToOrder
from ml.why.time import LABELS as TERM_LABELS
from ml.why.time import TimeReason, time_reason
from twins.documents import Document, predictions_of
from twins.errors import AsOfBeforeTwin
from twins.folding import Head, stored_states
from twins.heads import EPOCH
from twins.markets import market_of_row, market_row_of
from twins.models import Twin
from twins.occlusion import Occluded, occlusion
from twins.selectors import loaded_model
from twins.sentences import summary_of

if TYPE_CHECKING:
    from ml.mixture.market import Snapshot

EVENTS, MOST_EVENTS = 10, 50
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def explanation_document(live: Twin, *, events: int, as_of: datetime) -> Document:
    """What the live twin's prediction is made of, and what its last ``events`` moved.

    Equal arguments give an equal document as long as ``market_row`` says the same. Loads the model.

    Raises:
        AsOfBeforeTwin: ``as_of`` lies before the twin's last event.
    """
    if live.clock_at and as_of < live.clock_at:
        raise AsOfBeforeTwin(as_of=as_of.isoformat(), clock_at=live.clock_at.isoformat())
    market = market_of_row(market_row(live))
    items = live.forecast["top_items"]
    top_item = items[0]["sku"] if items else None
    moved = occlusion(live, events=events, as_of=as_of, top_item=top_item, market=market)
    model = live.model_version
    document = {
        "pseudonym": live.pseudonym,
        "stream_version": live.stream_version,
        "model": {"id": model.id, "name": model.name, "sha256": model.sha256},
        "as_of": as_of,
        "next_items": _next_items(live, market),
        "time": _time(live, as_of),
        "predictions": asdict(moved.whole) if moved.whole else None,
        "events": [_event(one) for one in moved.events],
        "orders": [_order(one) for one in moved.orders],
        "reason": moved.reason,
    }
    return {"summary": summary_of(document), **document}


def usual_moment(live: Twin, at: datetime) -> datetime:
    """The moment that is explained where none is named: today's midnight (UTC), or the last event.

    Not ``at`` itself, so that an explanation stays the same for a day.
    """
    today = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(today, live.clock_at or today)


def market_row(live: Twin) -> int | None:
    """The market that the twin's forecast is explained with; None: the model's own, or none."""
    return market_row_of(live.model_version_id, live.forecast.get("market_day"))


def _next_items(live: Twin, market: Snapshot | None) -> list[Document]:
    from ml.why.items import LABELS, item_reasons  # torch

    model = loaded_model(live.model_version_id)
    head = Head(
        live.stream_version, 0, bytes(live.h), bytes(live.c), bytes(live.items), live.memory
    )
    skus = [item["sku"] for item in live.forecast["top_items"]]
    (reasons,) = item_reasons(model, stored_states([head]), skus, market)
    return [
        {
            "sku": reason.sku,
            "probability": reason.probability,
            "because": [
                {"component": name, "label": LABELS[name], "share": share}
                for name, share in reason.parts
            ],
        }
        for reason in reasons
    ]


def _time(live: Twin, as_of: datetime) -> Document:
    stored = live.forecast
    as_of_ms = (as_of - EPOCH) // timedelta(milliseconds=1)
    time, buying = TimeToOrder.of(stored["time_to_order"]), Buying.of(stored["buying"])
    why = time_reason(time, buying, max(as_of_ms, live.clock_ms))
    predicted = predictions_of(live, as_of=as_of)
    return {
        "order_within_30_days": predicted["order_within"]["30_days"],
        "churn": predicted["churn"],
        "days_to_next_order": predicted["days_to_next_order"]["median"],
        **_figures(why),
    }


def _figures(why: TimeReason) -> Document:
    waited = why.waited_days
    return {
        "own_gaps": why.own_gaps,
        "own_gap_days": why.own_gap_days,
        "everybodys_gap_days": why.everybodys_gap_days,
        "usual_gap_days": why.usual_gap_days,
        "own_weight": why.own_weight,
        "waited_days": waited,
        "waited_over_usual_gap": None if waited is None else waited / why.usual_gap_days,
        "weekday": WEEKDAYS[why.weekday],
        "weekday_factor": why.weekday_factor,
        "learned_factor": why.factor,
        "learned_terms": [
            {"term": name, "label": TERM_LABELS[name], "log_factor": value}
            for name, value in why.terms
        ],
    }


def _event(one: Occluded) -> Document:
    (event,) = one.events
    return {
        "version": event.version,
        "event_id": event.event_id,
        "type": event.type,
        "occurred_at": _moment(event),
        **_change(one),
    }


def _order(one: Occluded) -> Document:
    return {
        "versions": [event.version for event in one.events],
        "occurred_at": _moment(one.events[0]),
        **_change(one),
    }


def _change(one: Occluded) -> Document:
    return {"moved": asdict(one.moved), "without": asdict(one.without), "effect": one.effect}


def _moment(event: StoredEvent) -> datetime:
    return EPOCH + timedelta(milliseconds=event.occurred_at_ms)
