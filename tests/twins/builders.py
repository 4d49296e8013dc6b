"""Small models, customers and histories for the tests of the twins."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import torch
from django.db import connections

from common.locks import slot_of
from customers.models import Customer
from events.catalogue import (
    CustomerRegistered,
    EventData,
    ItemPurchased,
    ItemReturned,
    ItemViewed,
)
from events.models import Stream
from events.services import SHARDS, NewEvent, append_batch
from ml.basket.model import BasketModel
from ml.encoding import Dictionaries
from ml.mixture.frame import Frame, MixtureConfig, component_names
from ml.mixture.gate import Gate, GateConfig
from ml.mixture.inputs import inputs_of_gate
from ml.mixture.memory import Limits
from ml.mixture.model import Mixture
from ml.mixture.network import NetworkComponents
from ml.timing import DAY_MS
from ml.twin import TwinConfig, TwinModel
from tests.builders import DAY, HOUR, NOON
from tests.ml.histories import Line, table
from twins.artefacts import store_model
from twins.models import ModelVersion, Twin
from twins.services import Verification, activate_model, advance_all, verify_twins

SKUS = tuple(f"SKU{n}" for n in range(8))
BASKET_FEATURES = 87
SMALL = TwinConfig(item_dim=6, target_dim=4, kind_dim=2, country_dim=3, hidden=8)


def report_with(nll: float) -> dict[str, Any]:
    """An evaluation report with the figures that versions are compared by."""
    figure = {"value": nll, "low": nll - 0.1, "high": nll + 0.1, "n": 100}
    likelihood = {"value": -nll, "low": -nll - 0.1, "high": 0.1 - nll, "n": 100}
    share = {"value": 0.25, "low": 0.2, "high": 0.3, "n": 100}
    metrics = {"top_1": share, "top_10": share, "mrr_20": share, "nll": figure}
    return {
        "config": {},
        "data": {"events": 100, "customers": 10},
        "validation": {
            "next_item": {"all_lines": {"model": metrics, "popularity": metrics}},
            "time_to_order": {"model": likelihood},
            "notes": ["measured on nothing"],
        },
    }


def stored_model(
    *,
    seed: int = 0,
    nll: float = 6.0,
    events: str = "e",
    name: str = "",
    core: str = "lstm",
    at: datetime = NOON,
) -> ModelVersion:
    """A model with random weights; ``events`` stands for what it was trained and measured on."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = TwinModel(
            replace(SMALL, core=core), Dictionaries(items=SKUS, countries=("GB",), buckets=2)
        )
        model.adopt(small_mixture(model))
        model.next_basket = small_basket(seed)
    report = report_with(nll)
    sha256 = store_model(model, report | {"events": events})
    return ModelVersion.objects.create(
        name=name or f"model {seed}",
        sha256=sha256,
        prefix=sha256,
        config={},
        report=report,
        cut_off=NOON,
        validation_from=NOON - 30 * DAY,
        events_count=100,
        events_sha256=events * 64,
        seed=seed,
        code_version="test",
        libraries={},
        created_at=at,
    )


def small_mixture(network: TwinModel) -> Mixture:
    """A mixture with random gates, the network among its components, and a market of one day."""
    limits = Limits(items=6, successors=3, basket=5)
    config = MixtureConfig(gate=GateConfig(hidden=8), limits=limits)
    frame = Frame(SKUS, ("GB",), config)
    held = NetworkComponents(network, SKUS)
    names = component_names(held)
    gates = [
        Gate(inputs_of_gate(len(names), 1, told=told), len(names), config.gate).eval()
        for told in (False, True)
    ]
    at_ms = round(NOON.timestamp() * 1000)
    bought = table([[Line(at_ms, sku, order) for order in (1, 2) for sku in SKUS[order::2]]])
    market = frame.market(frame.lines(bought)).before(at_ms // DAY_MS + 1)
    return Mixture(frame=frame, gate=gates[0], told_gate=gates[1], market=market, network=held)


def small_basket(seed: int) -> BasketModel:
    """A model of the next basket that has learned nothing, but believes something."""
    weights = 0.05 * np.random.default_rng(seed).normal(size=BASKET_FEATURES)
    mean, deviation = np.zeros(BASKET_FEATURES), np.ones(BASKET_FEATURES)
    return BasketModel(mean, deviation, weights, np.array([1.0, -1.0, 0.0, 0.0]))


def active_model(seed: int = 0) -> ModelVersion:
    """A stored model that is the active one."""
    return activate_model(model_id=stored_model(seed=seed).id, at=NOON)


def customer(country: str = "GB", pseudonym: UUID | None = None) -> UUID:
    """A customer without any event."""
    made = Customer.objects.create(
        pseudonym=pseudonym or uuid4(), country=country, registered_at=NOON
    )
    return made.pseudonym


def customer_in(*, shard: int) -> UUID:
    """A customer whose stream lies in that shard."""
    while True:
        pseudonym = uuid4()
        if slot_of(pseudonym) % SHARDS == shard:
            return customer(pseudonym=pseudonym)


def purchase(order: str = "O1", line: int = 1, sku: str = "SKU0", **more: Any) -> ItemPurchased:
    return ItemPurchased(**_line(order, line, sku, more))


def returned(order: str = "O1", line: int = 1, sku: str = "SKU0", **more: Any) -> ItemReturned:
    return ItemReturned(**_line(order, line, sku, more))


def viewed(sku: str = "SKU0") -> ItemViewed:
    return ItemViewed(sku=sku)


def registered(country: str = "GB") -> CustomerRegistered:
    return CustomerRegistered(country=country)


def happen(
    pseudonym: UUID,
    *events: EventData,
    start: datetime = NOON,
    step: timedelta = HOUR,
    at: datetime = NOON,
    metadata: dict[str, Any] | None = None,
) -> None:
    """The events are appended, the first at ``start``, each a ``step`` after the one before."""
    append_batch(
        events=[
            NewEvent(
                stream=pseudonym,
                event_id=uuid4(),
                type=event.type,
                schema_version=event.schema_version,
                occurred_at=start + number * step,
                data=event,
                metadata=metadata or {},
            )
            for number, event in enumerate(events)
        ],
        at=at,
    )


def orders(count: int, *, prefix: str = "O") -> list[ItemPurchased]:
    """So many one-line orders of changing items."""
    return [purchase(f"{prefix}{n}", 1, SKUS[n % len(SKUS)]) for n in range(count)]


def advance_everything(*, limit: int = 512, at: datetime = NOON) -> int:
    """Nothing lags any more; returns how many events were folded."""
    last = 0
    for report in advance_all(clock=forever(at), limit=limit):
        last = report.events
    return last


def forever(at: datetime) -> Iterator[datetime]:
    while True:
        yield at


def twin(pseudonym: UUID) -> Twin:
    return Twin.objects.get(pseudonym=pseudonym, model_version__state="active")


def verified(*pseudonyms: UUID) -> Verification:
    """These twins compared with a fold from their first events."""
    return list(verify_twins(pseudonyms))[-1]


def lagging() -> int:
    """How many events no live twin has seen."""
    return sum(stream.lag_events for stream in Stream.objects.all())


def picture(pseudonyms: Sequence[UUID]) -> list[tuple[Any, ...]]:
    """Everything that must be equal where twins are equal, but h and c."""
    twins = Twin.objects.filter(pseudonym__in=pseudonyms).order_by("pseudonym")
    return [(t.pseudonym, t.stream_version, t.clock_at, t.memory) for t in twins]


def _line(order: str, line: int, sku: str, more: dict[str, Any]) -> dict[str, Any]:
    return {
        "order_id": order,
        "line_no": line,
        "sku": sku,
        "quantity": 2,
        "unit_price": Decimal("2.55"),
        "currency": "GBP",
        "country": "GB",
        **more,
    }


def both_at_once(work: Callable[[], object]) -> None:
    """Two threads with connections of their own began ``work`` at the same moment and ended."""
    start = threading.Barrier(2)

    def run() -> None:
        try:
            start.wait()
            work()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
