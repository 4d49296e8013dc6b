"""The hot path in: bytes to items with msgspec; serializers of the framework stay out of it."""

from typing import IO, Any

import msgspec
from rest_framework.parsers import BaseParser

from events.cleaning import Doubtful, parsed, readable_in
from events.errors import BodyMalformed, BodyTooLarge
from events.services import Item

LARGEST_BATCH = 5_000
ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class RawJsonParser(BaseParser):
    """The body as bytes, for a view that decodes them itself."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None
    ) -> Any:
        return stream.read()


def items_of(body: bytes) -> tuple[list[Item], bool]:
    """The items in a body, and whether it held a single event; a faulty item is an item too.

    Raises:
        BodyMalformed: the body is neither an object nor an array of JSON.
        BodyTooLarge: the array is longer than 5,000.
    """
    is_single = body.lstrip()[:1] == b"{"
    try:
        if is_single:
            OBJECT.decode(body)
            return [item_of(body)], True
        raws = ARRAY.decode(body)
    except msgspec.MsgspecError as error:
        raise BodyMalformed(detail=str(error)) from error
    if len(raws) > LARGEST_BATCH:
        raise BodyTooLarge(count=len(raws), limit=LARGEST_BATCH)
    return [item_of(bytes(raw)) for raw in raws], False


def item_of(raw: bytes) -> Item:
    """One event as it was sent; where it is none, what can still be read of it."""
    try:
        return Item(parsed(raw), lambda: raw)
    except Doubtful as doubt:
        seen = readable_in(raw)
        return Item(doubt, lambda: raw, seen.customer, seen.event_id)
