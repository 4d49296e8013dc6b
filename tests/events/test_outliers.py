"""Outliers: lines far from what their item usually sells like, as far as it is known."""

import math
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.catalogue import OfferViewed
from events.services import append_batch
from events.services.compact import compact_sku_days
from events.services.outliers import Lines, Windows, stored_days, windows, with_outliers_marked
from tests.builders import DAY, NOON
from tests.events.builders import line, rows, viewed

pytestmark = pytest.mark.django_db


def sold(quantity, at=NOON, **changes):
    return viewed(
        uuid4(), type="item_purchased", occurred_at=at, data=line(quantity=quantity, **changes)
    )


def marks(events):
    """Which of these are marked, in the order in which they come in."""
    marked = with_outliers_marked(events)
    append_batch(events=marked, at=NOON)
    return ["outlier" in event.metadata for event in marked]


def usual(count=20, at=NOON):
    return [sold(10 + number % 3, at=at) for number in range(count)]


def test_a_quantity_far_from_the_usual_one_is_an_outlier():
    assert marks([*usual(), sold(11), sold(500), sold(1)]) == [False] * 21 + [True, True]


def test_a_value_far_from_the_usual_one_is_an_outlier():
    dear = sold(11, unit_price=line().unit_price * 100)

    assert marks([*usual(), dear])[-1]


def test_nothing_is_an_outlier_before_twenty_lines_of_its_item_are_known():
    assert not any(marks([*usual(19), sold(500)]))


def test_twenty_lines_in_other_batches_count_too_also_in_another_process():
    marks(usual())
    windows.clear()  # as if another process had taken them

    assert marks([sold(500)]) == [True]


def test_lines_of_more_than_thirty_days_before_are_forgotten():
    marks(usual())

    assert marks([sold(500, at=NOON + 31 * DAY)]) == [False]
    assert marks([sold(500, at=NOON + 30 * DAY)]) == [True]


def test_a_late_line_is_held_against_the_days_before_it():
    marks([*usual(at=NOON), *[sold(500, at=NOON + 40 * DAY) for _ in range(30)]])

    assert marks([sold(500, at=NOON + 1 * DAY), sold(12, at=NOON + 1 * DAY)]) == [True, False]


def test_an_item_that_always_sells_by_the_piece_may_sell_by_two():
    assert marks([*[sold(1) for _ in range(30)], sold(2), sold(3)]) == [False] * 31 + [True]


def test_an_event_sent_again_is_not_counted_again():
    events = usual(19)
    marks(events)
    append_batch(events=events, at=NOON)
    windows.clear()

    assert marks([sold(500)]) == [False]
    assert rows("SELECT sum(n) FROM events_skuday") == [(20,)]


def test_technical_lines_and_other_events_are_neither_marked_nor_counted():
    technical = [
        viewed(uuid4(), type="item_purchased", data=line(), metadata={"technical": True})
        for _ in range(30)
    ]
    other = viewed(uuid4(), type="offer_viewed", data=OfferViewed(offer_id="o-1"))

    assert not any(marks([*technical, other, sold(500)]))
    assert rows("SELECT sum(n) FROM events_skuday") == [(1,)]


quantities = st.sampled_from([8, 9, 10, 11, 12, 13, 1, 30, 400])
sales = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(0, 50), quantities), min_size=60, max_size=120
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sales, st.integers(1, 40))
def test_marks_are_those_of_the_rule_itself_however_the_lines_are_cut(history, cut):
    """The moving sums against the rule written out: mean and deviation of all in the window."""
    lines = [(sku, day, Lines(1, q, q * q, q, q * q)) for sku, day, q in _logs(history)]
    known = Windows()
    known._windows = {}
    found = []
    for start in range(0, len(lines), cut):
        piece = lines[start : start + cut]
        known._load = lambda piece, at=start: _load_from(known, lines[:at], piece)
        found += known.mark(piece)

    assert found == [_is_outlier(lines[:number], line) for number, line in enumerate(lines)]


def _logs(history):
    return [(sku, day, math.log(quantity)) for sku, day, quantity in history]


def _load_from(known, before, piece):
    """What loading from the store does, with the lines before this piece as the store."""
    fresh = Windows()
    for sku, day, stored in before:
        fresh._windows.setdefault(sku, _window()).days.setdefault(day, Lines()).add(stored)
    for sku, _, _ in piece:
        known._windows[sku] = fresh._windows.get(sku) or _window()


def _window():
    from events.services.outliers import Window

    return Window(loaded_at=0, since=-1_000)


def _is_outlier(before, line):
    sku, day, facts = line
    logs = [other.q for s, d, other in before if s == sku and day - 30 <= d <= day]
    if len(logs) < 20:
        return False
    mean = sum(logs) / len(logs)
    deviation = math.sqrt(sum((log - mean) ** 2 for log in logs) / (len(logs) - 1))
    return abs(facts.q - mean) > 3 * max(deviation, 0.25) + 1e-12


def test_putting_past_days_together_changes_no_sum_and_leaves_one_row_a_day():
    marks([*usual(), *usual(at=NOON + DAY)])
    rows("UPDATE events_skuday SET slot = 3", fetch=False)
    marks(usual())  # another slot, unless chance has it
    before = stored_days({"85123A": 0})

    gone = compact_sku_days(at=NOON + 30 * DAY)

    assert gone in (2, 3)
    assert {row[:2]: row[2].n for row in stored_days({"85123A": 0})} == {
        row[:2]: row[2].n for row in before
    }
    assert rows("SELECT slot, n FROM events_skuday ORDER BY day") == [(-1, 40), (-1, 20)]
    assert compact_sku_days(at=NOON + 30 * DAY) == 0


def test_days_that_may_still_grow_are_left_alone():
    marks(usual())

    assert compact_sku_days(at=NOON + DAY) == 0
