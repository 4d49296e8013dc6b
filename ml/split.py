"""What a training may see: events before the cut-off, and those before the validation window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.encoding import Dictionaries, encode, look_up
from ml.errors import NothingToLearn, NoValidation
from ml.events import EventKind, EventTable, Floats, Integers
from ml.states import TwinStates
from ml.targets import targets_of

LEAST_PURCHASES = 2
SMALLEST_PRICE = 0.01


@dataclass(frozen=True, slots=True)
class Split:
    """Events before the cut-off, and what is known of them before the validation window."""

    whole: EventTable
    early: EventTable
    countries: Sequence[str]
    dictionaries: Dictionaries
    known: int
    cut_off_ms: int
    validation_from_ms: int

    @staticmethod
    def of(
        events: EventTable,
        countries: Sequence[str],
        *,
        cut_off_ms: int,
        validation_from_ms: int,
        rare_country: int,
        buckets: int,
    ) -> Split:
        """Return the split; see ``training.train`` for what it raises."""
        whole = events.rows(events.occurred_at_ms < cut_off_ms)
        early = whole.rows(whole.occurred_at_ms < validation_from_ms)
        before, upto = purchases(early), purchases(whole)
        if before < LEAST_PURCHASES:
            raise NothingToLearn(
                purchases=before, validation_from_ms=validation_from_ms, least=LEAST_PURCHASES
            )
        if upto == before:
            raise NoValidation(
                purchases=0, validation_from_ms=validation_from_ms, cut_off_ms=cut_off_ms
            )
        items, known = _items(early, whole)
        customers = np.unique(whole.customer)
        counted = Counter(countries[b] for b in customers.tolist())
        named = sorted(name for name, n in counted.items() if name and n >= rare_country)
        dictionaries = Dictionaries(items, tuple(named), buckets)
        return Split(whole, early, countries, dictionaries, known, cut_off_ms, validation_from_ms)

    def facts(self) -> dict[str, int]:
        """Return the sizes that a reader needs to judge the figures."""
        return {
            "events": len(self.whole),
            "events_before_validation": len(self.early),
            "customers": len(np.unique(self.whole.customer)),
            "items": len(self.dictionaries.items),
            "items_before_validation": self.known,
            "countries": len(self.dictionaries.countries),
            "cut_off_ms": self.cut_off_ms,
            "validation_from_ms": self.validation_from_ms,
        }


class Material:
    """A table made ready for learning: encoded rows, targets, and where histories begin."""

    def __init__(
        self,
        events: EventTable,
        split: Split,
        *,
        known: int,
        cut_off_ms: int,
        scored_from_ms: int | None = None,
    ) -> None:
        customers = len(split.countries)
        nothing = np.zeros((customers, 0), dtype=np.float32)
        self.events, self.known = events, known
        self.columns = encode(events, TwinStates.fresh(nothing, nothing), split.dictionaries)
        self.targets = targets_of(
            events, self.columns, customers=customers, known=known, cut_off_ms=cut_off_ms,
            scored_from_ms=scored_from_ms,
        )  # fmt: skip
        self.who, self.starts, self.lengths = np.unique(
            events.customer, return_index=True, return_counts=True
        )


def purchases(events: EventTable) -> int:
    return int((events.kind == EventKind.PURCHASED).sum())


def _items(early: EventTable, whole: EventTable) -> tuple[tuple[str, ...], int]:
    """Return the items bought before the window, then those bought first inside it."""
    bought = [
        set(table.sku[table.kind == EventKind.PURCHASED].tolist()) - {""}
        for table in (early, whole)
    ]
    return (*sorted(bought[0]), *sorted(bought[1] - bought[0])), len(bought[0])


def median_prices(events: EventTable, dictionaries: Dictionaries) -> Floats:
    """Return the median price of every item row; unknown and missing items get the overall one."""
    paid = events.rows((events.kind == EventKind.PURCHASED) & (events.unit_price > 0))
    prices = np.full(dictionaries.item_rows, _median(paid.unit_price))
    rows: Integers = look_up(dictionaries.item_index(), paid.sku)
    order = np.argsort(rows, kind="stable")
    present, first = np.unique(rows[order], return_index=True)
    for row, group in zip(present, np.split(paid.unit_price[order], first[1:]), strict=True):
        prices[row] = _median(group)
    return prices


def _median(values: Floats) -> float:
    return max(float(np.median(values)), SMALLEST_PRICE) if len(values) else 1.0
