"""A synthetic shop as its owner sees it: events and past offers, and nothing of the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ml.events import EventKind, EventTable, Floats, Integers
from ml.response import Trial
from ml.shop.config import ShopConfig
from ml.shop.events import DAY_MS, event_chunks

KINDS = {"item_purchased": EventKind.PURCHASED, "item_returned": EventKind.RETURNED}


@dataclass(frozen=True, slots=True)
class History:
    """What happened before the shop's last day ended. Customer i of the shop is row i."""

    events: EventTable
    countries: list[str]
    trials: tuple[Trial, ...]
    end_ms: int

    def depth_of_lines(self) -> Floats:
        """Return the depth of the offer that each event's customer held at its time; 0 for none."""
        depth = np.zeros(len(self.events))
        for trial in self.trials:
            holds = np.zeros(len(self.countries), np.bool_)
            holds[trial.customer[trial.treated]] = True
            at = self.events.occurred_at_ms
            inside = (at >= trial.opens_ms) & (at < trial.closes_ms)
            depth[inside & holds[self.events.customer]] = trial.depth
        return depth


def history_of(config: ShopConfig) -> History:
    """Return the whole shop; trials whose offers are still open at its end are left out."""
    table = pa.concat_tables(event_chunks(config))
    customer = np.array([int(name[1:]) for name in table["customer"].to_pylist()], np.int64)
    end_ms = (config.start.toordinal() - 719_163 + config.days) * DAY_MS
    lines = pc.is_in(table["event_type"], pa.array(list(KINDS))).to_numpy()
    events = _events(table.filter(pa.array(lines)), customer[lines])
    countries = [""] * config.customers
    for who, country in zip(events.customer.tolist(), events.country.tolist(), strict=True):
        countries[who] = country
    offers = _trials(table.filter(pa.array(~lines)), customer[~lines])
    return History(events, countries, tuple(o for o in offers if o.closes_ms <= end_ms), end_ms)


def _events(lines: pa.Table, customer: Integers) -> EventTable:
    order = np.argsort(customer, kind="stable")  # the shop's events come in the order of time
    kinds = [int(KINDS[name]) for name in lines["event_type"].to_pylist()]
    ids = lines["order_id"].to_pylist()
    return EventTable(
        customer=customer[order],
        kind=np.array(kinds, np.int8)[order],
        sku=lines["sku"].to_numpy().astype(object)[order],
        order=np.array([1 + int(text[1:], 16) for text in ids], np.int64)[order],
        occurred_at_ms=_milliseconds(lines["occurred_at"])[order],
        quantity=lines["quantity"].to_numpy().astype(np.float64)[order],
        unit_price=lines["unit_price"].to_numpy()[order],
        country=lines["country"].to_numpy().astype(object)[order],
        offer_depth=np.zeros(len(order)),
    )


def _trials(offers: pa.Table, customer: Integers) -> list[Trial]:
    names = offers["offer_id"].to_numpy()
    treated = offers["arm"].to_numpy() == "treatment"
    opens, closes = (_milliseconds(offers[name]) for name in ("valid_from", "valid_until"))
    depth = offers["depth"].to_numpy()
    trials = []
    for name in sorted(set(names.tolist())):
        rows = np.flatnonzero(names == name)
        trials.append(
            Trial(
                name=name,
                depth=float(depth[rows[0]]),
                opens_ms=int(opens[rows[0]]),
                closes_ms=int(closes[rows[0]]),
                customer=customer[rows],
                treated=treated[rows],
            )
        )
    return trials


def _milliseconds(column: pa.ChunkedArray) -> Integers:
    return np.asarray(column.cast(pa.int64()).to_numpy())
