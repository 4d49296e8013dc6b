"""The market is a fold over closed days; a snapshot holds earlier days only and never changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.mixture.days import DayCounts, day_counts
from ml.mixture.lines import UNKNOWN, Lines
from ml.mixture.market import (
    TABLES,
    DayClosed,
    Market,
    MarketConfig,
    ReplayedMarket,
    Snapshot,
    UnreadableMarket,
)
from ml.mixture.tables import largest_of_each_row
from tests.ml.histories import DAY, ITEMS, OPENING_MS
from tests.ml.mixture.shops import VOCABULARY, bought, busy, days, number

ITEM_COUNT = len(ITEMS)
FIRST = OPENING_MS // DAY
CONFIG = MarketConfig(items=ITEM_COUNT, refresh_days=1)
A, B, C, D = range(4)


def counted(events) -> list[DayCounts]:
    lines = Lines.of(events, VOCABULARY)
    return list(day_counts(lines, ITEM_COUNT))


def market_of(events, config: MarketConfig = CONFIG) -> ReplayedMarket:
    return ReplayedMarket(config, counted(events))


def test_the_first_day_is_predicted_from_nothing_and_the_second_from_the_first():
    market = market_of(days("aab|c"))
    empty, second = market.before(FIRST), market.before(FIRST + 1)
    assert empty.popularity == pytest.approx(np.full((3, ITEM_COUNT), 1 / ITEM_COUNT))
    assert second.popularity[0, A] == pytest.approx(2.1 / (3 + 0.1 * ITEM_COUNT))
    assert second.popularity[0, C] == pytest.approx(0.1 / (3 + 0.1 * ITEM_COUNT))
    assert (empty.number, second.number) == (0, 1)


def test_recent_popularity_forgets_after_seven_and_twenty_eight_days():
    market = market_of(days("a"))
    week, month, later = (market.before(FIRST + n).popularity[:, A] for n in (7, 28, 29))
    uniform = 1 / ITEM_COUNT
    assert (week > uniform).all()
    assert (month > uniform).tolist() == [True, True, False]
    assert (later > uniform).tolist() == [True, False, False]


def test_transitions_cross_orders_and_skips_do_not():
    snapshot = market_of(days("abcda|b")).before(FIRST + 2)
    assert (
        number(snapshot.transitions, A, B) == 2
    )  # one of them from the last line of the day before
    assert number(snapshot.skips, A, C) == 1
    assert number(snapshot.skips, A, A) == 1
    assert number(snapshot.skips, D, B) == 0
    assert snapshot.transitions.total(np.array([A, UNKNOWN])).tolist() == [2, 0]


def test_recent_transitions_halve_in_three_weeks():
    one = "ab" + "|" * 21 + "ac"
    snapshot = market_of(days(one)).before(FIRST + 22)
    table = snapshot.recent_transitions
    assert number(table, A, B) == pytest.approx(number(table, A, C) / 2)


def test_transitions_of_different_customers_do_not_run_into_each_other():
    snapshot = market_of(days("ab", "cd")).before(FIRST + 1)
    assert number(snapshot.transitions, B, C) == 0
    assert len(snapshot.transitions.values) == 2


def test_likeness_is_the_shrunk_cosine_of_the_orders():
    snapshot = market_of(days("abb", "ab", "ac")).before(FIRST + 1)
    assert number(snapshot.neighbours, A, B) == pytest.approx(2 / np.sqrt(3 * 2) * 2 / 12)
    assert number(snapshot.neighbours, A, C) == pytest.approx(1 / np.sqrt(3 * 1) * 1 / 11)
    assert number(snapshot.neighbours, A, A) == 0
    assert number(snapshot.neighbours, B, C) == 0


def test_an_unknown_item_is_not_counted_and_joins_nothing():
    lines = Lines.of(days("azb"), {"item-0": A, "item-1": B})
    only = next(day_counts(lines, ITEM_COUNT))
    assert only.items.tolist() == [A, B]
    assert only.transitions.size == 0
    assert only.skips.tolist() == [A * ITEM_COUNT + B]


@settings(deadline=None)
@given(busy)
def test_lines_of_a_day_or_later_change_nothing_in_its_snapshot(made):
    lines = bought(made)
    for day in np.unique(lines.day).tolist():
        whole = ReplayedMarket(CONFIG, counts_of(lines)).before(day)
        early = ReplayedMarket(CONFIG, counts_of(lines.rows(lines.day < day))).before(day)
        assert whole.to_bytes() == early.to_bytes()


@settings(deadline=None)
@given(busy, st.randoms(use_true_random=False))
def test_snapshots_do_not_depend_on_the_order_in_which_they_are_asked_for(made, random):
    lines = bought(made)
    asked = [*np.unique(lines.day).tolist(), FIRST + 40]
    market = ReplayedMarket(CONFIG, counts_of(lines))
    expected = {day: market.before(day).to_bytes() for day in asked}
    random.shuffle(asked)
    assert {day: market.before(day).to_bytes() for day in asked} == expected


@settings(deadline=None)
@given(busy)
def test_what_a_day_counted_does_not_change_with_the_days_after_it(made):
    lines = bought(made)
    whole = [day.to_bytes() for day in counts_of(lines)]
    for place, day in enumerate(np.unique(lines.day).tolist()):
        *_, newest = counts_of(lines.rows(lines.day <= day))
        assert newest.to_bytes() == whole[place]


@settings(deadline=None)
@given(busy)
def test_counts_and_snapshots_survive_their_bytes_to_the_bit(made):
    market = ReplayedMarket(CONFIG, counts_of(bought(made)))
    for day in market.days:
        assert DayCounts.from_bytes(day.to_bytes()).to_bytes() == day.to_bytes()
    snapshot = market.before(FIRST + 40)
    again = Snapshot.from_bytes(snapshot.to_bytes())
    assert again.to_bytes() == snapshot.to_bytes()
    assert np.array_equal(again.popularity, snapshot.popularity)
    for name in TABLES:
        left, right = getattr(again, name), getattr(snapshot, name)
        for column in ("starts", "columns", "values", "totals"):
            assert np.array_equal(getattr(left, column), getattr(right, column))


def test_a_snapshot_of_another_format_is_refused(monkeypatch):
    data = market_of(days("a")).before(FIRST).to_bytes()
    monkeypatch.setattr("ml.mixture.market.FORMAT", 7)
    with pytest.raises(UnreadableMarket, match="format 2, expected 7"):
        Snapshot.from_bytes(data)


def test_a_closed_day_stays_closed():
    market = Market(CONFIG)
    first, second = counted(days("a|b"))
    market.close(second)
    with pytest.raises(DayClosed, match="expected a later one"):
        market.close(first)
    with pytest.raises(DayClosed):
        market.snapshot(second.day)


def test_the_market_keeps_no_more_days_than_it_needs():
    market = Market(MarketConfig(items=ITEM_COUNT))
    for day in counted(days("|".join("ab" * 40))):
        market.close(day)
        assert len(market.days) <= 28
        assert len(market.pending) < 7


def test_a_snapshot_does_not_change_when_more_days_are_closed():
    first, second = counted(days("abab|cdcd"))
    market = Market(CONFIG)
    market.close(first)
    snapshot = market.snapshot(FIRST + 1)
    before = snapshot.to_bytes()
    market.close(second)
    market.snapshot(FIRST + 2)
    assert snapshot.to_bytes() == before


def test_rows_are_bounded_and_keep_their_largest_numbers():
    matrix = np.array([[5, 1, 4, 4], [0, 2, 0, 0], [3, 3, 3, 3]], float)
    kept = largest_of_each_row(matrix, 2).toarray()
    assert kept.tolist() == [[5, 0, 4, 0], [0, 2, 0, 0], [3, 3, 0, 0]]


def counts_of(lines: Lines) -> list[DayCounts]:
    return list(day_counts(lines, ITEM_COUNT))
