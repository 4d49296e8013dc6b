"""Traffic of a shop."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

SKUS = [f"S{number:05d}" for number in range(1, 60)]


def purchases(*, seed: int, count: int) -> list[dict[str, Any]]:
    """``count`` purchases of some forty customers, a few of them days late."""
    draw = random.Random(seed)
    now = datetime.now(UTC)
    return [purchase(draw, now, f"{seed}-{number}") for number in range(count)]


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
