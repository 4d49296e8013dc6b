"""What the page of a twin shows of its past: versions in a row, and what each event moved."""

from typing import Any

from common.errors import DtocError
from events.selectors import stream_events
from twins.history import twin_at
from twins.models import Twin
from twins.moves import version_documents
from twins.selectors import versions_between

SHOWN_VERSIONS = 12
AHEAD = 4  # of the one that was chosen
NAMES = {"spend": "spend", "churn": "no order in 90 days", "next_line_total": "next line total"}


def chosen_version(live: Twin, asked: str) -> int:
    """The version that was asked for, within what there is; else the live one."""
    number = int(asked) if asked.isdecimal() and len(asked) < 10 else live.stream_version
    return min(max(number, 1), live.stream_version)


def shown_twin(live: Twin, version: int) -> tuple[Twin, str]:
    """The twin at that version, or the live one and why it is shown instead."""
    if version == live.stream_version:
        return live, ""
    try:
        return twin_at(live, version), ""
    except DtocError as error:
        return live, str(error)


def history_of(live: Twin, version: int) -> dict[str, Any]:
    """The versions around the chosen one, the newest first.

    Without the files of its model the events are shown, and not what they moved.
    """
    last = min(live.stream_version, version + AHEAD)
    first = max(last - SHOWN_VERSIONS + 1, 1)
    data = {e.version: e.data for e in stream_events(live.pseudonym, after=first - 1, limit=last)}
    problem = ""
    rows = list(versions_between(live, first, last))
    try:
        shown = [_row(document, data) for document in version_documents(live, rows)]
    except DtocError as error:
        problem = str(error)
        shown = [{"version": r.version, "event": r, "data": data.get(r.version)} for r in rows]
    return {
        "shown": version,
        "rows": shown,
        "problem": problem,
        "older": max(version - SHOWN_VERSIONS, 1) if first > 1 else None,
        "newer": min(version + SHOWN_VERSIONS, live.stream_version)
        if last < live.stream_version
        else None,
    }


def _row(document: dict[str, Any], data: dict[int, str]) -> dict[str, Any]:
    moved = document["moved"]
    figures = {**moved["memory"], **moved["predictions"]}
    return {
        **document,
        "data": data.get(document["version"], ""),
        "figures": [
            {
                "name": NAMES.get(name, name.replace("_", " ")),
                "before": _shown(change["before"]),
                "after": _shown(change["after"]),
            }
            for name, change in figures.items()
        ],
        "entered": moved["next_items"]["entered"],
        "left": moved["next_items"]["left"],
    }


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
