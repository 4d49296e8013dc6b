"""Traffic of a shop: batches of purchases over HTTP."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import Request, urlopen

SKUS = [f"S{number:05d}" for number in range(1, 60)]


def post_events(base: str, token: str, *, seed: int, count: int) -> dict[str, Any]:
    """One batch of ``count`` purchases of some forty customers, a few of them days late."""
    draw = random.Random(seed)
    now = datetime.now(UTC)
    events = [purchase(draw, now, f"{seed}-{number}") for number in range(count)]
    request = Request(  # noqa: S310 - loopback
        f"{base}/api/v1/events/",
        json.dumps(events).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urlopen(request) as answer:  # noqa: S310 - loopback
        report = json.load(answer)
    assert report["accepted"] == count, report
    return report


def purchase(draw: random.Random, now: datetime, order: str) -> dict[str, Any]:
    late = timedelta(days=draw.choice([0, 0, 0, 1, 5]), seconds=draw.randrange(3600))
    return {
        "customer": {"kind": "crm_id", "value": f"load-{draw.randrange(40)}"},
        "type": "item_purchased",
        "occurred_at": (now - late).isoformat(),
        "data": {
            "order_id": order,
            "line_no": 1,
            "sku": draw.choice(SKUS),
            "quantity": draw.randrange(1, 9),
            "unit_price": f"{draw.randrange(50, 2000) / 100:.2f}",
            "currency": "GBP",
            "country": "GB",
        },
    }
