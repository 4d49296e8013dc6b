"""The bytes of a request, unpacked, and never more of them than the settings allow."""

import gzip
import io
import zlib
from typing import IO

from django.conf import settings

from events.errors import BodyMalformed, BodyTooLarge, ContentEncodingUnknown

PLAIN = ("", "identity")
GZIP = ("gzip", "x-gzip")  # two names of one encoding: RFC 9110, 8.4.1.3


def unpacked(stream: IO[bytes], encoding: str) -> bytes:
    """The body in ``stream``, without its Content-Encoding.

    Raises:
        BodyMalformed: it is no gzip, or a damaged or cut one.
        BodyTooLarge: it has more than DATA_UPLOAD_MAX_MEMORY_SIZE bytes, packed or unpacked.
        ContentEncodingUnknown: it is packed in another way.
    """
    named = encoding.strip().lower()
    if named not in PLAIN + GZIP:
        raise ContentEncodingUnknown(encoding=encoding[:40])
    sent = _bounded(stream)
    if named in PLAIN:
        return sent
    if not sent:
        raise BodyMalformed(detail="an empty body is no gzip")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(sent)) as packed:
            return _bounded(packed)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BodyMalformed(detail="the gzip is damaged or cut off") from error


def _bounded(stream: IO[bytes] | gzip.GzipFile) -> bytes:
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body = stream.read(limit + 1)  # one more tells too large from just fitting; the rest stays
    if len(body) > limit:
        raise BodyTooLarge(limit=limit)
    return body
