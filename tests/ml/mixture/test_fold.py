"""The laws of the fold: any chunking, any company, nothing but purchases, no look ahead."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ml.errors import EventBeforeClock
from ml.events import EventKind, EventTable
from ml.mixture.memory import Memory
from tests.ml.histories import DAY, OPENING_MS, Line, lines, table
from tests.ml.mixture.shops import busy, countries, mixed_histories, mixture

MIXTURE = mixture()


def folded(events: EventTable, customers: int) -> list[bytes]:
    return MIXTURE.fold(MIXTURE.fresh(countries(customers)), events)


@settings(deadline=None)
@given(mixed_histories, st.data())
def test_any_chunking_of_a_history_ends_in_the_same_bytes(made, data):
    cuts = [sorted(data.draw(st.integers(0, len(h))) for _ in range(2)) for h in made]
    memories = MIXTURE.fresh(countries(len(made)))
    for part in range(3):
        edges = [(0, *cut, len(h))[part : part + 2] for cut, h in zip(cuts, made, strict=True)]
        piece = [h[a:b] for h, (a, b) in zip(made, edges, strict=True)]
        memories = MIXTURE.fold(memories, table(piece))
    assert memories == folded(table(made), len(made))


@settings(deadline=None, max_examples=40)
@given(mixed_histories)
def test_one_event_at_a_time_ends_in_the_same_bytes_as_one_batch(made):
    memories = MIXTURE.fresh(countries(len(made)))
    for customer, history in enumerate(made):
        for line in history:
            alone = [[line] if n == customer else [] for n in range(len(made))]
            memories = MIXTURE.fold(memories, table(alone))
    assert memories == folded(table(made), len(made))


@settings(deadline=None)
@given(busy, st.randoms(use_true_random=False))
def test_the_order_of_customers_and_their_neighbours_change_nothing(made, random):
    events, every = table(made), countries(len(made))
    order = list(range(len(made)))
    random.shuffle(order)
    order = order[: max(1, len(order) - 1)]  # one neighbour is missing altogether
    fresh = MIXTURE.fresh([every[customer] for customer in order])
    whole = folded(events, len(made))
    assert MIXTURE.fold(fresh, events.select(order)) == [whole[customer] for customer in order]


@settings(deadline=None)
@given(st.lists(lines(longest=14), min_size=1, max_size=4))
def test_events_that_are_no_purchases_change_nothing(made):
    events = table(made)
    bought = events.rows(events.kind == EventKind.PURCHASED)
    assert folded(events, len(made)) == folded(bought, len(made))


def test_folding_leaves_its_argument_alone_and_nothing_new_changes_nothing():
    made = [[Line(OPENING_MS, "item-1", 5)], [Line(OPENING_MS, "item-2", 6)]]
    memories = folded(table(made), len(made))
    before = list(memories)
    later = [[dataclasses.replace(h[0], at_ms=OPENING_MS + DAY)] for h in made]
    assert MIXTURE.fold(memories, table(later)) != before
    assert memories == before
    assert MIXTURE.fold(memories, EventTable.empty()) == before


def test_a_line_before_the_memory_s_clock_is_refused_and_names_the_customer():
    made = [[Line(OPENING_MS, "item-1", 5)], [Line(OPENING_MS + DAY, "item-2", 6)]]
    memories = folded(table(made), 2)
    with pytest.raises(EventBeforeClock, match="customer row 1"):
        MIXTURE.fold(memories, table([[], [Line(OPENING_MS, "item-1", 7)]]))


@settings(deadline=None)
@given(busy, st.data())
def test_later_lines_and_those_of_others_on_the_same_day_change_nothing_before(made, data):
    events = table(made)
    assume(len(events))
    row = data.draw(st.integers(0, len(events) - 1))
    mine = events.customer == events.customer[row]
    day = events.occurred_at_ms // DAY
    later = np.where(mine, np.arange(len(events)) > row, day >= day[row])
    sku = events.sku.copy()
    sku[later] = np.roll(sku, 3)[later]
    changed = dataclasses.replace(events, sku=sku, quantity=events.quantity + 5.0 * later)

    left, right = (scored_line(table_, row, len(made)) for table_ in (events, changed))
    assert left == right


@settings(deadline=None)
@given(busy)
def test_a_distribution_asked_for_is_the_one_that_the_score_is_taken_from(made):
    events = table(made)
    assume((events.customer[1:] == events.customer[:-1]).any())
    scored = MIXTURE.score(events, countries(len(made)), from_ms=0)
    row = int(scored.row[-1])
    customer = int(events.customer[row])
    market = MIXTURE.frame.market(MIXTURE.frame.lines(events))
    before = events.rows((events.customer == customer) & (np.arange(len(events)) < row))
    memory = Memory.from_bytes(folded(before, len(made))[customer])
    day = int(events.occurred_at_ms[row] // DAY)
    share = MIXTURE.distribution([memory], market.before(day))
    item = MIXTURE.frame.lines(events).item[row]
    if item >= 0:
        np.testing.assert_allclose(-np.log(share[0, item]), scored.untold.nll[-1], rtol=1e-5)


def scored_line(events: EventTable, row: int, customers: int) -> list[float]:
    """Return what was made of one line: told and not, rank and loss, memory before it."""
    if row == 0 or events.customer[row - 1] != events.customer[row]:
        return []
    scored = MIXTURE.score(events, countries(customers), from_ms=0)
    place = int(np.flatnonzero(scored.row == row)[0])
    both = (scored.untold, scored.told)
    numbers = [float(x.rank[place]) for x in both] + [float(x.nll[place]) for x in both]
    return [-1.0 if np.isnan(n) else n for n in numbers]
