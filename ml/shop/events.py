"""The shop as event columns: purchases, returns and offers in one rising sequence of time."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from ml.shop.agents import COUNTRIES, Agents, crm_id, ground_truth
from ml.shop.config import CURRENCY, ShopConfig
from ml.shop.day import Memory, Purchases, simulate_day
from ml.shop.draws import SLOTS, Integers, Purpose, uniform
from ml.shop.market import market_of
from ml.shop.offers import Wave, wave_starting

DAY_MS = 86_400_000
FIRST_RETURN_DAYS, RETURN_DAYS = 2, 21
TIME = pa.timestamp("ms", tz="UTC")
SCHEMA = pa.schema(
    [
        ("event_type", pa.string()),
        ("customer", pa.string()),
        ("occurred_at", TIME),
        ("order_id", pa.string()),
        ("line_no", pa.int32()),
        ("sku", pa.string()),
        ("quantity", pa.int64()),
        ("unit_price", pa.float64()),
        ("list_price", pa.float64()),
        ("currency", pa.string()),
        ("country", pa.string()),
        ("offer_id", pa.string()),
        ("campaign_id", pa.string()),
        ("offer_kind", pa.string()),
        ("depth", pa.float64()),
        ("arm", pa.string()),
        ("valid_from", TIME),
        ("valid_until", TIME),
    ]
)


def event_chunks(config: ShopConfig, *, rows: int = 50_000) -> Iterator[pa.Table]:
    """Yield the events of the whole shop in order of time, ``rows`` at a time (the last fewer).

    The events do not depend on ``rows``; memory depends on the customers, not on the days.
    """
    waiting: list[pa.Table] = []
    count = 0
    for table in _days(config):
        waiting.append(table)
        count += len(table)
        while count >= rows:
            joined = pa.concat_tables(waiting).combine_chunks()
            yield joined.slice(0, rows)
            waiting = [joined.slice(rows)]
            count -= rows
    if count:
        yield pa.concat_tables(waiting).combine_chunks()


def _days(config: ShopConfig) -> Iterator[pa.Table]:
    """Yield one table for each day, in order of time."""
    writer = _Writer(config)
    memory = Memory.empty(config.customers)
    returns: dict[int, list[pa.Table]] = defaultdict(list)
    wave: Wave | None = None
    for day in range(config.days):
        started = wave_starting(config, writer.agents, day)
        wave = started or (wave if wave and day < wave.end_day else None)
        depths = wave.depths(config.customers) if wave else np.zeros(config.customers)
        purchases = simulate_day(config, day, memory, depths)
        for due, table in writer.returns(purchases, day):
            returns[due].append(table)
        parts = [writer.purchases(purchases, day), *returns.pop(day, [])]
        if started:
            parts.append(writer.offers(started))
        yield pa.concat_tables(parts).sort_by([("occurred_at", "ascending"), *TIES])


LONGEST_DAYS = 2**14  # of a shop: 44 years
TIES = [(name, "ascending") for name in ("customer", "event_type", "order_id", "line_no")]


class _Writer:
    """Turns numbers into event columns; names are made once and taken by number."""

    def __init__(self, config: ShopConfig) -> None:
        self.config = config
        self.agents: Agents = ground_truth(config)
        self.names = pa.array([crm_id(i) for i in range(config.customers)])
        self.skus = pa.array(market_of(config).sku)
        self.countries = pa.array(COUNTRIES)
        self.first_ms = (config.start.toordinal() - 719_163) * DAY_MS  # 719,163 is 1970-01-01

    def purchases(self, lines: Purchases, day: int) -> pa.Table:
        """Return one ``item_purchased`` for each line."""
        return self._lines("item_purchased", lines, self._times(day) + lines.time_ms, day)

    def returns(self, lines: Purchases, day: int) -> Iterator[tuple[int, pa.Table]]:
        """Yield the ``item_returned`` events of these lines by the day on which they will come."""
        step = day * SLOTS + lines.line_no

        def draw(purpose: Purpose) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
            return uniform(self.config.seed, lines.customer, step, purpose)

        back = draw(Purpose.RETURN) < self.config.return_share
        lag = FIRST_RETURN_DAYS + np.floor(draw(Purpose.RETURN_LAG) * RETURN_DAYS).astype(np.int64)
        quantity = 1 + np.floor(draw(Purpose.RETURN_QUANTITY) * lines.quantity).astype(np.int64)
        for days in np.unique(lag[back]):
            some = back & (lag == days)
            part = Purchases(**{n: getattr(lines, n)[some] for n in Purchases.__slots__})
            times = self._times(day + int(days)) + part.time_ms
            table = self._lines("item_returned", part, times, day)
            column = pa.array(quantity[some])
            yield day + int(days), table.set_column(6, SCHEMA.field("quantity"), column)

    def offers(self, wave: Wave) -> pa.Table:
        """Return one ``offer_assigned`` for each member, of either arm, at the wave's start."""
        count = len(wave.members)
        start, end = (pa.scalar(self._times(day), TIME) for day in (wave.start_day, wave.end_day))
        columns = {
            "event_type": pa.repeat("offer_assigned", count),
            "customer": self.names.take(pa.array(wave.members)),
            "occurred_at": pa.repeat(start, count),
            "offer_id": pa.repeat(wave.offer_id, count),
            "campaign_id": pa.repeat(wave.campaign_id, count),
            "offer_kind": pa.repeat("discount", count),
            "depth": pa.repeat(wave.depth, count),
            "arm": pa.array(np.where(wave.treated, "treatment", "control")),
            "valid_from": pa.repeat(start, count),
            "valid_until": pa.repeat(end, count),
        }
        return _table(columns, count)

    def _times(self, day: int) -> int:
        return self.first_ms + day * DAY_MS

    def _lines(self, event_type: str, lines: Purchases, times: Integers, day: int) -> pa.Table:
        count = len(lines)
        names = self.names.take(pa.array(lines.customer))
        columns = {
            "event_type": pa.repeat(event_type, count),
            "customer": names,
            "occurred_at": pa.array(times, pa.int64()).cast(TIME),
            "order_id": _order_ids(lines.customer, day),
            "line_no": pa.array(lines.line_no, pa.int32()),
            "sku": self.skus.take(pa.array(lines.item)),
            "quantity": pa.array(lines.quantity),
            "unit_price": pa.array(lines.unit_price_cents / 100),
            "list_price": pa.array(lines.list_price_cents / 100),
            "currency": pa.repeat(CURRENCY, count),
            "country": self.countries.take(pa.array(self.agents.country[lines.customer])),
        }
        return _table(columns, count)


def _order_ids(customers: Integers, day: int) -> pa.Array:
    """Return one id per customer and day that does not show the customer.

    An odd factor permutes the numbers below 2^48, so no two orders share an id.
    """
    numbers = customers.astype(np.uint64) * np.uint64(LONGEST_DAYS) + np.uint64(day)
    mixed = (numbers * np.uint64(0x9E3779B97F4B)) & np.uint64(2**48 - 1)
    return pa.array([f"O{number:012x}" for number in mixed.tolist()])


def _table(columns: dict[str, pa.Array], count: int) -> pa.Table:
    """Return the columns in the schema's order, with nulls where an event has no such field."""
    missing = {f.name: pa.nulls(count, f.type) for f in SCHEMA if f.name not in columns}
    both = {**missing, **columns}
    return pa.table([both[name] for name in SCHEMA.names], schema=SCHEMA)
