"""Receiving a file: in pieces, to the disk, no further than the limit, hashed on its way."""

import hashlib
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from rest_framework.parsers import MultiPartParser

from events.errors import UploadTooLarge

FORM_BYTES = 64 * 1024  # what a form may have beside the file


class HashingHandler(TemporaryFileUploadHandler):
    """Each file of a form lies in a file of its own, with its SHA-256 in ``sha256``."""

    file: TemporaryUploadedFile

    def handle_raw_input(
        self,
        input_data: Any,
        META: Any,  # noqa: N803 - the framework's name
        content_length: int,
        boundary: Any,
        encoding: Any = None,
    ) -> None:
        _require(content_length - FORM_BYTES)

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._digest = hashlib.sha256()
        self._bytes = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._bytes += len(raw_data)
        if self._bytes > settings.DTOC_IMPORT_BYTES:
            self.file.close()  # which deletes it
        _require(self._bytes)
        self._digest.update(raw_data)
        super().receive_data_chunk(raw_data, start)

    def file_complete(self, file_size: int) -> Any:
        file = super().file_complete(file_size)
        if file is not None:
            file.sha256 = self._digest.hexdigest()  # type: ignore[attr-defined]
        return file


class UploadParser(MultiPartParser):
    """Forms with files, received by :class:`HashingHandler`."""

    def parse(
        self, stream: Any, media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        request = (parser_context or {})["request"]._request
        request.upload_handlers = [HashingHandler(request)]
        return super().parse(stream, media_type, parser_context)


def _require(size: int) -> None:
    if size > settings.DTOC_IMPORT_BYTES:
        raise UploadTooLarge(limit=settings.DTOC_IMPORT_BYTES)
