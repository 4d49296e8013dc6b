"""Reading the quarantine. Bodies are opened here and nowhere else, and every time it is logged."""

import logging
from datetime import datetime
from typing import Any

import msgspec
from django.db.models import QuerySet

from common.canonical_json import iso
from customers.vault import open_body
from events.errors import UnknownQuarantined
from events.models import QuarantinedEvent

audit = logging.getLogger("dtoc.audit")


def quarantined_events(*, reason: str = "", source: str = "", status: str = "") -> Any:
    """Rows without their bodies, the newest first."""
    rows: QuerySet[QuarantinedEvent] = QuarantinedEvent.objects.defer("body")
    for name, value in (("reason", reason), ("source", source), ("status", status)):
        if value:
            rows = rows.filter(**{name: value})
    return rows.order_by("-id")


def quarantined_by_id(row_id: int) -> QuarantinedEvent:
    """One row.

    Raises:
        UnknownQuarantined: there is none of that id.
    """
    row = QuarantinedEvent.objects.filter(id=row_id).first()
    if row is None:
        raise UnknownQuarantined(row_id=row_id)
    return row


def opened_body(row: QuarantinedEvent, *, by: str, at: datetime) -> bytes | None:
    """What was sent, or mended since; None once it is destroyed. Who asked is in the audit log.

    Raises:
        WrongKey, SealBroken: the key at hand does not open it.
    """
    extra = {"quarantined": row.id, "by": by, "at": iso(at), "stream": str(row.stream or "")}
    audit.info("quarantined body opened", extra=extra)
    return open_body(bytes(row.body)) if row.is_waiting else None


def readable(body: bytes) -> Any:
    """A body as JSON, or as text where it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")
