"""Each component is a distribution; in small shops its numbers are known by hand."""

import numpy as np
import pytest
from hypothesis import given, settings

from ml.mixture.components import FLOOR, NAMES, Components, Views
from ml.mixture.lines import UNKNOWN
from ml.mixture.market import Snapshot
from ml.mixture.memory import ORDER_DECAY, Memory
from ml.mixture.model import mixed
from tests.ml.histories import DAY, ITEMS, OPENING_MS, table
from tests.ml.mixture.shops import days, mixed_histories, mixture, share_of

MIXTURE = mixture()
FIRST = OPENING_MS // DAY
LATER = FIRST + 60


def known(events, day: int) -> tuple[list[Memory], Snapshot]:
    """Return the memories after all events, and the market of a day."""
    market = MIXTURE.frame.market(MIXTURE.frame.lines(events))
    customers = int(events.customer.max(initial=-1)) + 1
    memories = MIXTURE.fold(MIXTURE.fresh([""] * customers), events)
    return [Memory.from_bytes(memory) for memory in memories], market.before(day)


def whole(memories: list[Memory], market: Snapshot) -> dict[str, np.ndarray]:
    """Return every component over the vocabulary, floor and all: name -> (B, V)."""
    views = Views.of(memories)
    components = Components.of(views, market)
    pure = np.eye(len(NAMES))
    return {
        name: components.mixed(np.tile(pure[k], (len(memories), 1))) for k, name in enumerate(NAMES)
    }


def support(share: np.ndarray, market: Snapshot) -> np.ndarray:
    """Return a component without its floor."""
    return (share - FLOOR * market.popularity[0]) / (1 - FLOOR)


SHOP = days("abac|ab", "cd|ab", "ab|ab")
EXPECTED = {
    "own": {"a": 3 / 6, "b": 2 / 6, "c": 1 / 6},
    "own_decayed": {
        "a": (1 + 2 * ORDER_DECAY) / (2 + 4 * ORDER_DECAY),
        "c": ORDER_DECAY / (2 + 4 * ORDER_DECAY),
    },
    "transitions": {"a": 2 / 2, "c": 0},  # after b: of abac and, from order to order, of ab ab
    "own_transitions": {"a": 1.0, "b": 0.0},
    "skips": {"a": 1 / 2, "b": 0.0, "c": 1 / 2},  # two back stands a; a came two later, c three
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_small_shop_gives_the_numbers_that_one_counts_by_hand(name):
    memories, market = known(SHOP, LATER)
    share = support(whole(memories[:1], market)[name][0], market)
    for letter, expected in EXPECTED[name].items():
        assert share_of(share, letter) == pytest.approx(expected, abs=1e-6)


def test_neighbours_are_the_squared_likeness_to_the_last_lines_of_the_order():
    memories, market = known(days("abc", "ac", "ab|c"), LATER)
    share = support(whole(memories[1:2], market)["neighbours"][0], market)
    whose, columns, values = market.neighbours.gathered(np.arange(len(ITEMS)))
    table_ = np.zeros((len(ITEMS), len(ITEMS)))
    table_[whose, columns] = values
    expected = (table_[2] + 0.9 * table_[0]) ** 2  # last line c, before it a
    assert share == pytest.approx(expected / expected.sum(), abs=1e-6)


def test_one_who_has_nothing_yet_gets_the_last_four_weeks():
    _, market = known(SHOP, FIRST + 2)
    parts = whole([Memory()], market)
    for name in NAMES[3:]:
        assert support(parts[name][0], market) == pytest.approx(market.popularity[1], abs=1e-6)


@settings(deadline=None)
@given(mixed_histories)
def test_every_component_sums_to_one_and_rules_nothing_out(made):
    memories, market = known(table(made), LATER)
    if not memories:
        return
    for share in whole(memories, market).values():
        assert share.sum(axis=1) == pytest.approx(np.ones(len(memories)), abs=1e-5)
        assert (share > 0).all()


@settings(deadline=None)
@given(mixed_histories)
def test_at_one_item_a_component_gives_what_its_whole_distribution_does(made):
    memories, market = known(table(made), LATER)
    parts = whole(memories, market)
    components = Components.of(Views.of(memories), market)
    for item in range(0, len(ITEMS), 3):
        full = np.stack([parts[name][:, item] for name in NAMES], axis=1)
        at = components.at(np.full(len(memories), item))
        np.testing.assert_allclose(at, full, rtol=2e-5, atol=1e-9)


@settings(deadline=None)
@given(mixed_histories)
def test_the_mass_of_the_open_order_is_the_sum_over_its_items(made):
    memories, market = known(table(made), LATER)
    views = Views.of(memories)
    mass = Components.of(views, market).mass(views.basket)
    parts = whole(memories, market)
    for b, memory in enumerate(memories):
        items = list(memory.basket)
        expected = [float(parts[name][b, items].sum()) for name in NAMES]
        np.testing.assert_allclose(mass[b], expected, rtol=2e-5, atol=1e-7)


def test_a_network_takes_part_with_its_own_weight():
    memories, market = known(SHOP, LATER)
    network = np.zeros((3, len(ITEMS)), np.float32)
    network[:, 7] = 1.0
    views = Views.of(memories)
    components = Components.of(views, market, (network,))
    weights = np.zeros((3, len(NAMES) + 1))
    weights[:, 0], weights[:, -1] = 0.25, 0.75
    share = components.mixed(weights)
    assert share[:, 7] == pytest.approx(0.75 + 0.25 * market.popularity[0, 7], abs=1e-6)
    assert components.at(np.array([7, 7, 3]))[:, -1].tolist() == [1, 1, 0]
    assert components.mass(views.basket)[:, -1].tolist() == [0, 0, 0]


def test_items_of_the_open_order_are_lowered_by_the_damping_and_the_rest_makes_up_for_it():
    memories, market = known(SHOP, LATER)
    views = Views.of(memories[:1])  # the open order holds a and b
    components = Components.of(views, market)
    weights = np.full((1, len(NAMES)), 1 / len(NAMES))
    plain = components.mixed(weights)[0].astype(float)
    damped = mixed(components, views.basket, weights, np.array([0.25]))[0]
    lowered = plain * np.where(np.arange(len(ITEMS)) < 2, 0.25, 1.0)
    np.testing.assert_allclose(damped, lowered / lowered.sum(), rtol=1e-5)


def test_unknown_last_lines_are_no_support():
    memories, market = known(SHOP, LATER)
    memory = memories[0]
    memory.add(UNKNOWN, 999, OPENING_MS + 70 * DAY, (0, 0, 0), MIXTURE.frame.config.limits)
    share = support(whole([memory], market)["transitions"][0], market)
    assert share == pytest.approx(market.popularity[1], abs=1e-6)
