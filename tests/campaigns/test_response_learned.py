"""Runs whose response is learned from past offers: which offers count, and what is kept of them."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from campaigns.errors import InvalidSimulation
from campaigns.models import PolicyLedgerEntry, SimulationRun
from campaigns.services import cancel_launch, repeat_simulation, settle_launch
from campaigns.tables import summary
from campaigns.trials import trials_before
from common.canonical_json import sha256_hex
from common.clock import now
from customers.models import Customer
from events.catalogue import OfferAssigned
from events.services import NewEvent, append_batch
from tests.campaigns.builders import customers, finished, started
from tests.campaigns.launches import END, STARTS_AT, buys, halved, launched, running, simulated
from tests.campaigns.launches import assigned as assigned_to

pytestmark = pytest.mark.django_db
LEARNED = {"kind": "learned"}
DEPTH = Decimal("0.2")
OPEN = timedelta(days=14)


@pytest.fixture
def halves(shop: list[UUID], monkeypatch: pytest.MonkeyPatch) -> tuple[list[UUID], list[UUID]]:
    """Six customers of each arm."""
    return halved(monkeypatch, shop)


def answered(arms: tuple[list[UUID], list[UUID]], at: datetime = STARTS_AT) -> None:
    """The treated place six orders each at a fifth off, the others four, a bit smaller."""
    for who, each, price in zip(arms, (6, 4), ("16.00", "15.00"), strict=True):
        for customer in who:
            for day in range(each):
                buys(customer, price, at=at + timedelta(days=2 * day, hours=1))


def settled(entry: PolicyLedgerEntry) -> PolicyLedgerEntry:
    return settle_launch(launch_id=entry.id, at=entry.ends_at)


def simulated_later(at: datetime = END, **changes) -> SimulationRun:
    return finished(started(response=LEARNED, as_of=at, **changes))


def estimate_of(run: SimulationRun) -> dict:
    estimate: dict = run.manifest["response"]["estimate"]
    return estimate


def test_what_a_settled_launch_did_is_what_a_simulation_foretells(halves):
    answered(halves)
    entry = settled(running())

    run = simulated_later()

    estimate = estimate_of(run)
    assert estimate["launches"] == [str(entry.id)]
    assert (estimate["treated_orders"], estimate["control_orders"]) == (36, 24)
    assert (estimate["customers"], estimate["depths"]) == (12, [0.2, 0.2])
    assert sha256_hex(run.manifest) == run.manifest_sha256
    response = run.result["response"]
    assert (response["name"], response["provenance"]) == ("learned", "data")
    assert response["assumption_share"] == 0.0
    assert response["elasticity"] == estimate
    assert "learned from 1 past offers, 20% to 20% off" in response["statement"]
    assert run.result["scenarios"][0]["uplift"]["revenue"]["high"] == "0.00"
    assert run.result["scenarios"][1]["uplift"]["orders"]["high"] > 0
    assert any("Response model: learned" in line for line in summary(run))


def test_a_launch_teaches_nothing_before_it_is_settled(halves):
    answered(halves)
    entry = running()

    early = simulated_later()
    settled(entry)

    assert early.operation.status == "failed"
    assert early.operation.error["code"] == "no-offers-to-learn-from"
    assert "launch a campaign with a hold-out and settle it" in early.operation.error["detail"]
    assert estimate_of(simulated_later())["launches"] == [str(entry.id)]


def test_a_cancelled_launch_teaches_nothing(halves):
    answered(halves)
    cancel_launch(launch_id=running().id, at=STARTS_AT)

    assert simulated_later().operation.error["code"] == "no-offers-to-learn-from"


def test_each_settled_launch_recalibrates_what_is_foretold_next_and_nothing_before(halves):
    answered(halves)
    first = settled(running())
    before = simulated_later()
    again = END + timedelta(days=1)
    second = assigned_to(launched(simulated(), starts_at=again, at=again), clock=lambda: again)
    for customer in halves[1]:
        for day in range(9):
            buys(customer, "15.00", at=again + timedelta(days=day, hours=1))
    settled(second)

    after = simulated_later(again + timedelta(days=40))
    repeated = finished(repeat_simulation(simulation_id=before.id, requested_by="a test", at=now()))

    assert estimate_of(after)["launches"] == [str(first.id), str(second.id)]
    assert estimate_of(after)["hazard"]["mean"] < estimate_of(before)["hazard"]["mean"] - 0.5
    assert estimate_of(repeated) == estimate_of(before)
    assert repeated.result == before.result


def assigned(arms: tuple[list[UUID], list[UUID]], **changes) -> None:
    """An offer that another system made to one half, and held back from the other."""
    facts = {
        "offer_id": "imported",
        "campaign_id": "spring",
        "kind": "discount",
        "depth": DEPTH,
        "valid_from": STARTS_AT,
        "valid_until": STARTS_AT + OPEN,
    }
    events = [
        NewEvent(
            stream=customer,
            event_id=uuid4(),
            type="offer_assigned",
            schema_version=1,
            occurred_at=STARTS_AT,
            data=OfferAssigned(arm=arm, **{**facts, **changes}),
        )
        for who, arm in zip(arms, ("treatment", "control"), strict=True)
        for customer in who
    ]
    append_batch(events=events, at=STARTS_AT)


def test_offers_of_other_systems_count_once_they_have_closed(halves):
    answered(halves)
    assigned(halves)

    still_open = simulated_later(STARTS_AT + OPEN - timedelta(hours=1))
    closed = simulated_later(STARTS_AT + OPEN)

    assert still_open.operation.error["code"] == "no-offers-to-learn-from"
    assert estimate_of(closed)["launches"] == ["imported"]


@pytest.mark.parametrize("limit", [{"sku": "85123A"}, {"category": "mugs"}, {"depth": Decimal(0)}])
def test_offers_that_are_not_a_discount_on_everything_teach_nothing(halves, limit):
    answered(halves)
    assigned(halves, **limit)

    assert simulated_later().operation.error["code"] == "no-offers-to-learn-from"


def test_who_has_never_bought_counts_and_who_may_not_be_used_does_not(halves):
    answered(halves)
    silent = customers(5)
    restricted = halves[0][0]
    assigned((halves[0], [*halves[1], *silent]))
    Customer.objects.filter(pseudonym=restricted).update(status=Customer.Status.RESTRICTED)

    (trial,) = trials_before(END, {customer: row for row, customer in enumerate(halves[0])})

    assert len(trial.customer) == 5 + 6 + 5
    assert len(set(trial.customer.tolist())) == 16
    assert 0 not in trial.customer
    assert trial.treated.sum() == 5


@pytest.mark.parametrize("extra", [{"mean": 1.0}, {"spread": 0.1}, {"estimate": {}}])
def test_what_is_learned_cannot_be_stated_as_well(shop, extra):
    with pytest.raises(InvalidSimulation, match="they are estimated"):
        started(response={**LEARNED, **extra})
