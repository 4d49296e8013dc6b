"""Everything that writes to the event store."""

from events.services.advance import Claim, claim_lagging, mark_advanced, set_advanced_from
from events.services.append import SHARDS, Appended, NewEvent, append, append_batch
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
    "ingest",
    "mark_advanced",
    "set_advanced_from",
]
