"""A new customer's first event, written in the transaction that registers the customer."""

from collections.abc import Sequence
from datetime import datetime

from common.ids import derived_id
from customers.lifecycle import Registered
from events.catalogue import CustomerRegistered
from events.services.append import NewEvent, append_batch


def append_registered(newcomers: Sequence[Registered], at: datetime) -> None:
    """Each newcomer's stream opens with ``customer_registered``."""
    append_batch(
        events=[
            NewEvent(
                stream=newcomer.pseudonym,
                event_id=derived_id("customer_registered", str(newcomer.pseudonym)),
                type=CustomerRegistered.type,
                schema_version=CustomerRegistered.schema_version,
                occurred_at=at,
                data=CustomerRegistered(country=newcomer.country),
            )
            for newcomer in newcomers
        ],
        at=at,
    )
