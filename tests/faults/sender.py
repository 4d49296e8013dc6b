"""A client that tries again until it is answered.

``python -m tests.faults.sender BASE TOKEN ORDERS LOG STOP`` sends every batch of ORDERS (one array
of events a line), and then, until the file STOP is there, batches of fresh events. Every attempt
becomes a line in LOG: what was sent, what was answered, after how long. An answer that is neither
an acknowledgement nor "wait" ends it.
"""

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen
from uuid import uuid4

PATIENCE_SECONDS = 60  # the socket's own, far above what an answer may take
PAUSE_SECONDS = 0.2  # before it tries again
BETWEEN_SECONDS = 0.2  # fresh batches


def purchase(customer: str, event_id: str = "", **data: Any) -> dict[str, Any]:
    line = {"order_id": "536365", "line_no": 1, "sku": "85123A", "quantity": 6}
    price = {"unit_price": "2.55", "currency": "GBP", "country": "GB"}
    return {
        "event_id": event_id or str(uuid4()),
        "customer": {"kind": "crm_id", "value": customer},
        "type": "item_purchased",
        "occurred_at": "2011-05-02T12:00:00Z",
        "data": {**line, **price, **data},
    }


def attempt(base: str, token: str, batch: list[dict[str, Any]]) -> dict[str, Any]:
    """What one request ended with; status 0 where there was no answer."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    begun = time.monotonic()
    request = Request(f"{base}/api/v1/events/", json.dumps(batch).encode(), headers)
    found: dict[str, Any] = {"status": 0}
    try:
        with urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            found = facts(answer.status, answer.headers, answer.read())
    except HTTPError as error:
        found = facts(error.code, error.headers, error.read())
    except (OSError, HTTPException) as error:
        found["error"] = repr(error)
    ids = [event.get("event_id") for event in batch]
    at = datetime.now(UTC).isoformat()
    return {**found, "seconds": time.monotonic() - begun, "at": at, "ids": ids}


def facts(status: int, headers: Any, body: bytes) -> dict[str, Any]:
    return {
        "status": status,
        "content_type": headers["Content-Type"],
        "retry_after": headers["Retry-After"],
        "body": body.decode(errors="replace")[:500],
    }


def batches(orders: Path, stop: Path) -> Iterator[list[dict[str, Any]]]:
    for line in orders.read_text().splitlines():
        yield json.loads(line)
    number = 0
    while not stop.exists():
        number += 1
        yield [purchase(f"load-{(number + i) % 50}") for i in range(10)]
        time.sleep(BETWEEN_SECONDS)


def main(base: str, token: str, orders: Path, log: Path, stop: Path) -> None:
    with log.open("w") as file:
        for batch in batches(orders, stop):
            while True:
                found = attempt(base, token, batch)
                print(json.dumps(found), file=file, flush=True)
                if found["status"] in (200, 207):
                    break
                if found["status"] not in (0, 503):
                    sys.exit(f"{found['status']}: {found['body']}")
                time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(Path, sys.argv[3:6]))
