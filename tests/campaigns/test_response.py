"""Runs whose elasticity is estimated from the stored purchases."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import numpy as np
import pytest

from campaigns.services import repeat_simulation
from campaigns.services.estimate import with_estimate
from common.canonical_json import sha256_hex
from common.clock import now
from events.catalogue import ItemPurchased
from events.services import NewEvent, append_batch
from tests.builders import DAY, NOON
from tests.campaigns.builders import customers, finished, started

pytestmark = pytest.mark.django_db
ELASTICITY = {"kind": "elasticity"}


def purchases_that_answer_to_prices(buyer: UUID, elasticity: float) -> None:
    """Eight SKUs over 16 weeks; demand follows the price, which changes from week to week."""
    draws = np.random.default_rng(5)
    monday = NOON - 200 * DAY
    events = []
    for sku in range(8):
        for week in range(16):
            price = float(draws.choice([8.0, 10.0, 12.5]))
            lines = int(draws.poisson(14 * (price / 10) ** -elasticity)) + 1
            for n in range(lines):
                at = monday + timedelta(weeks=week, minutes=n)
                events.append(purchase(buyer, f"SKU{sku}", f"{sku}-{week}-{n}", price, at))
    append_batch(events=events, at=NOON)


def purchase(buyer: UUID, sku: str, order: str, price: float, at) -> NewEvent:
    data = ItemPurchased(
        order_id=order,
        line_no=1,
        sku=sku,
        quantity=1,
        unit_price=Decimal(str(price)),
        currency="GBP",
        country="GB",
    )
    return NewEvent(
        stream=buyer,
        event_id=uuid4(),
        type=data.type,
        schema_version=1,
        occurred_at=at,
        data=data,
    )


def test_the_estimate_and_its_standard_error_stand_in_the_manifest_and_in_the_result(
    shop: list[UUID],
):
    purchases_that_answer_to_prices(customers(1)[0], elasticity=2.0)

    run = finished(started(response=ELASTICITY, as_of=NOON))

    estimate = run.manifest["response"]["estimate"]
    assert estimate["mean"] == pytest.approx(2.0, abs=3 * estimate["standard_error"])
    assert 0 < estimate["standard_error"] < 0.5
    assert sha256_hex(run.manifest) == run.manifest_sha256
    assert run.result["response"]["elasticity"] == estimate
    assert run.result["response"]["assumption_share"] == 0.0
    assert run.result["scenarios"][0]["uplift"]["revenue"]["high"] == "0.00"


def test_later_workers_and_repeats_use_the_estimate_of_the_first(shop: list[UUID]):
    buyer = customers(1)[0]
    purchases_that_answer_to_prices(buyer, elasticity=2.0)
    slow_worker = started(response=ELASTICITY, as_of=NOON)  # as it was before the estimate
    run = finished(slow_worker)
    late = [purchase(buyer, "SKU1", f"late-{n}", 3.0, NOON - 150 * DAY) for n in range(200)]
    append_batch(events=late, at=NOON)

    again = finished(repeat_simulation(simulation_id=run.id, requested_by="a test", at=now()))

    assert "estimate" not in slow_worker.manifest["response"]
    assert with_estimate(slow_worker).manifest == run.manifest
    assert again.result == run.result


def test_purchases_that_show_no_price_change_end_the_run_with_a_reason(shop: list[UUID]):
    ended = finished(started(response=ELASTICITY))

    assert ended.operation.status == "failed"
    assert ended.operation.error["code"] == "no-price-variation"
    assert "state an assumed elasticity" in ended.operation.error["detail"]
