"""Access tokens that were just looked up are not looked up again.

Loading a token costs more than storing an event. A token that was revoked is refused at the latest
five seconds later, in every process; one that runs out is refused at once.
"""

import hashlib
import time
from threading import Lock
from typing import Any

from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from rest_framework.request import Request

KEPT_SECONDS = 5.0
LARGEST = 10_000
BEARER = "bearer "

Known = tuple[Any, Any]  # user and token, as the framework wants them


class RecentTokens:
    """Valid tokens by their digest, each for some seconds; safe for threads."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[float, Known]] = {}
        self._lock = Lock()

    def get(self, digest: bytes, moment: float) -> Known | None:
        """The token looked up less than five seconds before ``moment`` (a monotonic clock's)."""
        found = self._known.get(digest)
        if found is None or moment - found[0] >= KEPT_SECONDS or found[1][1].is_expired():
            return None
        return found[1]

    def put(self, digest: bytes, moment: float, known: Known) -> None:
        with self._lock:
            if len(self._known) >= LARGEST:
                self._known.clear()  # more clients than this: start anew, rather than grow
            self._known[digest] = moment, known

    def clear(self) -> None:
        with self._lock:
            self._known.clear()


recent_tokens = RecentTokens()


class TokenAuthentication(OAuth2Authentication):  # type: ignore[misc]  # published without types
    """OAuth 2.0 bearer tokens, as the toolkit checks them, remembered for five seconds."""

    def authenticate(self, request: Request) -> Known | None:
        header: str = request.META.get("HTTP_AUTHORIZATION", "")
        if not header.lower().startswith(BEARER):
            return self._checked(request)
        digest = hashlib.sha256(header[len(BEARER) :].encode()).digest()
        moment = time.monotonic()
        known = recent_tokens.get(digest, moment)
        if known is None:
            known = self._checked(request)
            if known is not None:
                recent_tokens.put(digest, moment, known)
        return known

    def _checked(self, request: Request) -> Known | None:
        known: Known | None = super().authenticate(request)
        return known
