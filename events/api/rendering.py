"""The hot path out: stored JSON goes into answers as it is."""

from typing import Any
from urllib.parse import urlencode

import msgspec
from django.core import signing
from django.http import HttpResponse
from rest_framework.request import Request

from common.canonical_json import iso
from common.clock import truncated
from events.catalogue import CATALOGUE, ENCODER
from events.errors import CursorInvalid, FeedRestored
from events.feed import START
from events.selectors import FeedEvent, FeedPage, FeedPosition, standing_position
from events.services import IntakeReport, Result
from events.upcasters import decode

SALT = "events.feed"
FIRST_EPOCH = 1  # of rows that were stored before there were epochs
STATUS_OF_REASON = {"subject_suppressed": 403, "event_id_conflict": 409}
UNPROCESSABLE = 422


def json_response(body: Any, status: int = 200) -> HttpResponse:
    """``body`` as JSON without a serializer of the framework."""
    return HttpResponse(ENCODER.encode(body), status=status, content_type="application/json")


def event_body(event: FeedEvent) -> dict[str, Any]:
    """One event as the API shows it, in the newest schema version of its type."""
    known = CATALOGUE.get(event.type)
    data: Any = msgspec.Raw(event.data.encode())
    version = event.schema_version
    if known is not None and version != known.schema_version:
        data, version = decode(event.type, version, event.data), known.schema_version
    return {
        "customer": event.stream,
        "version": event.version,
        "event_id": event.event_id,
        "type": event.type,
        "schema_version": version,
        "occurred_at": iso(event.occurred_at),
        "recorded_at": iso(event.recorded_at),
        "data": data,
        "metadata": msgspec.Raw(event.metadata.encode()),
    }


def appended_body(result: Result) -> dict[str, Any]:
    """The event that was stored just now, as ``event_body`` shows it, without reading it again."""
    event, recorded_at = result.appended, result.recorded_at
    assert event is not None  # noqa: S101 - it was stored
    assert recorded_at is not None  # noqa: S101
    return {
        "customer": event.stream,
        "version": result.version,
        "event_id": event.event_id,
        "type": event.type,
        "schema_version": event.schema_version,
        "occurred_at": iso(truncated(event.occurred_at)),
        "recorded_at": iso(recorded_at),
        "data": event.data,
        "metadata": event.metadata,
    }


def report_body(report: IntakeReport) -> dict[str, Any]:
    """The answer to an array: four counts that add up, and what went wrong with which item."""
    return {
        "accepted": report.total("accepted"),
        "duplicates": report.total("duplicate"),
        "quarantined": report.total("quarantined"),
        "refused": report.total("refused"),
        "problems": [
            {
                "index": index,
                "event_id": result.event_id,
                "status": status_of(result),
                "code": result.reason.replace("_", "-"),
                "detail": result.detail,
            }
            for index, result in enumerate(report.results)
            if result.reason
        ],
    }


def status_of(result: Result) -> int:
    """The HTTP status of an item that was not simply stored."""
    return STATUS_OF_REASON.get(result.reason, UNPROCESSABLE)


def page_body(request: Request, page: FeedPage, filters: dict[str, str]) -> dict[str, Any]:
    """A page of the feed; its cursor stays where it was while there is nothing new."""
    cursor = _cursor(page.reached, filters)
    query = {**filters, "after": cursor, "limit": request.query_params.get("limit", "")}
    asked = urlencode({name: value for name, value in query.items() if value})
    return {
        "next": f"{request.build_absolute_uri(request.path)}?{asked}",
        "cursor": cursor,
        "epoch": page.epoch,
        "results": [event_body(event) for event in page.events],
    }


def position_of(cursor: str | None, filters: dict[str, str]) -> FeedPosition:
    """Where a cursor says to go on; the beginning of the feed without one.

    Raises:
        CursorInvalid: it was changed, or given out for other filters.
        FeedRestored: what was read up to it may no longer be there.
    """
    if not cursor:
        return START
    position = _opened(cursor, filters)
    stands = standing_position(position)
    if stands != position:
        raise FeedRestored(resume_after="" if stands == START else _cursor(stands, filters))
    return position


def _cursor(position: FeedPosition, filters: dict[str, str]) -> str:
    place = [position.epoch, position.txid, position.position]
    return signing.dumps([*place, filters], salt=SALT)


def _opened(cursor: str, filters: dict[str, str]) -> FeedPosition:
    try:
        *place, bound_to = signing.loads(cursor, salt=SALT)
    except (signing.BadSignature, ValueError) as error:
        raise CursorInvalid() from error
    if bound_to != filters:
        raise CursorInvalid()
    # Cursors of two numbers were given out before there were epochs, that is in the first one.
    return FeedPosition(*place) if len(place) == 3 else FeedPosition(FIRST_EPOCH, *place)
