"""Everything that writes to the event store."""

from events.services.advance import (
    Claim,
    claim_lagging,
    claim_stream,
    mark_advanced,
    set_advanced_from,
)
from events.services.append import SHARDS, Appended, NewEvent, append, append_batch
from events.services.feed_epoch import mark_feed, raise_feed_epoch, raise_where_restored
from events.services.intake import IntakeReport, Item, Policy, Result, ingest

__all__ = [
    "SHARDS",
    "Appended",
    "Claim",
    "IntakeReport",
    "Item",
    "NewEvent",
    "Policy",
    "Result",
    "append",
    "append_batch",
    "claim_lagging",
    "claim_stream",
    "ingest",
    "mark_advanced",
    "mark_feed",
    "raise_feed_epoch",
    "raise_where_restored",
    "set_advanced_from",
]
