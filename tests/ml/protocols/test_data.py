"""Lines are cleaned, ordered and numbered the same way however the file is sorted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml.protocols.data import EACH_LINE, Lines, moment_ms, segments
from tests.ml.protocols.builders import shop, shops


def test_lines_without_customer_and_returns_are_left_out():
    lines = Lines.of(
        customer=["b", None, "a", "a", ""],
        order=["1", "2", "3", "C4", "5"],
        item=["x", "x", "y", "y", "y"],
        at_ms=[5, 1, 2, 3, 4],
        quantity=[1, 1, 2, -2, 1],
        unit_price=[1.5, 1, 1, 1, 1],
    )
    assert len(lines) == 2
    assert [lines.items[i] for i in lines.item] == ["y", "x"]
    assert lines.customer.tolist() == [0, 1]
    assert lines.total.tolist() == [2.0, 1.5]


def test_lines_of_one_moment_keep_the_order_of_the_file():
    lines = Lines.of(
        customer=["a"] * 4, order=["2", "2", "2", "1"], item=list("zyxw"), at_ms=[7, 7, 7, 3],
        quantity=[1] * 4, unit_price=[1] * 4,
    )  # fmt: skip
    assert [lines.items[i] for i in lines.item] == list("wzyx")
    assert lines.order_starts().tolist() == [0, 1, 1, 1]
    assert lines.customer_starts().tolist() == [0, 0, 0, 0]


@given(shops(), st.integers(0, 9))
def test_shuffling_moves_lines_within_their_order_and_nothing_else(lines: Lines, seed: int):
    shuffled = lines.shuffled(seed)
    for name in ("customer", "order", "at_ms"):
        assert np.array_equal(getattr(shuffled, name), getattr(lines, name))
    for part in segments(lines.order_starts()):
        assert sorted(shuffled.item[part]) == sorted(lines.item[part])


def test_shuffling_does_move_them():
    lines = shop([("a", 0, "o", item) for item in "abcdefghij"])
    assert lines.shuffled(0).item.tolist() != lines.item.tolist()
    assert lines.shuffled(0).item.tolist() == lines.shuffled(0).item.tolist()


@given(shops())
def test_the_twins_table_says_the_same(lines: Lines):
    events = lines.events()
    assert len(events) == len(lines)
    assert events.sku.tolist() == [lines.items[i] for i in lines.item]
    assert events.order.min() > 0
    assert set(EACH_LINE) <= set(Lines.__slots__)


def test_a_date_without_a_zone_is_utc():
    assert moment_ms("1970-01-02") == 86_400_000 == moment_ms("1970-01-02T02:00+02:00")
