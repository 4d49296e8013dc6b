"""The laws of the fold: a twin depends on its own events in order, and on nothing else."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.cores import CORES
from ml.encoding import encode
from ml.errors import EventBeforeClock
from ml.events import EventKind, EventTable
from ml.fold import STEPS_PER_RUN, as_tensors
from ml.rhythm.statistics import COLUMNS
from ml.states import MEMORY, TwinStates
from ml.twin import TwinModel
from tests.ml.histories import (
    COUNTRIES,
    DAY,
    OPENING_MS,
    Line,
    histories,
    lines,
    small_model,
    table,
)

MODELS = {core: small_model(core=core) for core in CORES}
ROUNDING = 1e-5
every_core = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def countries(customers: int) -> list[str]:
    return [(*COUNTRIES, "Malta")[n % 3] for n in range(customers)]


def folded(model: TwinModel, made: list[list[Line]]) -> TwinStates:
    return model.advance(model.initial_state(countries(len(made))), table(made))


def assert_same(left: TwinStates, right: TwinStates) -> None:
    for name in MEMORY:
        assert getattr(left, name).tolist() == getattr(right, name).tolist(), name
    np.testing.assert_allclose(left.h, right.h, atol=ROUNDING, rtol=0)
    np.testing.assert_allclose(left.c, right.c, atol=ROUNDING, rtol=0)


@every_core
@settings(deadline=None)
@given(histories, st.data())
def test_any_chunking_of_a_history_ends_in_the_same_state(model, made, data):
    events = table(made)
    cuts = [sorted(data.draw(st.integers(0, len(h))) for _ in range(2)) for h in made]
    states = model.initial_state(countries(len(made)))

    for part in range(3):
        edges = [(0, *cut, len(h))[part : part + 2] for cut, h in zip(cuts, made, strict=True)]
        piece = [h[a:b] for h, (a, b) in zip(made, edges, strict=True)]
        states = model.advance(states, table(piece))

    assert_same(states, model.advance(model.initial_state(countries(len(made))), events))


@every_core
@settings(deadline=None)
@given(histories)
def test_one_event_at_a_time_ends_in_the_same_state_as_one_batch(model, made):
    states = model.initial_state(countries(len(made)))
    for customer, history in enumerate(made):
        for line in history:
            alone = [[line] if n == customer else [] for n in range(len(made))]
            states = model.advance(states, table(alone))
    assert_same(states, folded(model, made))


@every_core
@settings(deadline=None)
@given(st.lists(lines(), min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_customers_and_their_neighbours_change_nothing(model, made, random):
    order = list(range(len(made)))
    random.shuffle(order)
    order = order[: len(order) - 1]  # one neighbour is missing altogether

    start = model.initial_state(countries(len(made))).take(order)
    shuffled = model.advance(start, table(made).select(order))

    assert_same(shuffled, folded(model, made).take(order))


@every_core
@settings(deadline=None)
@given(lines(), lines(longest=60))
def test_a_much_longer_neighbour_changes_nothing(model, mine, longer):
    assert_same(folded(model, [mine, longer]).take([0]), folded(model, [mine]))


@every_core
@settings(deadline=None)
@given(histories)
def test_steps_by_hand_end_in_the_same_state_as_the_fold(model, made):
    start = model.initial_state(countries(len(made)))
    events = table(made)
    x = model.encode_step(**as_tensors(encode(events, start, model.dictionaries), model.device))
    after = folded(model, made)
    for customer in range(len(made)):
        h, c = torch.from_numpy(start.h[[customer]]), torch.from_numpy(start.c[[customer]])
        for row in np.flatnonzero(events.customer == customer):
            h, c = model.core(x[row : row + 1], h, c)
        np.testing.assert_allclose(h.detach()[0], after.h[customer], atol=ROUNDING, rtol=0)
        np.testing.assert_allclose(c.detach()[0], after.c[customer], atol=ROUNDING, rtol=0)


@every_core
@settings(deadline=None)
@given(lines(longest=25))
def test_the_memory_is_what_a_plain_count_gives(model, made):
    memory = folded(model, [made]).memory(0)

    bought = [line for line in made if line.kind == EventKind.PURCHASED]
    starts = []
    for before, line in zip([None, *bought], bought, strict=False):
        if before is None or line.order != before.order:
            starts.append(line.at_ms)
    gaps = [b - a for a, b in pairwise(starts)]
    counted = {
        "clock_ms": made[-1].at_ms if made else 0,
        "last_order": bought[-1].order if bought else 0,
        "orders": len(starts),
        "lines": len(bought),
        "returns": sum(line.kind == EventKind.RETURNED for line in made),
        "units": sum(int(line.quantity) for line in bought),
        "spend_cents": sum(round(line.quantity * line.unit_price * 100) for line in bought),
        "first_order_ms": starts[0] if starts else 0,
        "last_order_ms": starts[-1] if starts else 0,
        "gaps_n": len(gaps),
        "gaps_sum_ms": sum(gaps),
    }
    assert {name: memory[name] for name in counted} == counted
    assert set(memory) - set(counted) == set(COLUMNS) - {"spend_cents"}  # tested on their own


@every_core
def test_a_history_longer_than_one_run_is_folded_to_its_end(model):
    long = [Line(OPENING_MS + n * DAY, f"item-{n % 20}", n + 1) for n in range(STEPS_PER_RUN + 5)]
    states = model.initial_state(["France"])
    for part in (long[:7], long[7:]):
        states = model.advance(states, table([part]))
    assert_same(states, model.advance(model.initial_state(["France"]), table([long])))


@every_core
def test_every_field_of_an_event_reaches_the_state(model):
    plain = Line(OPENING_MS + DAY, "item-3", 2)
    first = Line(OPENING_MS)
    others = [
        Line(OPENING_MS + DAY, "item-4", 2),
        Line(OPENING_MS + DAY, "item-3", 1),
        Line(OPENING_MS + 2 * DAY, "item-3", 2),
        Line(OPENING_MS + DAY, "item-3", 2, kind=EventKind.RETURNED),
        Line(OPENING_MS + DAY, "item-3", 2, quantity=2),
        Line(OPENING_MS + DAY, "item-3", 2, unit_price=9),
        Line(OPENING_MS + DAY, "item-3", 2, country="United Kingdom"),
        Line(OPENING_MS + DAY, "item-3", 2, offer_depth=0.3),
    ]
    expected = folded(model, [[first, plain]]).h
    for other in others:
        assert np.abs(folded(model, [[first, other]]).h - expected).max() > 1e-4, other


@every_core
def test_unknown_items_fall_into_the_same_bucket_every_time(model):
    known = model.dictionaries.item_index()
    assert known["item-19"] == 19
    assert known["never sold"] == known["never sold"]
    assert {known[f"new-{n}"] for n in range(99)} == {20, 21, 22, 23}
    assert known[""] == model.dictionaries.no_item == 24


@every_core
def test_rare_countries_share_a_state_and_known_ones_do_not(model):
    states = model.initial_state(["Malta", "Chad", "France", "United Kingdom"])
    assert states.h[0].tolist() == states.h[1].tolist()
    assert len({row.tobytes() for row in states.h}) == 3


@every_core
def test_a_twin_begins_with_the_same_bits_in_any_company(model):
    alone = model.initial_state(["France"])
    for customers in (2, 7, 61):
        other = model.initial_state(countries(customers)).take([0])
        assert other.h.tobytes() == alone.h.tobytes()
        assert other.c.tobytes() == alone.c.tobytes()


@every_core
def test_an_event_before_the_clock_is_refused_and_names_the_customer(model):
    states = model.advance(
        model.initial_state(["France"] * 2), table([[Line(OPENING_MS)], [Line(OPENING_MS + DAY)]])
    )
    with pytest.raises(EventBeforeClock, match="customer row 1") as caught:
        model.advance(states, table([[], [Line(OPENING_MS)]]))
    assert caught.value.code == "event-before-clock"


@every_core
def test_advancing_leaves_its_argument_alone_and_nothing_new_changes_nothing(model):
    states = model.initial_state(["France"])
    before = states.h.copy()
    model.advance(states, table([[Line(OPENING_MS)]]))
    assert states.h.tolist() == before.tolist()
    assert_same(model.advance(states, EventTable.empty()), states)


@every_core
def test_thousands_of_events_end_in_the_same_state_to_the_bit_in_any_company(model):
    draw = np.random.default_rng(3)

    def history(length: int) -> list[Line]:
        times = OPENING_MS + np.cumsum(draw.integers(0, 3 * DAY, length))
        skus = [f"item-{n}" for n in draw.integers(0, 20, length)]
        return [Line(int(t), s, order=n) for n, (t, s) in enumerate(zip(times, skus, strict=True))]

    long, company = history(3_000), [history(int(n)) for n in draw.integers(1, 400, 60)]

    alone = folded(model, [long])
    together = folded(model, [long, *company])
    states = model.initial_state(countries(1))
    for start in range(0, len(long), 700):
        states = model.advance(states, table([long[start : start + 700]]))

    for other in (together.take(np.array([0])), states):
        np.testing.assert_array_equal(alone.h, other.h)
        np.testing.assert_array_equal(alone.c, other.c)
