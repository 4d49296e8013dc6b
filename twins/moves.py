"""What moved between two twins of one customer: memory, predictions, and the items at the top.

Both are asked about one moment, the later of their clocks: what differs is what they know, not how
much time has passed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from events.models import Event
from twins.documents import Document, memory_of, predictions_of
from twins.history import Step, recorded_at, steps, twin_at
from twins.models import Twin, TwinPayload

COUNTS = ("orders", "lines", "returns", "units", "spend", "mean_days_between_orders")


def moved_between(before: TwinPayload, after: TwinPayload, *, as_of: datetime) -> Document:
    """Every figure that differs, as it was and as it is, and the items that came and went."""
    return {
        "memory": _differing(_memory(before, as_of), _memory(after, as_of)),
        "predictions": _differing(_predictions(before, as_of), _predictions(after, as_of)),
        "next_items": _items_moved(before, after, "top_items"),
        "next_basket": _items_moved(before, after, "next_basket"),
    }


def version_documents(live: Twin, rows: Sequence[Event]) -> list[Document]:
    """Successive versions of a twin as ``rows`` has them: what made each, and what it moved."""
    if not rows:
        return []
    numbers = [row.version for row in rows]
    made = {s.event.version: s for s in steps(live, first=min(numbers), last=max(numbers))}
    return [_version_document(row, made[row.version]) for row in rows]


def diff_document(live: Twin, *, first: int, last: int) -> Document:
    """What moved from version ``first`` to version ``last``, whichever of them is the older.

    Raises:
        TwinVersionNotKept: the twin has no such version.
    """
    before, after = twin_at(live, first), twin_at(live, last)
    recorded = recorded_at(live.pseudonym, first, last)
    as_of = later_clock(before, after, otherwise=max(recorded.values()))
    points = [
        {"version": t.stream_version, "clock_at": t.clock_at, "recorded_at": recorded[version]}
        for version, t in ((first, before), (last, after))
    ]
    model = live.model_version
    return {
        "pseudonym": live.pseudonym,
        "model": {"id": model.id, "name": model.name, "sha256": model.sha256},
        "as_of": as_of,
        "before": points[0],
        "after": points[1],
        "moved": moved_between(before, after, as_of=as_of),
    }


def _version_document(row: Event, step: Step) -> Document:
    as_of = later_clock(step.before, step.after, otherwise=row.occurred_at)
    return {
        "version": row.version,
        "event": {
            "event_id": row.event_id,
            "type": row.type,
            "occurred_at": row.occurred_at,
            "recorded_at": row.recorded_at,
        },
        "folded": step.folded,
        "late": step.late,
        "clock_at": step.after.clock_at,
        "moved": moved_between(step.before, step.after, as_of=as_of),
    }


def later_clock(before: TwinPayload, after: TwinPayload, otherwise: datetime) -> datetime:
    """The moment that both can be asked about."""
    return max((t.clock_at for t in (before, after) if t.clock_at), default=otherwise)


def _memory(twin: TwinPayload, as_of: datetime) -> dict[str, Any]:
    memory = memory_of(twin, as_of=as_of)
    return {name: memory[name] for name in COUNTS}


def _predictions(twin: TwinPayload, as_of: datetime) -> dict[str, Any]:
    predicted = predictions_of(twin, as_of=as_of)
    within = predicted["order_within"].items()
    days = predicted["days_to_next_order"].items()
    return {
        **{f"order_within_{horizon}": share for horizon, share in within},
        **{f"days_to_next_order_{name}": value for name, value in days},
        "churn": predicted["churn"],
        **{f"next_90_days_{name}": value for name, value in predicted["next_90_days"].items()},
        "next_line_total": predicted["next_line_total"]["expected"],
    }


def _differing(before: dict[str, Any], after: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: {"before": before[name], "after": after[name]}
        for name in before
        if before[name] != after[name]
    }


def _items_moved(
    before: TwinPayload, after: TwinPayload, foretold: str
) -> dict[str, list[dict[str, Any]]]:
    """Of one of the forecast's lists, the likeliest first."""
    old, new = _ranked(before.forecast[foretold]), _ranked(after.forecast[foretold])
    return {
        "entered": [item for sku, item in new.items() if sku not in old],
        "left": [item for sku, item in old.items() if sku not in new],
    }


def _ranked(items: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {item["sku"]: {**item, "rank": rank} for rank, item in enumerate(items, start=1)}
