"""Demand counts orders, not lines, of closed days only, and tells buyers from repeats."""

import numpy as np
import pytest
from hypothesis import given, settings

from ml.mixture.days import NEVER, SAME_ORDER, days_passed
from ml.mixture.demand import WINDOWS, Demand
from ml.mixture.frame import Frame, MixtureConfig
from ml.mixture.lines import UNKNOWN, Lines
from tests.ml.histories import COUNTRIES, DAY, ITEMS, OPENING_MS, Line, table
from tests.ml.mixture.shops import bought, busy, days

FIRST = OPENING_MS // DAY
FRAME = Frame(ITEMS, COUNTRIES, MixtureConfig())
A, B, C = range(3)


def demand_of(events, day: int) -> Demand:
    return FRAME.market(FRAME.lines(events)).before(day).demand


def test_an_item_on_two_lines_of_an_order_is_ordered_once():
    demand = demand_of(days("aab|a", "b"), FIRST + 2)
    assert demand.orders[[A, B, C]].tolist() == [2, 2, 0]
    assert demand.repeats[[A, B]].tolist() == [1, 0]


def test_gaps_are_the_days_since_the_same_customer_ordered_the_item():
    demand = demand_of(days("a|b||a", "||a"), FIRST + 4)
    assert (demand.orders[A], demand.repeats[A], demand.gap_days[A]) == (3, 1, 3)
    assert demand.first_day[[A, B, C]].tolist() == [FIRST, FIRST + 1, 0]


def test_windows_forget_day_by_day_and_all_time_does_not():
    for days_later, inside in (
        (7, 4),
        (8, 3),
        (14, 3),
        (15, 2),
        (28, 2),
        (29, 1),
        (90, 1),
        (91, 0),
    ):
        made = days("a" + "|" * (days_later - 1) + "b")  # b closes the day before
        demand = demand_of(made, FIRST + days_later)
        assert demand.windows[:, A].tolist() == [0] * (4 - inside) + [1] * inside
        assert (demand.orders[A], demand.first_day[A]) == (1, FIRST)


def test_prices_and_quantities_are_mean_logs_over_lines():
    made = [[
        Line(OPENING_MS, "item-0", 1, quantity=3, unit_price=1.0),
        Line(OPENING_MS, "item-0", 1, quantity=1, unit_price=3.0),
    ]]  # fmt: skip
    demand = demand_of(table(made), FIRST + 1)
    assert demand.log_quantities[A] == pytest.approx((np.log1p(3) + np.log1p(1)) / 2)
    assert demand.log_prices[A] == pytest.approx((np.log1p(1) + np.log1p(3)) / 2)


def test_orders_are_counted_by_the_country_of_the_line_and_rare_ones_together():
    made = [
        [Line(OPENING_MS, "item-0", 1, country=country)] for country in (*COUNTRIES, "Malta", "")
    ]
    demand = demand_of(table(made), FIRST + 1)
    assert demand.local[:, A].tolist() == [2, *[1] * len(COUNTRIES)]
    assert demand.local.sum() == demand.orders.sum()


def test_unknown_items_are_ordered_by_nobody():
    lines = Lines.of(days("az|z"), {"item-0": A})
    assert days_passed(lines)[lines.item == A].tolist() == [NEVER]
    demand = demand_of(table([[Line(OPENING_MS, "never sold", 1)]]), FIRST + 1)
    assert demand.orders.sum() == demand.local.sum() == 0


@settings(deadline=None)
@given(busy)
def test_demand_is_what_a_plain_count_over_orders_gives(made):
    lines = bought(made)
    if not len(lines):
        return
    until = int(lines.day.max()) + 3
    demand = demand_of(table(made), until)
    orders, repeats, gaps, windows = plain_count(lines, until)
    assert np.array_equal(demand.orders, orders)
    assert np.array_equal(demand.repeats, repeats)
    assert np.array_equal(demand.gap_days, gaps)
    assert np.array_equal(demand.windows, windows)


def plain_count(lines: Lines, until: int):
    orders, repeats, gaps = (np.zeros(len(ITEMS)) for _ in range(3))
    windows = np.zeros((len(WINDOWS), len(ITEMS)))
    for customer in np.unique(lines.customer):
        last, open_order, in_order = {}, None, set()
        for n in np.flatnonzero(lines.customer == customer):
            item, day = int(lines.item[n]), int(lines.day[n])
            if lines.order[n] != open_order or lines.order[n] == 0:
                open_order, in_order = lines.order[n], set()
            if item == UNKNOWN:
                continue
            if item not in in_order:
                orders[item] += 1
                windows[[day >= until - w for w in WINDOWS], item] += 1
                repeats[item] += item in last
                gaps[item] += day - last.get(item, day)
            in_order.add(item)
            last[item] = day
    return orders, repeats, gaps, windows


@settings(deadline=None)
@given(busy)
def test_an_item_of_the_open_order_has_not_passed_and_a_new_one_never_came(made):
    lines = bought(made)
    passed = days_passed(lines)
    assert ((passed >= 0) | np.isin(passed, [NEVER, SAME_ORDER])).all()
    first = np.unique(lines.customer * 100 + lines.item, return_index=True)[1]
    assert (passed[first] == NEVER).all()
    assert (np.delete(passed, first) != NEVER).all()
