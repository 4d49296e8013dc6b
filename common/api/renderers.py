"""JSON as the API speaks it: times in UTC with milliseconds."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

from common.canonical_json import iso


class MillisecondEncoder(JSONEncoder):
    """Aware times as ``2011-05-02T12:00:00.000Z``; everything else as the framework does."""

    def default(self, obj: Any) -> Any:
        if isinstance(obj, datetime) and obj.tzinfo is not None:
            return iso(obj)
        return super().default(obj)


class MillisecondJSONRenderer(JSONRenderer):
    """The default renderer of every view."""

    encoder_class = MillisecondEncoder


class MarkdownRenderer(BaseRenderer):
    """Text as it is; a problem document, which has its own content type, as JSON."""

    media_type = "text/markdown"
    format = "md"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        if isinstance(data, str):
            return data
        return MillisecondJSONRenderer().render(data, None, renderer_context)
