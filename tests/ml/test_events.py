"""The table of events refuses what cannot be folded and keeps customers apart."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from ml.errors import UnequalColumns, UnorderedEvents
from ml.events import EventTable, order_key, ranges
from tests.ml.histories import DAY, OPENING_MS, Line, histories, table


def test_rows_that_go_back_in_time_within_a_customer_are_refused():
    with pytest.raises(UnorderedEvents, match="row 1"):
        table([[Line(OPENING_MS + DAY), Line(OPENING_MS)]])


def test_a_customer_who_appears_twice_is_refused():
    events = table([[Line(OPENING_MS)], [Line(OPENING_MS)]])
    with pytest.raises(UnorderedEvents):
        replace(events, customer=events.customer[::-1])


def test_columns_of_different_lengths_are_refused():
    events = table([[Line(OPENING_MS)]])
    with pytest.raises(UnequalColumns, match="sku has 0 rows, expected 1"):
        replace(events, sku=events.sku[:0])


def test_selecting_customers_renumbers_them_in_the_order_asked():
    events = table([[Line(OPENING_MS, "a")], [], [Line(OPENING_MS, "b"), Line(OPENING_MS, "c")]])

    chosen = events.select([2, 1, 0])

    assert chosen.sku.tolist() == ["b", "c", "a"]
    assert chosen.customer.tolist() == [0, 0, 2]


@given(histories)
def test_tables_cut_in_time_and_joined_again_are_the_same_table(made):
    events = table(made)
    early = events.rows(events.occurred_at_ms < OPENING_MS + 30 * DAY)
    late = events.rows(events.occurred_at_ms >= OPENING_MS + 30 * DAY)

    joined = EventTable.concat([early, late, EventTable.empty()])

    assert joined.customer.tolist() == events.customer.tolist()
    assert joined.sku.tolist() == events.sku.tolist()
    assert joined.occurred_at_ms.tolist() == events.occurred_at_ms.tolist()


def test_an_order_key_is_the_same_everywhere_and_never_means_no_order():
    assert order_key("536365") == 3151544803699941299
    assert order_key("536365") != order_key("536366")
    assert -(2**63) <= order_key("536365") < 2**63


def test_ranges_follow_one_another_and_may_be_empty():
    assert ranges(np.array([5, 0, 9]), np.array([2, 0, 3])).tolist() == [5, 6, 9, 10, 11]
