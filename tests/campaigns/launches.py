"""Launches that tests are built on: a simulation with a result, and what customers then bought."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from campaigns.ledger import launch_by_id
from campaigns.models import Campaign, Exposure, PolicyLedgerEntry, SimulationRun
from campaigns.services import expose, launch_campaign
from campaigns.services.expose import run_launch
from campaigns.services.start import start_simulation
from common.models import Operation
from events.models import Event
from events.services import NewEvent, append_batch
from tests.builders import NOON
from tests.campaigns.builders import ASSUMED, audience, campaign
from tests.events.builders import line

STARTS_AT = NOON + timedelta(days=200)  # after all that the twins of the shop have seen
END = STARTS_AT + timedelta(days=30)


def forecast_result(customers: int, mean: float = 24.0, reach: float = 12.0) -> dict:
    """A result of two scenarios, as far as launches read it; the second has an uplift."""
    ends = {"mean": f"{mean:.2f}", "low": f"{mean - reach:.2f}", "high": f"{mean + reach:.2f}"}
    counts = {"mean": 1.2, "low": 0.0, "high": 2.4}
    nothing = {"mean": 0.0, "low": 0.0, "high": 0.0}
    return {
        "currency": "GBP",
        "horizon": {"starts_at": "2011-11-18T12:00:00.000Z", "days": 30},
        "interval": {"level": 0.9, "kind": "Student t prediction interval over replicates"},
        "customers": {"pinned": customers, "simulated": customers, "erased_meanwhile": 0},
        "response": {"name": "assumed", "provenance": "assumption", "assumption_share": 1.0},
        "scenarios": [
            {"uplift": dict.fromkeys(("revenue", "orders", "buyers"), nothing)},
            {"uplift": {"revenue": ends, "orders": counts, "buyers": counts}},
        ],
    }


def simulated(of: Campaign | None = None, **changes) -> SimulationRun:
    """A simulation whose result is made up: how it comes about is not what launches test."""
    run = start_simulation(
        campaign_id=(of or campaign()).id,
        audience_id=audience().id,
        depths=[Decimal(0), Decimal("0.2")],
        delays_days=[0],
        horizon_days=30,
        replicates=4,
        seed=7,
        response=ASSUMED,
        requested_by="a test",
        at=NOON,
    )
    pinned = run.manifest["customers"]["pinned"]
    SimulationRun.objects.filter(id=run.id).update(result=forecast_result(pinned, **changes))
    Operation.objects.filter(id=run.operation_id).update(status="succeeded")
    return SimulationRun.objects.get(id=run.id)


def launched(run: SimulationRun | None = None, **changes) -> PolicyLedgerEntry:
    """A launch that begins, with half of the customers held out, at the moment it counts from."""
    run = run or simulated()
    facts = {
        "depth": Decimal("0.2"),
        "delay_days": 0,
        "holdout_share": Decimal("0.5"),
        "starts_at": STARTS_AT,
        "launched_by": "a test",
        "at": STARTS_AT,
    }
    return launch_campaign(
        campaign_id=run.campaign_id, simulation_id=run.id, **{**facts, **changes}
    )


def running(run: SimulationRun | None = None, **changes) -> PolicyLedgerEntry:
    """The same launch after a worker has given everybody an arm."""
    return assigned(launched(run, **changes))


def assigned(entry: PolicyLedgerEntry, holder: str = "a worker", **bounds) -> PolicyLedgerEntry:
    clock = bounds.pop("clock", lambda: STARTS_AT)
    run_launch(operation_id=entry.operation_id, holder=holder, clock=clock, **bounds)
    return launch_by_id(entry.id)


def halved(monkeypatch: pytest.MonkeyPatch, shop: list[UUID]) -> tuple[list[UUID], list[UUID]]:
    """The first half of the shop will be treated, the other held out; whatever the hash says."""
    half = len(shop) // 2
    treated, control = shop[:half], shop[half:]
    monkeypatch.setattr(
        expose, "arm_of", lambda _, who, share: "treatment" if who in treated else "control"
    )
    return treated, control


def arms_of(entry: PolicyLedgerEntry) -> dict[UUID, str]:
    return dict(Exposure.objects.filter(launch=entry).values_list("pseudonym", "arm"))


def events_of(entry: PolicyLedgerEntry) -> dict[UUID, str]:
    """The arm that each customer's stream tells of; fails where a stream tells of two."""
    found = Event.objects.filter(type="offer_assigned", data__offer_id=str(entry.id))
    rows = list(found.values_list("stream", "data__arm"))
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def buys(
    pseudonym: UUID, price: str, *, quantity: int = 1, at: datetime | None = None, **metadata
) -> None:
    """One order of one line, within the window unless another moment is given."""
    data = line(order_id=uuid4().hex, unit_price=Decimal(price), quantity=quantity)
    event = NewEvent(
        stream=pseudonym,
        event_id=uuid4(),
        type="item_purchased",
        schema_version=1,
        occurred_at=at or STARTS_AT + timedelta(days=3),
        data=data,
        metadata=metadata,
    )
    append_batch(events=[event], at=at or STARTS_AT)
