"""A memory is bounded, exact, and made of the customer's own purchases alone."""

from collections import Counter

import pytest
from hypothesis import given, settings

from ml.mixture.lines import UNKNOWN
from ml.mixture.memory import (
    FAST_DECAY,
    ORDER_DECAY,
    SLOW_DECAY,
    WINDOW,
    Limits,
    Memory,
    UnreadableMemory,
)
from tests.ml.histories import DAY, OPENING_MS
from tests.ml.mixture.shops import bought, busy_lines, mixed_histories

LOGS = (1.0, 0.5, 2.0)
UNBOUNDED = Limits()


def remembered(orders: list[list[int]], limits: Limits = UNBOUNDED) -> Memory:
    memory = Memory()
    for number, order in enumerate(orders, start=1):
        for item in order:
            memory.add(item, number, OPENING_MS + number, LOGS, limits)
    return memory


def test_own_items_are_counted_and_fade_by_fifteen_per_cent_from_order_to_order():
    memory = remembered([[1, 2, 1], [3], [1]])
    mine = memory.own[1]
    assert (mine.count, memory.own_total) == (3, 5)
    assert (mine.order, memory.orders) == (3, 3)
    assert mine.weight == pytest.approx(1 + 2 * ORDER_DECAY**2)
    assert memory.weight_total == pytest.approx(1 + ORDER_DECAY + 3 * ORDER_DECAY**2)


def test_an_item_counts_once_per_order_and_its_orders_fade_at_two_rates():
    memory = remembered([[1, 2, 1], [3], [1, 1]])
    mine = memory.own[1]
    assert (mine.orders, mine.count, mine.order) == (2, 4, 3)
    assert mine.slow == pytest.approx(1 + SLOW_DECAY**2)
    assert mine.fast == pytest.approx(1 + FAST_DECAY**2)
    assert mine.weight == pytest.approx(2 + 2 * ORDER_DECAY**2)
    assert mine.quantities == 4 * LOGS[1]
    assert (memory.kinds, memory.repeats) == (3, 1)


def test_days_are_those_of_the_first_and_the_last_order_with_an_item():
    memory = Memory()
    for number, day in enumerate((0, 5, 9), start=1):
        memory.add(1 if day != 5 else 2, number, OPENING_MS + day * DAY, LOGS, UNBOUNDED)
    first = OPENING_MS // DAY
    assert (memory.own[1].first_day, memory.own[1].last_day) == (first, first + 9)
    assert (memory.own[2].first_day, memory.own[2].last_day) == (first + 5, first + 5)
    assert memory.first_day == first


def test_what_followed_an_item_is_counted_across_orders():
    memory = remembered([[1, 2, 1], [2, 3, 1]])
    assert memory.previous == 1
    assert (memory.own[2].next, memory.own[2].next_total) == ({1: 1, 3: 1}, 2)


def test_an_unknown_item_takes_a_place_in_the_order_and_breaks_the_chain():
    memory = remembered([[1, UNKNOWN, 2]])
    assert memory.last == [2, UNKNOWN, 1]
    assert memory.own[1].next == {}
    assert list(memory.basket) == [1, 2]


def test_a_new_order_empties_the_basket_and_the_last_lines():
    memory = remembered([[1, 2], [3]])
    assert (list(memory.basket), memory.last, memory.position) == ([3], [3], 1)
    assert memory.prices == LOGS[0]


def test_lines_without_an_order_each_stand_alone():
    memory = remembered([])
    for _ in range(3):
        memory.add(1, 0, OPENING_MS, LOGS, Limits())
    assert (memory.orders, memory.position) == (3, 1)


def test_the_items_bought_longest_ago_are_forgotten_first():
    memory = remembered([[1, 2, 3, 1, 4]], Limits(items=3))
    assert list(memory.own) == [3, 1, 4]
    assert memory.own_total == 4


@settings(deadline=None)
@given(mixed_histories)
def test_a_memory_keeps_its_bounds_and_its_totals_are_the_sums_of_what_it_keeps(made):
    limits = Limits(items=4, successors=2, basket=3)
    for memory in folded(made, limits):
        assert len(memory.own) <= 4
        assert len(memory.basket) <= 3
        assert len(memory.last) <= WINDOW
        assert memory.own_total == sum(item.count for item in memory.own.values())
        faded = [ORDER_DECAY ** (memory.orders - i.order) * i.weight for i in memory.own.values()]
        assert memory.weight_total == pytest.approx(sum(faded))
        for item in memory.own.values():
            assert len(item.next) <= 2
            assert item.next_total == sum(item.next.values())


@settings(deadline=None)
@given(mixed_histories)
def test_without_bounds_a_memory_is_what_a_plain_count_gives(made):
    lines = bought(made)
    for customer, memory in enumerate(folded(made, Limits())):
        items = lines.item[lines.customer == customer].tolist()
        counted = Counter(item for item in items if item != UNKNOWN)
        assert {item: own.count for item, own in memory.own.items()} == counted
        assert memory.lines == len(items)
        assert memory.kinds == len(counted)
        orders = orders_of(lines, customer)
        assert memory.orders == len(orders)
        in_orders = Counter(item for order in orders for item in order if item != UNKNOWN)
        assert {item: own.orders for item, own in memory.own.items()} == in_orders
        assert memory.kinds + memory.repeats == in_orders.total()
        for item, own in memory.own.items():
            passed = [len(orders) - n for n, order in enumerate(orders, start=1) if item in order]
            newest = min(passed)
            assert own.slow == pytest.approx(sum(SLOW_DECAY ** (n - newest) for n in passed))
            assert own.fast == pytest.approx(sum(FAST_DECAY ** (n - newest) for n in passed))


@settings(deadline=None)
@given(mixed_histories)
def test_a_memory_survives_its_bytes_to_the_bit(made):
    for memory in folded(made, Limits(items=4, successors=2, basket=3)):
        again = Memory.from_bytes(memory.to_bytes())
        for name in Memory.__slots__:
            assert getattr(memory, name) == getattr(again, name), name
        assert list(again.own) == list(memory.own)
        assert again.to_bytes() == memory.to_bytes()


@settings(deadline=None)
@given(busy_lines(), busy_lines())
def test_a_memory_read_from_bytes_goes_on_as_if_it_had_never_left(before, after):
    limits = Limits(items=3, successors=2, basket=3)
    memory = folded([before], limits)[0]
    copy = memory.copy()
    untouched = memory.to_bytes()
    for kept in (copy, Memory.from_bytes(untouched)):
        add_all(kept, [after], limits)
    assert memory.to_bytes() == untouched
    add_all(memory, [after], limits)
    assert memory.to_bytes() == copy.to_bytes() == kept.to_bytes()


def test_bytes_of_another_format_are_refused():
    data = bytearray(Memory().to_bytes())
    data[0] = 99
    with pytest.raises(UnreadableMemory, match="format 99"):
        Memory.from_bytes(bytes(data))


def orders_of(lines, customer):
    """The distinct items of each of a customer's orders."""
    made, open_order = [], None
    for n in range(len(lines)):
        if lines.customer[n] != customer:
            continue
        if lines.order[n] != open_order or lines.order[n] == 0:
            made.append(set())
        open_order = lines.order[n]
        made[-1].add(int(lines.item[n]))
    return made


def folded(made, limits):
    memories = [Memory(country) for country in range(len(made))]
    for customer, memory in enumerate(memories):
        add_all(memory, [made[customer]], limits)
    return memories


def add_all(memory, made, limits):
    lines = bought(made)
    for n in range(len(lines)):
        logs = (lines.log_price[n], lines.log_quantity[n], lines.log_total[n])
        memory.add(int(lines.item[n]), int(lines.order[n]), int(lines.at_ms[n]), logs, limits)
