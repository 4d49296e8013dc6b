"""The hot path in: bytes to items with msgspec; serializers of the framework stay out of it."""

import io
from dataclasses import dataclass
from typing import IO, Any

import msgspec
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from events.api.cloud_events import SPECVERSION, cloud_item, has_known_specversion
from events.api.unpacking import unpacked
from events.cleaning import Doubtful, parsed, readable_in
from events.errors import BatchTooLarge, BodyMalformed
from events.services import Item

LARGEST_BATCH = 5_000
ANYTHING = msgspec.json.Decoder(msgspec.Raw)
ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Sent:
    """The items of a body, and whether it held a single event; a faulty item is an item too."""

    items: list[Item]
    is_single: bool = False


class EventsParser(BaseParser):
    """A body as items, whatever its Content-Encoding; a subclass knows one media type."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        return self.read(stream, parser_context["request"])

    def read(self, stream: IO[bytes], request: Request) -> Sent:
        """What ``stream`` holds, packed as the request says."""
        return self.sent(unpacked(stream, request.META.get("HTTP_CONTENT_ENCODING", "")))

    def sent(self, body: bytes) -> Sent:
        """What ``body`` holds.

        Raises:
            BodyMalformed: it is not of this media type as a whole.
            BatchTooLarge: it holds more than 5,000 events.
        """
        raise NotImplementedError


class JsonParser(EventsParser):
    """One event, or an array of them."""

    media_type = "application/json"

    def sent(self, body: bytes) -> Sent:
        if body.lstrip()[:1] == b"{":
            return Sent([item_of(json_object(body))], is_single=True)
        return Sent([item_of(raw) for raw in json_array(body)])


class NdjsonParser(EventsParser):
    """One event a line; empty lines are none, and a line that is no JSON is a faulty item."""

    media_type = "application/x-ndjson"

    def sent(self, body: bytes) -> Sent:
        require_fitting(sum(1 for line in io.BytesIO(body) if without_blanks(line)))
        lines = (without_blanks(line) for line in io.BytesIO(body))
        return Sent([line_item(line) for line in lines if line])


class CloudEventParser(EventsParser):
    """One CloudEvent."""

    media_type = "application/cloudevents+json"

    def sent(self, body: bytes) -> Sent:
        raw = json_object(body)
        if not has_known_specversion(raw):
            raise BodyMalformed(detail=f'specversion must be "{SPECVERSION}"')
        return Sent([cloud_item(raw)], is_single=True)


class CloudEventBatchParser(EventsParser):
    """An array of CloudEvents."""

    media_type = "application/cloudevents-batch+json"

    def sent(self, body: bytes) -> Sent:
        return Sent([cloud_item(raw) for raw in json_array(body)])


PARSERS: tuple[type[EventsParser], ...] = (
    JsonParser,
    NdjsonParser,
    CloudEventParser,
    CloudEventBatchParser,
)


def sent_in(request: Request) -> Sent:
    """What a request holds. The framework calls no parser for an empty body, so this does.

    Raises:
        BodyMalformed, BodyTooLarge, BatchTooLarge: it cannot be taken.
        ContentEncodingUnknown, UnsupportedMediaType: it is of a kind that is not read.
    """
    data = request.data
    if isinstance(data, Sent):
        return data
    known = [parser() for parser in PARSERS]
    parser = DefaultContentNegotiation().select_parser(request, known)
    if not isinstance(parser, EventsParser):
        raise UnsupportedMediaType(request.content_type or "")
    return parser.read(io.BytesIO(), request)


def item_of(raw: bytes) -> Item:
    """One event as it was sent; where it is none, what can still be read of it."""
    try:
        return Item(parsed(raw), lambda: raw)
    except Doubtful as doubt:
        seen = readable_in(raw)
        return Item(doubt, lambda: raw, seen.customer, seen.event_id)


def line_item(line: bytes) -> Item:
    """One line as an item, JSON or not."""
    try:
        require_utf8(line)
        ANYTHING.decode(line)
    except UNREADABLE:
        return Item(Doubtful("malformed", "the line is not JSON"), lambda: line)
    return item_of(line)


def json_object(body: bytes) -> bytes:
    """``body``, which is an object of JSON.

    Raises:
        BodyMalformed: it is not.
    """
    try:
        require_utf8(body)
        OBJECT.decode(body)
    except UNREADABLE as error:
        raise BodyMalformed(detail=str(error)) from error
    return body


def json_array(body: bytes) -> list[bytes]:
    """The elements of an array of JSON.

    Raises:
        BodyMalformed: the body is none.
        BatchTooLarge: it is longer than 5,000.
    """
    try:
        require_utf8(body)
        raws = ARRAY.decode(body)
    except UNREADABLE as error:
        raise BodyMalformed(detail=str(error)) from error
    require_fitting(len(raws))
    return [bytes(raw) for raw in raws]


def require_fitting(count: int) -> None:
    """Nothing happens for a batch that is taken.

    Raises:
        BatchTooLarge: it is longer than 5,000.
    """
    if count > LARGEST_BATCH:
        raise BatchTooLarge(count=count, limit=LARGEST_BATCH)


def require_utf8(raw: bytes) -> None:
    """Nothing happens for UTF-8; msgspec skips over strings that it does not decode.

    Raises:
        UnicodeDecodeError: it is something else.
    """
    raw.decode()


def without_blanks(line: bytes) -> bytes:
    """``line`` without the white space of JSON around it."""
    return line.strip(b" \t\r\n")
