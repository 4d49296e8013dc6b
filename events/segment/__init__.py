"""From messages of Segment's SDKs to our envelopes; nothing in here reads a table or a clock."""

from events.segment.convert import Converted, Settings, convert
from events.segment.messages import ROUTES, Body, Received, body_of, messages_of

__all__ = [
    "ROUTES",
    "Body",
    "Converted",
    "Received",
    "Settings",
    "body_of",
    "convert",
    "messages_of",
]
