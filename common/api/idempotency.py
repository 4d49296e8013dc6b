"""The ``Idempotency-Key`` header: a request that is sent again takes effect once.

Source: draft-ietf-httpapi-idempotency-key-header. Key and effect commit in one transaction, so
there is no moment at which the effect exists and the key does not.
"""

import functools
import zlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils.crypto import salted_hmac
from rest_framework.request import Request
from rest_framework.response import Response

from common.clock import now
from common.errors import (
    ConcurrentRequest,
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    InvalidIdempotencyKey,
)
from common.models import IdempotencyRecord

HEADER = "Idempotency-Key"
SHORTEST, LONGEST = 16, 128
LOCK_CLASS = 0x44546F4B
KEPT_HEADERS = ("Location", "Retry-After", "ETag")

KEPT = timedelta(days=7)

Handler = Callable[..., Response]


def idempotent(
    *, required: bool, digest: Callable[[Request], str] | None = None
) -> Callable[[Handler], Handler]:
    """A view's ``post`` answers a repeated request with the first answer.

    Answers with a status of 400 or above are not kept: nothing happened, so trying again is right.
    ``digest`` tells one request from another where the body is too large to be read at once.
    """
    digest_of = digest or _digest_of

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            key = _key_of(request)
            if key is None:
                if required:
                    raise IdempotencyKeyMissing()
                return handler(view, request, *args, **kwargs)
            with transaction.atomic():
                return _first_or_again(
                    request, key, digest_of, lambda: handler(view, request, *args, **kwargs)
                )

        return once

    return decorate


def forget_answers(*, at: datetime) -> int:
    """Answers older than seven days are gone, their keys free again; returns how many it were."""
    return IdempotencyRecord.objects.filter(created_at__lt=at - KEPT).delete()[0]


def _first_or_again(
    request: Request, key: str, digest_of: Callable[[Request], str], handle: Callable[[], Response]
) -> Response:
    client = _client_of(request)
    _lock(client, key)
    digest = digest_of(request)
    record = IdempotencyRecord.objects.filter(client=client, key=key).first()
    if record is None:
        return _kept(handle(), client=client, key=key, request_sha256=digest)
    if record.request_sha256 != digest:
        raise IdempotencyKeyReused(key=key)
    headers = {**record.headers, "Idempotency-Replayed": "true"}
    return Response(record.body, status=record.status, headers=headers)


def _digest_of(request: Request) -> str:
    """A keyed digest: a body may hold an e-mail address, which a plain one would let guess."""
    content = b"\0".join([str(request.method).encode(), request.path.encode(), request.body])
    return salted_hmac("dtoc.idempotency", content, algorithm="sha256").hexdigest()


def _kept(response: Response, **identity: str) -> Response:
    if response.status_code < 400:
        headers = {name: response[name] for name in KEPT_HEADERS if name in response}
        IdempotencyRecord.objects.create(
            **identity,
            status=response.status_code,
            headers=headers,
            body=response.data,
            created_at=now(),
        )
    return response


def _key_of(request: Request) -> str | None:
    value = request.headers.get(HEADER)
    if value is None:
        return None
    key = value.strip().strip('"')
    if not SHORTEST <= len(key) <= LONGEST:
        raise InvalidIdempotencyKey(length=len(key))
    return key


def _client_of(request: Request) -> str:
    application = getattr(request.auth, "application", None)
    return f"client:{application.client_id}" if application else f"user:{request.user.pk}"


def _lock(client: str, key: str) -> None:
    """Only one request with this key runs at a time; a second one is told so, not kept waiting."""
    slot = zlib.crc32(f"{client}\0{key}".encode()) - 2**31
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK_CLASS, slot])
        (alone,) = cursor.fetchone()
    if not alone:
        raise ConcurrentRequest(key=key)
