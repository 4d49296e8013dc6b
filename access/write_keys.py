"""From a write key to the source that sends under it, without a query for every request.

A key that was just looked up is remembered for five seconds: as long may a process go on taking
events under a key that was switched off.
"""

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime
from threading import Lock

from django.conf import settings
from django.db.models import Q

from access.errors import WriteKeyInactive, WriteKeyUnknown
from access.models import WriteKey
from access.rate_limits import RateLimit

KEPT_SECONDS = 5.0
LARGEST = 10_000


@dataclass(frozen=True, slots=True)
class Source:
    """Who sends under a write key, and what they may."""

    name: str
    counted_as: str  # whose rate limit it is
    is_active: bool
    may_register: bool
    keeps_unknown_types: bool
    user_id_kind: str
    currency: str
    limit: RateLimit


class RecentSources:
    """Sources by the digest of their key, each for some seconds; safe for threads."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[float, Source]] = {}
        self._lock = Lock()

    def get(self, digest: bytes, moment: float) -> Source | None:
        """The source looked up less than five seconds before ``moment`` (a monotonic clock's)."""
        found = self._known.get(digest)
        return found[1] if found and moment - found[0] < KEPT_SECONDS else None

    def put(self, digest: bytes, moment: float, source: Source) -> None:
        with self._lock:
            if len(self._known) >= LARGEST:
                self._known.clear()  # more keys than this: start anew, rather than grow
            self._known[digest] = moment, source

    def clear(self) -> None:
        with self._lock:
            self._known.clear()


recent_sources = RecentSources()


def digest_of(key: str) -> bytes:
    """What is stored of a write key. A plain hash does: the key is 192 random bits."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def source_of(key: str, at: datetime) -> Source:
    """The source that sends under ``key``; the day of its use is noted.

    Raises:
        WriteKeyUnknown: nobody was given this key.
        WriteKeyInactive: it was switched off.
    """
    digest, moment = digest_of(key), time.monotonic()
    source = recent_sources.get(digest, moment)
    if source is None:
        source = _looked_up(digest, at)
        recent_sources.put(digest, moment, source)
    if not source.is_active:
        raise WriteKeyInactive(name=source.name)
    return source


def _looked_up(digest: bytes, at: datetime) -> Source:
    row = WriteKey.objects.filter(digest=digest).first()
    if row is None:
        raise WriteKeyUnknown()
    if row.is_active and (row.last_used_on is None or row.last_used_on < at.date()):
        earlier = Q(last_used_on__isnull=True) | Q(last_used_on__lt=at.date())
        WriteKey.objects.filter(earlier, id=row.id).update(last_used_on=at.date())
    rate = row.events_per_second
    return Source(
        name=row.name,
        counted_as=f"write-key:{digest.hex()[:24]}",
        is_active=row.is_active,
        may_register=row.may_register,
        keeps_unknown_types=row.keeps_unknown_types,
        user_id_kind=row.user_id_kind,
        currency=row.currency,
        limit=RateLimit(
            per_second=settings.DTOC_WRITE_KEY_EVENTS_PER_SECOND if rate is None else rate,
            burst=row.burst or settings.DTOC_WRITE_KEY_BURST,
        ),
    )
