"""What the page of a twin shows of why it predicts so: sentences, shares, and what moved it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from common.errors import DtocError
from twins.explanation import EVENTS, explanation_document
from twins.models import Twin

SHOWN_ITEMS = 5
LEAST_TERM = 0.005
# Told apart by people who see red and green alike (after Okabe and Ito 2008); the rest is grey.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
REST = "#8c8c99"


def why_of(live: Twin, *, at: datetime) -> dict[str, Any]:
    """The explanation of the live twin as of now, ready for the page; or why there is none."""
    try:
        document = explanation_document(live, events=EVENTS, as_of=max(at, live.clock_at or at))
    except DtocError as error:
        return {"problem": str(error)}
    items = document["next_items"][:SHOWN_ITEMS]
    colours = _colours(items)
    return {
        "summary": document["summary"],
        "items": [{**item, "because": _coloured(item["because"], colours)} for item in items],
        "legend": _legend(items, colours),
        "terms": [
            t for t in document["time"]["learned_terms"] if abs(t["log_factor"]) > LEAST_TERM
        ],
        "time": document["time"],
        "events": [_row(event) for event in document["events"]],
        "orders": [_row(order) for order in document["orders"]],
        "reason": document["reason"],
    }


def _colours(items: list[dict[str, Any]]) -> dict[str, str]:
    """A colour for each component, those that give most first."""
    given: dict[str, float] = {}
    for part in (part for item in items for part in item["because"]):
        given[part["component"]] = given.get(part["component"], 0.0) + part["share"]
    ranked = sorted(given, key=lambda name: -given[name])
    return {name: COLOURS[n] if n < len(COLOURS) else REST for n, name in enumerate(ranked)}


def _coloured(parts: list[dict[str, Any]], colours: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {**part, "colour": colours[part["component"]], "width": 100 * part["share"]}
        for part in parts
    ]


def _legend(items: list[dict[str, Any]], colours: dict[str, str]) -> list[dict[str, str]]:
    labels = {part["component"]: part["label"] for item in items for part in item["because"]}
    named = [{"label": labels[name], "colour": c} for name, c in colours.items() if c != REST]
    others = [{"label": "others", "colour": REST}] if REST in colours.values() else []
    return [*named, *others]


def _row(changed: dict[str, Any]) -> dict[str, Any]:
    days = changed["moved"]["days_to_next_order"]
    item = changed["moved"]["top_item_probability"]
    return {
        **changed,
        "order": f"{changed['moved']['order_within_30_days']:+.3f}",
        "churn": f"{changed['moved']['churn']:+.3f}",
        "days": "-" if days is None else f"{days:+.1f}",
        "item": "-" if item is None else f"{item:+.4f}",
    }
