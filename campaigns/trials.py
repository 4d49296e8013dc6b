"""Past offers with a group held out, read from the stored events. Loads torch; for workers only."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import numpy as np

from campaigns.models import Exposure, PolicyLedgerEntry
from campaigns.population import EPOCH, standings
from customers.models import Customer
from events.models import Event
from ml.response import Trial

BATCH = 5_000
FIELDS = ("offer_id", "depth", "valid_from", "valid_until", "arm", "sku", "category")


class Offer(NamedTuple):
    """What makes customers comparable: they entered one of two arms of the same offer."""

    name: str
    depth: Decimal
    opens_ms: int
    closes_ms: int


def trials_before(as_of: datetime, rows: dict[UUID, int]) -> list[Trial]:
    """The discounts on everything that had closed by ``as_of``, oldest first, with both their arms.

    ``rows`` are the customers' places in the table of events. Who is not in it has bought nothing,
    which counts: they get the places after it. Who may not be used any more is left out. Launches
    count once they are settled: until then what was measured is not complete, and of a cancelled
    one nobody knows whether the offer was out.
    """
    places = dict(rows)
    usable = {
        pseudonym
        for pseudonym, standing in standings().items()
        if standing.status == Customer.Status.ACTIVE
    }
    open_launches = _not_settled()
    arms: dict[Offer, dict[int, bool]] = defaultdict(dict)
    for pseudonym, offer, treated in _assignments(as_of):
        if pseudonym in usable and offer.name not in open_launches:
            arms[offer][places.setdefault(pseudonym, len(places))] = treated
    return [_trial(offer, arms[offer]) for offer in sorted(arms, key=lambda o: (o.opens_ms, o))]


def _not_settled() -> set[str]:
    """The launches that a response must not learn from, as their events name them."""
    unsettled = PolicyLedgerEntry.objects.exclude(status=PolicyLedgerEntry.Status.SETTLED)
    return {str(launch_id) for launch_id in unsettled.values_list("id", flat=True)}


def _assignments(as_of: datetime) -> Iterator[tuple[UUID, Offer, bool]]:
    """Who entered which arm of an offer on everything, in the order in which it was stored."""
    found = Event.objects.filter(type="offer_assigned", occurred_at__lt=as_of).order_by("position")
    columns = [f"data__{name}" for name in FIELDS]
    for pseudonym, *values in found.values_list("stream", *columns).iterator(chunk_size=BATCH):
        said = dict(zip(FIELDS, values, strict=True))
        opens, closes = (_epoch_ms(said[name]) for name in ("valid_from", "valid_until"))
        if said["sku"] is None and said["category"] is None and closes <= _ms(as_of):
            offer = Offer(said["offer_id"], Decimal(said["depth"]), opens, closes)
            yield pseudonym, offer, said["arm"] == Exposure.Arm.TREATMENT


def _trial(offer: Offer, arms: dict[int, bool]) -> Trial:
    customers = sorted(arms)
    return Trial(
        name=offer.name,
        depth=float(offer.depth),
        opens_ms=offer.opens_ms,
        closes_ms=offer.closes_ms,
        customer=np.array(customers, np.int64),
        treated=np.array([arms[customer] for customer in customers], np.bool_),
    )


def _epoch_ms(text: str) -> int:
    return _ms(datetime.fromisoformat(text))


def _ms(at: datetime) -> int:
    return round((at - EPOCH).total_seconds() * 1000)
