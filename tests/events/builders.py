"""Events that tests are built on, and a store that tests may empty."""

import threading
from decimal import Decimal
from uuid import UUID, uuid4

from django.db import connection, connections, transaction

from events.catalogue import ItemPurchased, ItemViewed
from events.services import NewEvent, append_batch
from tests.builders import NOON

PARTITIONS = [f"events_event_{n:02}" for n in range(16)]


def line(**changes) -> ItemPurchased:
    """A line of an order."""
    facts = {
        "order_id": "536365",
        "line_no": 1,
        "sku": "85123A",
        "quantity": 6,
        "unit_price": Decimal("2.55"),
        "currency": "GBP",
        "country": "GB",
    }
    return ItemPurchased(**{**facts, **changes})


def viewed(stream: UUID, sku: str = "85123A", **changes) -> NewEvent:
    """A new event of the smallest kind."""
    facts = {
        "stream": stream,
        "event_id": uuid4(),
        "type": "item_viewed",
        "schema_version": 1,
        "occurred_at": NOON,
        "data": ItemViewed(sku=sku),
    }
    return NewEvent(**{**facts, **changes})


def sent(customer, **changes) -> dict:
    """An order line as somebody sends it; ``data`` changes single fields of the data."""
    data = {
        "order_id": "536365",
        "line_no": 1,
        "sku": "85123A",
        "quantity": 6,
        "unit_price": "2.55",
        "currency": "GBP",
        "country": "GB",
    }
    event = {
        "customer": customer,
        "type": "item_purchased",
        "occurred_at": "2011-05-02T12:00:00Z",
        "data": {**data, **changes.pop("data", {})},
    }
    return {**event, **changes}


def empty_event_store() -> None:
    """No event is left. Tests that commit need it: flushing leaves the append-only table alone."""
    guard = "events_event_no_truncate"
    with connection.cursor() as cursor:
        for table in ["events_event", *PARTITIONS]:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {guard}")
        cursor.execute("TRUNCATE events_event")
        for table in ["events_event", *PARTITIONS]:
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {guard}")


def rows(sql: str, params: list | None = None, *, fetch: bool = True) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if fetch else []


def in_other_connection(function) -> threading.Thread:
    def run() -> None:
        try:
            function()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


class OpenAppend:
    """A transaction that has appended and does not commit until it is told to."""

    def __init__(self, event) -> None:
        self.appended, self.may_commit = threading.Event(), threading.Event()
        self.event = event
        self.thread = in_other_connection(self._run)
        assert self.appended.wait(10)

    def _run(self) -> None:
        with transaction.atomic():
            append_batch(events=[self.event], at=NOON)
            self.appended.set()
            assert self.may_commit.wait(10)

    def commit(self) -> None:
        self.may_commit.set()
        self.thread.join()
