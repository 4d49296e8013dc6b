"""What is remembered of purchase days: exact, whatever the chunks."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.events import EventKind, EventTable
from ml.rhythm.days import PurchaseDays
from ml.rhythm.statistics import COLUMNS, RECENT_DAYS, Purchases
from tests.ml.histories import DAY, MINUTE, Line, histories, table

MONDAY = 14_977  # 2011-01-03


def bought(*days: float, cents: int = 250, kind: int = EventKind.PURCHASED) -> list[Line]:
    return [
        Line(int((MONDAY + day) * DAY), order=n + 1, kind=kind, unit_price=cents / 100)
        for n, day in enumerate(days)
    ]


def after(lines: list[Line]) -> dict[str, int]:
    folded = Purchases.none(1).folded(table([lines]))
    return {name: int(column[0]) for name, column in folded.columns().items()}


def test_purchase_days_are_counted_and_their_gaps_kept():
    found = after(bought(0, 0.4, 10, 30, 30.2, 33))
    assert found["purchase_days"] == 4
    assert (found["first_day"], found["last_day"]) == (MONDAY, MONDAY + 33)
    assert (found["gap_days"], found["gap_before_days"]) == (3, 20)
    assert (found["spend_cents"], found["last_day_cents"]) == (1_500, 250)
    assert found["recent_0"] == 1 | 1 << 3 | 1 << 23 | 1 << 33


def test_a_day_beyond_the_recent_ones_is_forgotten_and_one_in_a_later_word_is_not():
    found = after(bought(0, 1, RECENT_DAYS))
    assert [found[f"recent_{n}"] for n in range(4)] == [1, 0, 0, 1 << 47]


def test_the_last_day_goes_on_where_the_next_chunk_begins_on_it():
    lines = bought(0, 5, 5.5)
    first = Purchases.none(1).folded(table([lines[:2]]))
    whole = first.folded(table([lines[2:]]))
    assert (int(whole.purchase_days[0]), int(whole.last_day_cents[0])) == (2, 500)
    assert (int(whole.gap_days[0]), int(whole.gap_before_days[0])) == (5, 0)


def equal(one: Purchases, other: Purchases) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)


@settings(max_examples=60)
@given(histories, st.data())
def test_one_by_one_is_in_one_batch_is_any_chunking(made, data):
    events, customers = table(made), len(made)
    whole = Purchases.none(customers).folded(events)
    cut = data.draw(st.integers(0, len(events)))
    by_time = np.argsort(events.occurred_at_ms, kind="stable")
    early = np.isin(np.arange(len(events)), by_time[:cut])
    chunked = Purchases.none(customers).folded(events.rows(early)).folded(events.rows(~early))
    single = Purchases.none(customers)
    for row in range(len(events)):
        single = single.folded(events.rows(np.array([row])))
    assert equal(whole, chunked)
    assert equal(whole, single)


@settings(max_examples=40)
@given(histories)
def test_only_purchases_count(made):
    events = table(made)
    kept = events.rows(events.kind == EventKind.PURCHASED)
    nothing = Purchases.none(len(made))
    assert equal(nothing.folded(events), nothing.folded(kept))


@settings(max_examples=40)
@given(histories)
def test_they_are_what_the_table_of_purchase_days_says(made):
    events = table(made)
    found = Purchases.none(len(made)).folded(events)
    days = PurchaseDays.of_events(events)
    for customer in range(len(made)):
        own = days.day[days.customer == customer]
        assert found.purchase_days[customer] == len(own)
        if len(own):
            assert (found.first_day[customer], found.last_day[customer]) == (own[0], own[-1])
            gaps = np.diff(own, prepend=own[0])[-2:].tolist()
            assert found.gap_days[customer] == gaps[-1]
            assert found.gap_before_days[customer] == (gaps[0] if len(gaps) > 1 else 0)
            ages = own[-1] - own
            assert np.flatnonzero(found.recent()[customer]).tolist() == sorted(
                ages[ages < RECENT_DAYS].tolist()
            )
            assert found.spend_cents[customer] == round(
                100 * days.spend[days.customer == customer].sum()
            )


def test_the_order_of_customers_changes_nothing():
    made = [bought(0, 3), bought(1), [], bought(2, 5, 9, 300)]
    straight = Purchases.none(4).folded(table(made))
    turned = Purchases.none(4).folded(table(made[::-1]))
    for name in COLUMNS:
        assert np.array_equal(getattr(straight, name), getattr(turned, name)[::-1])


def test_an_empty_table_changes_nothing():
    before = Purchases.none(2).folded(table([bought(1), bought(2)]))
    assert equal(before.folded(EventTable.empty()), before)


def test_a_minute_past_midnight_is_another_day():
    found = after([*bought(0), Line((MONDAY + 1) * DAY + MINUTE, order=2)])
    assert (found["purchase_days"], found["gap_days"]) == (2, 1)
