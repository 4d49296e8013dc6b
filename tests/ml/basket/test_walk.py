"""What is known before an order: of earlier lines and of closed days alone, as features say it."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ml.basket.features import EVER, LATELY, MARKET, Candidates, candidates
from ml.basket.known import Known, likely
from ml.basket.shelf import Shelf
from ml.basket.walk import Asked, baskets, order_starts, walk
from ml.events import EventTable
from ml.mixture.fold import fold_lines
from ml.mixture.frame import Frame, MixtureConfig
from ml.mixture.memory import FAST_DECAY, Limits, Memory
from tests.ml.histories import COUNTRIES, DAY, ITEMS, OPENING_MS, Line, table
from tests.ml.mixture.shops import busy, countries, days, number

FIRST = OPENING_MS // DAY
FRAME = Frame(ITEMS, COUNTRIES, MixtureConfig())
A, B, C, D = range(4)


def walked(made: EventTable, customers: int, asked: list[int] | None = None) -> dict[int, Asked]:
    lines = FRAME.lines(made)
    starts = order_starts(lines) if asked is None else np.array(asked, np.int64)
    every = walk(FRAME, lines, countries(customers), FRAME.market(lines), starts)
    return {one.line: one for one in every}


def same(one: Candidates, two: Candidates) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(two, name))
        for name in ("items", "prior", "owned", "plain", "size", "orders")
    )


def before(day: int, *orders: str) -> tuple[Known, Shelf]:
    """What is known of the first customer, and of the market, as a day begins."""
    events = days(*orders)
    lines = FRAME.lines(events)
    memory = FRAME.memories(["France"])[0]
    fold_lines({0: memory}, lines.rows(lines.customer == 0), Limits())
    return Known.of(memory, FIRST + day), Shelf.of(FRAME.market(lines).before(FIRST + day))


def test_the_prior_is_own_orders_then_the_best_sellers_of_28_days():
    known, shelf = before(1, "aab", "cd", "c")
    (found,) = candidates([known], shelf)
    ranked = found.items[np.argsort(-found.prior, kind="stable")].tolist()
    assert ranked == [A, B, C, D]
    assert found.prior.tolist() == pytest.approx([1 + 1 / 3, 1 + 1 / 3, 2 / 3, 1 / 3])
    assert found.owned.tolist() == [True, True, False, False]


def test_what_was_never_sold_before_the_day_is_no_candidate_unless_one_has_bought_it():
    known, shelf = before(1, "a|b", "a|c")
    (found,) = candidates([known], shelf)
    assert found.items.tolist() == [A, B]
    assert np.isfinite(found.features).all()


def test_the_products_are_of_what_the_market_says_with_having_bought_and_with_doing_so_lately():
    known, shelf = before(3, "ab|c", "ad", "ad")
    (found,) = candidates([known], shelf)
    plain, market = found.plain, MARKET.stop - MARKET.start
    passed = np.where(found.items == C, 0, 1)
    lately = np.where(found.owned, np.log1p(FAST_DECAY**passed), 0)
    assert np.array_equal(plain[:, EVER], found.owned)
    assert plain[:, LATELY] == pytest.approx(lately)
    assert plain[:, MARKET][:, :2] == pytest.approx(np.log1p([[3, 3], [1, 1], [1, 1], [2, 2]]))
    assert plain[:, MARKET.stop - 1] == pytest.approx(  # the last one is what goes with the own
        np.sqrt(likely([known], shelf.neighbours)[0, found.items])
    )
    products = found.features[:, plain.shape[1] :]
    assert products[:, :market] == pytest.approx(plain[:, MARKET] * found.owned[:, None])
    assert products[:, market:] == pytest.approx(plain[:, MARKET] * lately[:, None])


def test_own_rows_say_when_and_how_often():
    known, _ = before(9, "ab|b||a")
    row = dict(
        zip(("orders", "first", "last", "number"), known.rows(np.array([A]))[0], strict=False)
    )
    assert row == {"orders": 2, "first": FIRST, "last": FIRST + 3, "number": 3}
    assert (known.rows(np.array([C])) == 0).all()
    assert (known.orders, known.distinct, known.repeats) == (3, 4, 2)
    assert known.log_waited == pytest.approx(np.log1p(6))
    assert known.pace == pytest.approx(np.log1p(6) - np.log1p(1.5))


def test_items_that_shared_orders_with_recent_ones_go_with_them():
    known, shelf = before(3, "ab|c", "ad", "ad")
    (found,) = likely([known], shelf.neighbours)
    # a and b were in the order before the last
    assert found[D] == pytest.approx(0.8 * number(shelf.neighbours, A, D))
    assert found[A] == pytest.approx(0.8 * number(shelf.neighbours, B, A))


def test_a_customer_alone_gets_the_candidates_that_it_gets_among_others():
    one, shelf = before(3, "ab|c", "ad", "ad")
    other, _ = before(3, "d|d", "ad", "ad")
    among = candidates([other, one], shelf)[1]
    assert same(among, candidates([one], shelf)[0])


@settings(deadline=None, max_examples=40)
@given(busy, st.data())
def test_what_was_known_does_not_depend_on_what_came_later(made, data):
    events = table(made)
    assume(len(events))
    cut_ms = int(events.occurred_at_ms[data.draw(st.integers(0, len(events) - 1))])
    whole = walked(events, len(made))
    early = events.rows(events.occurred_at_ms < cut_ms)
    kept = np.flatnonzero(events.occurred_at_ms < cut_ms)
    for line, asked in walked(early, len(made)).items():
        assert same(asked.candidates, whole[int(kept[line])].candidates)
        assert np.isfinite(asked.candidates.features).all()


@settings(deadline=None, max_examples=40)
@given(busy, st.data())
def test_lines_of_others_on_the_same_day_change_nothing(made, data):
    events = table(made)
    whole = walked(events, len(made))
    assume(whole)
    line = data.draw(st.sampled_from(sorted(whole)))
    day = events.occurred_at_ms // DAY
    others = (events.customer != events.customer[line]) & (day == day[line])
    kept = np.flatnonzero(~others)
    again = walked(events.rows(~others), len(made))
    assert same(again[int(np.searchsorted(kept, line))].candidates, whole[line].candidates)


@settings(deadline=None, max_examples=40)
@given(busy, st.data())
def test_asking_changes_nothing(made, data):
    events = table(made)
    every = walked(events, len(made))
    assume(every)
    some = data.draw(st.lists(st.sampled_from(sorted(every)), unique=True, min_size=1))
    for line, asked in walked(events, len(made), sorted(some)).items():
        assert same(asked.candidates, every[line].candidates)


@settings(deadline=None)
@given(busy)
def test_orders_begin_where_a_memory_opens_one_and_their_baskets_hold_their_lines(made):
    lines = FRAME.lines(table(made))
    starts = order_starts(lines)
    held = baskets(lines, starts)
    memories = {customer: Memory() for customer in np.unique(lines.customer).tolist()}
    opened = []
    for n in range(len(lines)):
        memory = memories[int(lines.customer[n])]
        if not memory.continues(int(lines.order[n])):
            opened.append(n)
        memory.add(
            int(lines.item[n]), int(lines.order[n]), int(lines.at_ms[n]), (0, 0, 0), Limits()
        )
        assert lines.item[n] in held[opened[-1]]
    assert starts.tolist() == opened
    assert sum(map(len, held.values())) <= len(lines)


def test_lines_without_an_order_each_begin_one():
    lines = FRAME.lines(table([[Line(OPENING_MS, f"item-{n}", 0) for n in range(3)]]))
    assert order_starts(lines).tolist() == [0, 1, 2]


def test_a_market_has_one_shelf_which_goes_with_it():
    market = FRAME.market(FRAME.lines(days("ab", "cd"))).before(FIRST + 1)
    shelf, gone = Shelf.of(market), weakref.ref(market)
    assert Shelf.of(market) is shelf
    del market
    gc.collect()
    assert gone() is None
