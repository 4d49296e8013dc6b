"""Rate limits for views: of a write key, or of an API client."""

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from access.errors import TooManyEvents
from access.rate_limits import UNCOUNTED, RateLimit, Standing, take


class RateLimited:
    """A mixin before ``APIView``: answers, refusals too, say how much may still be sent.

    The handler calls ``spend`` or ``spend_as_client`` once it knows how many events it holds.
    """

    standing: Standing = UNCOUNTED

    def spend(self, limit: RateLimit, who: str, events: int) -> None:
        """``events`` are taken off what ``who`` may send.

        Raises:
            TooManyEvents: the limit does not allow them yet; nothing was taken.
        """
        self.standing = take(limit, who, events)
        if not self.standing.allowed:
            raise TooManyEvents(seconds=self.standing.retry_after_seconds)

    def spend_as_client(self, request: Request, events: int) -> None:
        """The same for the API client behind the request's token, by the limits of the settings.

        Raises:
            TooManyEvents: see ``spend``.
        """
        application = getattr(request.auth, "application", None)
        who = f"client:{application.client_id}" if application else f"user:{request.user.pk}"
        limit = RateLimit(
            per_second=settings.DTOC_CLIENT_EVENTS_PER_SECOND, burst=settings.DTOC_CLIENT_BURST
        )
        self.spend(limit, who, events)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kw: Any) -> Response:
        final: Response = super().finalize_response(request, response, *args, **kw)  # type: ignore[misc]
        for name, value in self.standing.headers().items():
            final[name] = value
        return final
