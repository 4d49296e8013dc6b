"""The dual update: an event that is stored and folded in one call answers the new twin."""

from datetime import datetime
from uuid import UUID

from rest_framework.request import Request

from events.subscribers import Representation
from twins.documents import document_of
from twins.models import Twin
from twins.services import fresh_twin


def new_twin(pseudonym: UUID, at: datetime) -> Representation | None:
    """The twin after all events of its stream; None while no model is active."""
    fresh = fresh_twin(pseudonym=pseudonym, at=at)
    if fresh is None:
        return None
    twin = fresh.twin
    # An event may be dated a little ahead of our clock.
    as_of = max(at, twin.clock_at or at)
    document = document_of(twin, as_of=as_of, stream_version=fresh.stream_version)
    return Representation(body=document, etag=etag_of(twin))


def etag_of(twin: Twin) -> str:
    """The strong ETag of a twin: customer, model, stream version.

    A twin that waits is marked: the nightly rebuild changes it without another version.
    """
    waits = ".waits" if twin.waits_since else ""
    return f'"{twin.pseudonym}.{twin.model_version_id}.{twin.stream_version}{waits}"'


def matches(request: Request, etag: str) -> bool:
    """Whether the request's If-None-Match names that ETag."""
    header = request.headers.get("If-None-Match", "")
    tags = {tag.strip().removeprefix("W/") for tag in header.split(",")}
    return etag in tags or "*" in tags
