"""One text per value: JSON that can be hashed, compared and signed."""

import hashlib
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


def dumps(value: Any) -> bytes:
    """``value`` as UTF-8 JSON with sorted keys and no spaces; equal values give equal bytes."""
    text = json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        default=_plain,
    )
    return text.encode()


def sha256_hex(value: Any) -> str:
    """The SHA-256 of the canonical JSON of ``value``, in hexadecimal."""
    return hashlib.sha256(dumps(value)).hexdigest()


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and a ``Z``, as everywhere in the API."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, UUID | Decimal | date):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")
