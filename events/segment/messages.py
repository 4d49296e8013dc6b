"""Reading what an SDK sends: the body, its messages, and the limits that sink a whole request."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from events.errors import BodyMalformed, SegmentLimitExceeded

LARGEST_BODY = 500 * 1024
LARGEST_MESSAGE = 32 * 1024
LONGEST_BATCH = 2_500
LONGEST_MESSAGE_ID = 100
MOST_PROPERTIES = 300
DEEPEST = 8

# What the last step of a route stands for; the short ones are those of analytics.js.
ROUTES = {
    "identify": "identify", "i": "identify",
    "track": "track", "t": "track",
    "page": "page", "p": "page",
    "screen": "screen", "s": "screen",
    "group": "group", "g": "group",
    "alias": "alias", "a": "alias",
    "batch": "batch", "b": "batch",
}  # fmt: skip

TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
BRACKETS = re.compile(rb"[\[\]{}]")
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Body(msgspec.Struct, frozen=True, rename="camel"):
    """The body of a request: a batch, or a single message's own fields."""

    batch: list[msgspec.Raw] | None = None
    write_key: Any = None
    sent_at: Any = None
    context: Any = None


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """One message; what a sender may get wrong is ``Any``, so that the rest can still be told."""

    type: Any = None
    message_id: Any = None
    user_id: Any = None
    anonymous_id: Any = None
    previous_id: Any = None
    group_id: Any = None
    event: Any = None
    name: Any = None
    category: Any = None
    channel: Any = None
    properties: Any = None
    traits: Any = None
    context: Any = None
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came, and when; ``message`` is None where it is no object."""

    raw: bytes
    message: Message | None
    received_at: datetime


BODY = msgspec.json.Decoder(Body)
MESSAGE = msgspec.json.Decoder(Message)
OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def body_of(raw: bytes) -> Body:
    """The parts of a body that concern the request as a whole.

    Raises:
        BodyMalformed: it is no object of JSON, or its parts are of the wrong types.
        SegmentLimitExceeded: it is larger than 500 KB.
    """
    require(len(raw), LARGEST_BODY, "body", "bytes")
    try:
        raw.decode()
        OBJECT.decode(raw)  # `BODY` skips over what it does not know, broken or not
        return BODY.decode(raw)
    except UNREADABLE as error:
        raise BodyMalformed(detail=str(error)) from error


def messages_of(raw: bytes, body: Body, route: str, received_at: datetime) -> list[Received]:
    """The messages of a body that came to ``route`` (a value of ``ROUTES``), in their order.

    Raises:
        BodyMalformed: it is no batch, and the route takes batches only.
        SegmentLimitExceeded: a limit is passed; nothing of the request may be stored.
    """
    if route != "batch":
        return [_received(raw, body, route, received_at)]
    if body.batch is None:
        raise BodyMalformed(detail="expected an object with an array named batch")
    require(len(body.batch), LONGEST_BATCH, "batch", "events")
    return [_received(bytes(item), body, None, received_at) for item in body.batch]


def require(actual: int, limit: int, what: str, unit: str) -> None:
    """Nothing happens within the limit.

    Raises:
        SegmentLimitExceeded: it is passed.
    """
    if actual > limit:
        raise SegmentLimitExceeded(what=what, actual=actual, limit=limit, unit=unit)


def depth_of(raw: bytes) -> int:
    """How deep objects and arrays nest in ``raw``, which is JSON."""
    deepest = depth = 0
    for bracket in BRACKETS.findall(TEXTS.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _received(raw: bytes, body: Body, route: str | None, received_at: datetime) -> Received:
    require(len(raw), LARGEST_MESSAGE, "event", "bytes")
    # The message itself is one level above its properties, traits and context.
    require(depth_of(raw), DEEPEST + 1, "event", "levels")
    try:
        message = MESSAGE.decode(raw)
    except UNREADABLE:
        return Received(raw, None, received_at)
    _require_limits(message)
    return Received(raw, _whole(message, body, route), received_at)


def _require_limits(message: Message) -> None:
    if isinstance(message.message_id, str):
        require(len(message.message_id), LONGEST_MESSAGE_ID, "messageId", "characters")
    for name in ("properties", "traits"):
        found = getattr(message, name)
        require(len(found) if isinstance(found, dict) else 0, MOST_PROPERTIES, name, "entries")


def _whole(message: Message, body: Body, route: str | None) -> Message:
    """The message with what the route and the body around it say of all messages."""
    around = body.context if isinstance(body.context, dict) else {}
    own = message.context if isinstance(message.context, dict) else {}
    return msgspec.structs.replace(
        message,
        type=route or message.type,
        context={**around, **own},
        sent_at=body.sent_at if message.sent_at is None else message.sent_at,
    )
