"""What exposed customers did within a launch's window, read from the stored events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import BigIntegerField, Count, DecimalField, ExpressionWrapper, F, Q, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast

from campaigns.grading import MEASURED, Floats
from campaigns.ledger import usable_exposures
from campaigns.models import Exposure, PolicyLedgerEntry
from events.models import Event

BATCH = 2_000
AMOUNT = DecimalField(max_digits=30, decimal_places=10)
SKIPPED = Q(metadata__contains={"technical": True}) | Q(metadata__contains={"outlier": True})


@dataclass(frozen=True, slots=True)
class Measurement:
    """By arm and outcome one number for each customer, in the order of pseudonyms."""

    arms: dict[str, dict[str, Floats]]
    lines_left_out: int


def measure(entry: PolicyLedgerEntry) -> Measurement:
    """What the customers of both arms bought in [starts_at, ends_at); who bought nothing counts.

    Lines that are marked technical or outliers are left out and counted: the twins skip them, so
    the forecast holds none. Returns are not taken off, as in the forecast.
    """
    left_out, arms = 0, {}
    for arm in Exposure.Arm.values:
        pseudonyms = list(usable_exposures(entry, arm).values_list("pseudonym", flat=True))
        outcomes = {name: np.zeros(len(pseudonyms)) for name in MEASURED}
        places = {pseudonym: place for place, pseudonym in enumerate(pseudonyms)}
        for row in _bought(entry, pseudonyms):
            left_out += row.pop("skipped")
            place = places[row.pop("stream")]
            for name, value in row.items():
                outcomes[name][place] = float(value or 0)
        outcomes["buyers"] = (outcomes["orders"] > 0).astype(np.float64)
        arms[arm] = outcomes
    return Measurement(arms, left_out)


def _bought(entry: PolicyLedgerEntry, pseudonyms: Sequence[UUID]) -> Iterator[dict[str, Any]]:
    """One row for each customer who bought anything."""
    lines = Event.objects.filter(
        type="item_purchased", occurred_at__gte=entry.starts_at, occurred_at__lt=entry.ends_at
    ).alias(
        quantity=Cast(KT("data__quantity"), BigIntegerField()),
        unit_price=Cast(KT("data__unit_price"), AMOUNT),
    )
    value = ExpressionWrapper(F("quantity") * F("unit_price"), output_field=AMOUNT)
    for first in range(0, len(pseudonyms), BATCH):
        theirs = lines.filter(stream__in=pseudonyms[first : first + BATCH]).values("stream")
        rows = theirs.annotate(
            revenue=Sum(value, filter=~SKIPPED),
            orders=Count(KT("data__order_id"), distinct=True, filter=~SKIPPED),
            units=Sum("quantity", filter=~SKIPPED),
            skipped=Count("version", filter=SKIPPED),
        )
        yield from map(dict, rows)
