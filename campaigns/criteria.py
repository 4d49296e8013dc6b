"""Whom an audience is for: a filter over twins, its checks, and what it says about one twin."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from campaigns.errors import InvalidFilter
from common.canonical_json import sha256_hex
from ml.timing import CHURN_DAYS, TimeToOrder

DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_LISTED = 50_000
RANGES: dict[str, tuple[int, int]] = {
    "orders_at_least": (0, 10**9),
    "recency_days_at_least": (0, 36_500),
    "recency_days_at_most": (0, 36_500),
    "spend_at_least": (0, 10**12),
    "spend_at_most": (0, 10**12),
    "churn_probability_at_least": (0, 1),
    "churn_probability_at_most": (0, 1),
    "churn_days": (1, 3_650),
    "sample": (1, 10**9),
    "sample_seed": (0, 2**63 - 1),
}


@dataclass(frozen=True, slots=True)
class TwinHead:
    """What a filter reads of a twin."""

    pseudonym: UUID
    clock_at: datetime | None
    orders: int
    last_order_at: datetime | None
    spend: Decimal
    time_to_order: TimeToOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """All conditions hold at once; None means no condition.

    Recency is the time from the last order to the evaluation; a customer without an order meets no
    recency condition. Spend sums purchases, returns not taken off. The churn probability is that
    of no order within ``churn_days`` of the evaluation. ``sample`` keeps the customers with the
    smallest keyed hashes: the same ones for the same seed, wherever it is computed.
    """

    orders_at_least: int | None = None
    recency_days_at_least: float | None = None
    recency_days_at_most: float | None = None
    spend_at_least: Decimal | None = None
    spend_at_most: Decimal | None = None
    countries: tuple[str, ...] | None = None
    churn_probability_at_least: float | None = None
    churn_probability_at_most: float | None = None
    churn_days: int = CHURN_DAYS
    pseudonyms: frozenset[UUID] | None = None
    sample: int | None = None
    sample_seed: int = 0

    def check(self) -> None:
        """Nothing happens where the filter makes sense.

        Raises:
            InvalidFilter: a bound is out of range, or a lower bound lies above its upper one.
        """
        self._check_ranges()
        for name in ("recency_days", "spend", "churn_probability"):
            low, high = getattr(self, f"{name}_at_least"), getattr(self, f"{name}_at_most")
            if low is not None and high is not None and low > high:
                expected = f"at most {name}_at_most, which is {high}"
                raise InvalidFilter(field=f"{name}_at_least", value=low, expected=expected)
        listed = self.pseudonyms
        if listed is not None and not 1 <= len(listed) <= MOST_LISTED:
            raise InvalidFilter(
                field="pseudonyms",
                value=f"a list of {len(listed)}",
                expected=f"1 to {MOST_LISTED} pseudonyms",
            )

    def _check_ranges(self) -> None:
        for field, (low, high) in RANGES.items():
            value = getattr(self, field)
            if value is not None and not low <= value <= high:
                raise InvalidFilter(field=field, value=value, expected=f"{low} to {high}")

    def matches(self, twin: TwinHead, country: str, at: datetime) -> bool:
        """Whether the twin meets every condition but the list and the sample."""
        return (
            _within(twin.orders, self.orders_at_least, None)
            and self._recency_fits(twin, at)
            and _within(twin.spend, self.spend_at_least, self.spend_at_most)
            and (self.countries is None or country in self.countries)
            and self._churn_fits(twin, at)
        )

    def _recency_fits(self, twin: TwinHead, at: datetime) -> bool:
        if self.recency_days_at_least is None and self.recency_days_at_most is None:
            return True
        if twin.last_order_at is None:
            return False
        days = (at - twin.last_order_at) / DAY
        return _within(days, self.recency_days_at_least, self.recency_days_at_most)

    def _churn_fits(self, twin: TwinHead, at: datetime) -> bool:
        low, high = self.churn_probability_at_least, self.churn_probability_at_most
        if low is None and high is None:
            return True
        as_of = max(at, twin.clock_at) if twin.clock_at else at
        as_of_ms = (as_of - EPOCH) // timedelta(milliseconds=1)
        churn = 1 - twin.time_to_order.probability_within(self.churn_days, as_of_ms)
        return _within(churn, low, high)

    def sampled(self, pseudonyms: Iterable[UUID]) -> list[UUID]:
        """The chosen ones in ascending order; all where no sample is asked for."""
        if self.sample is None:
            return sorted(pseudonyms)
        key = self.sample_seed.to_bytes(8, "big")
        ranked = sorted(pseudonyms, key=lambda p: hmac.digest(key, p.bytes, hashlib.sha256))
        return sorted(ranked[: self.sample])

    def stored(self) -> dict[str, Any]:
        """The filter as JSON, without the conditions that are not set.

        An explicit list is kept as its length and SHA-256: the people on it are the members, which
        an erasure can find and delete.
        """
        fields = {name: getattr(self, name) for name in self.__slots__ if name != "pseudonyms"}
        kept = {name: _plain(value) for name, value in fields.items() if value is not None}
        if self.pseudonyms is not None:
            listed = sorted(str(pseudonym) for pseudonym in self.pseudonyms)
            kept["pseudonyms"] = {"count": len(listed), "sha256": sha256_hex(listed)}
        if self.sample is None:
            del kept["sample_seed"]
        if self.churn_probability_at_least is None and self.churn_probability_at_most is None:
            del kept["churn_days"]
        return kept


def _within(value: Any, low: Any, high: Any) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
