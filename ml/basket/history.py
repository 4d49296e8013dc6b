"""The fold of a whole shop in the order of time: what was known before each order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ml.basket.features import Candidates, candidates
from ml.basket.market import Market
from ml.basket.memory import CustomerMemory, Order


@dataclass(slots=True)
class Shop:
    """The memories of all customers and the market, advanced one order at a time."""

    market: Market
    memories: dict[int, CustomerMemory] = field(default_factory=dict)

    @staticmethod
    def of(items: int) -> Shop:
        """Return a shop of so many items that nobody has bought from."""
        return Shop(Market(items))

    def before(self, order: Order) -> Candidates | None:
        """Return what is known before an order; None before a customer's first."""
        self.market.open_day(order.day)
        memory = self.memories.get(order.customer)
        if memory is None:
            return None
        return candidates(memory, self.market, order.day, order.country)

    def fold(self, order: Order) -> None:
        """Take in one order; orders come by day."""
        self.market.open_day(order.day)
        memory = self.memories.setdefault(order.customer, CustomerMemory())
        self.market.note(order, *memory.fold(order))


def walk(
    orders: Sequence[Order], items: int, wanted: Sequence[bool]
) -> Iterator[tuple[int, Candidates]]:
    """Yield the number of each wanted order that is not a customer's first, and its candidates.

    ``orders`` are by time. What is yielded depends on what came before alone.
    """
    shop = Shop.of(items)
    for number, (order, asked) in enumerate(zip(orders, wanted, strict=True)):
        found = shop.before(order) if asked else None
        if found is not None:
            yield number, found
        shop.fold(order)
