"""A twin as others read it: what it is, and what it expects as of a moment.

Everything follows from the stored forecast in closed form; no model is loaded.
"""

import math
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ml.timing import DAY_MS, HORIZONS_DAYS, predictions
from twins.errors import AsOfBeforeTwin
from twins.heads import EPOCH
from twins.models import Twin, TwinPayload
from twins.selectors import live_twin_of

CENTS = Decimal("0.01")
CENTRAL_80 = 1.2815515655446004  # standard normal quantile of 0.9
Document = dict[str, Any]


def twin_document(pseudonym: UUID, *, as_of: datetime) -> Document:
    """The live twin of a customer, with its predictions as of a moment.

    Raises:
        NoActiveModel, TwinNotAdvanced: there is no twin.
        AsOfBeforeTwin: ``as_of`` lies before the twin's last event.
    """
    live = live_twin_of(pseudonym)
    return document_of(live.twin, as_of=as_of, stream_version=live.stream_version)


def document_of(twin: Twin, *, as_of: datetime, stream_version: int) -> Document:
    """The same for a twin that was read already, live or past, and the version of its stream."""
    if twin.clock_at and as_of < twin.clock_at:
        raise AsOfBeforeTwin(as_of=as_of.isoformat(), clock_at=twin.clock_at.isoformat())
    model = twin.model_version
    return {
        "pseudonym": twin.pseudonym,
        "stream_version": twin.stream_version,
        "lag": stream_version - twin.stream_version,
        "model": {"id": model.id, "name": model.name, "sha256": model.sha256},
        "as_of": as_of,
        "clock_at": twin.clock_at,
        "fold_mode": twin.fold_mode,
        "waits_since": twin.waits_since,
        "waiting_events": twin.waiting_events,
        "memory": memory_of(twin, as_of=as_of),
        "predictions": predictions_of(twin, as_of=as_of),
    }


def memory_of(twin: TwinPayload, *, as_of: datetime) -> Document:
    """The exact figures of a twin; amounts are in the currency of the events."""
    memory, last = twin.memory, twin.moment("last_order_ms")
    gaps = memory["gaps_n"]
    return {
        "orders": memory["orders"],
        "lines": memory["lines"],
        "returns": memory["returns"],
        "units": memory["units"],
        "spend": str(Decimal(memory["spend_cents"]) * CENTS),
        "first_order_at": twin.moment("first_order_ms"),
        "last_order_at": last,
        "days_since_last_order": (as_of - last) / timedelta(days=1) if last else None,
        "mean_days_between_orders": memory["gaps_sum_ms"] / gaps / DAY_MS if gaps else None,
    }


def predictions_of(twin: TwinPayload, *, as_of: datetime) -> Document:
    """What the twin expects from ``as_of`` on; days count from there, shares are 0 to 1."""
    as_of_ms = (as_of - EPOCH) // timedelta(milliseconds=1)
    time = predictions(twin.forecast, clock_ms=twin.clock_ms, as_of_ms=as_of_ms)
    low, high = time["interval_days_to_order"]
    within = time["order_probability"]
    return {
        "next_items": twin.forecast["top_items"],
        "next_basket": twin.forecast.get("next_basket", []),
        "market_day": _day(twin.forecast.get("market_day")),
        "order_within": {f"{d}_days": within[f"within_{d}_days"] for d in HORIZONS_DAYS},
        "days_to_next_order": {"median": time["median_days_to_order"], "low": low, "high": high},
        "churn": time["churn"],
        "next_90_days": {
            "orders": time["expected_orders_90_days"],
            "spend": f"{time['expected_spend_90_days']:.2f}",
        },
        "next_line_total": _line_total(twin.forecast["line_total"]),
    }


def _day(number: int | None) -> date | None:
    return None if number is None else EPOCH.date() + timedelta(days=number)


def _line_total(parameters: dict[str, float]) -> dict[str, str]:
    mu, spread = parameters["mu"], CENTRAL_80 * parameters["sigma"]
    amounts = {
        "expected": parameters["expected"],
        "low": math.exp(mu - spread),
        "high": math.exp(mu + spread),
    }
    return {name: f"{amount:.2f}" for name, amount in amounts.items()}
