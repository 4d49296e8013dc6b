"""The next-basket model: folds never look ahead, the correction learns what the prior cannot."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ml.basket.features import candidates
from ml.basket.history import Shop, walk
from ml.basket.likeness import likeness
from ml.basket.market import Market
from ml.basket.memory import COUNT, FAST, LAST_DAY, SLOW, CustomerMemory, Order
from ml.basket.model import BasketConfig, BasketModel, Question

ITEMS = 12


def order(customer: int, day: int, items: list[int]) -> Order:
    units = np.ones(len(items))
    return Order(
        customer=customer, day=day, country=0, items=np.array(sorted(set(items))),
        units=units[: len(set(items))], prices=2 * units[: len(set(items))],
    )  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[Order]:
    days = sorted(draw(st.lists(st.integers(100, 160), min_size=2, max_size=14)))
    return [
        order(
            draw(st.integers(0, 2)), day,
            draw(st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=4)),
        )
        for day in days
    ]  # fmt: skip


def test_a_memory_counts_and_lets_counts_decay_per_order():
    memory = CustomerMemory()
    assert memory.fold(order(0, 10, [1, 2]))[0].tolist() == []
    memory.fold(order(0, 12, [2]))
    again, gaps = memory.fold(order(0, 20, [1, 3]))
    assert (again.tolist(), gaps.tolist()) == ([1], [10])
    row = memory.table[memory.place[1]]
    assert (row[COUNT], row[LAST_DAY]) == (2, 20)
    assert row[SLOW] == pytest.approx(1 + 0.9**2)
    assert row[FAST] == pytest.approx(1 + 0.7**2)
    assert (memory.orders, memory.lines, memory.repeats) == (3, 5, 2)


def test_a_memory_grows_beyond_its_first_room():
    memory = CustomerMemory()
    for day in range(40):
        memory.fold(order(0, day + 1, [day * 3, day * 3 + 1]))
    assert len(memory.items) == 80
    assert (memory.known[:, COUNT] == 1).all()


def test_a_market_counts_closed_days_only():
    market = Market(ITEMS)
    market.open_day(10)
    market.note(order(0, 10, [3]), np.array([], int), np.array([]))
    assert market.ever[3] == 0
    market.open_day(11)
    assert market.ever[3] == market.windows[0][3] == market.buyers[3] == 1
    market.open_day(18)
    assert (market.windows[0][3], market.windows[1][3]) == (0, 1)
    market.open_day(101)
    assert (market.windows[3][3], market.ever[3]) == (0, 1)


def test_a_market_tells_buyers_from_repeats():
    shop = Shop.of(ITEMS)
    for made in (order(0, 1, [3]), order(1, 2, [3]), order(0, 9, [3, 4])):
        shop.fold(made)
    market = shop.market
    market.open_day(10)
    assert (market.ever[3], market.buyers[3], market.repeats[3]) == (3, 2, 1)
    assert market.gap_days[3] == 8
    assert market.by_country[0][3] == 3


@settings(max_examples=40, deadline=None)
@given(histories())
def test_windows_equal_a_count_over_the_days(orders: list[Order]):
    shop = Shop.of(ITEMS)
    for at, made in enumerate(orders):
        shop.market.open_day(made.day)
        for row, days in enumerate((7, 14, 28, 90)):
            counted = np.zeros(ITEMS)
            for other in orders[:at]:
                if made.day - days <= other.day < made.day:
                    counted[other.items] += 1
            assert np.array_equal(shop.market.windows[row], counted)
        shop.fold(made)


@settings(max_examples=40, deadline=None)
@given(histories(), st.data())
def test_what_was_known_does_not_depend_on_what_came_later(orders: list[Order], data):
    cut = data.draw(st.integers(1, len(orders)))
    whole = {n: c for n, c in walk(orders, ITEMS, [True] * len(orders)) if n < cut}
    short = dict(walk(orders[:cut], ITEMS, [True] * cut))
    assert whole.keys() == short.keys()
    for n, found in short.items():
        assert np.array_equal(found.items, whole[n].items)
        assert np.array_equal(found.features, whole[n].features)
        assert np.isfinite(found.features).all()


@settings(max_examples=30, deadline=None)
@given(histories())
def test_asking_changes_nothing(orders: list[Order]):
    last = [False] * (len(orders) - 1) + [True]
    asked, unasked = (list(walk(orders, ITEMS, w))[-1:] for w in ([True] * len(orders), last))
    for one, two in zip(asked, unasked, strict=False):
        if one[0] == two[0]:
            assert np.array_equal(one[1].features, two[1].features)


def test_the_prior_is_own_orders_then_popularity():
    shop = Shop.of(ITEMS)
    for made in (order(0, 1, [1]), order(1, 2, [2]), order(2, 2, [2]), order(3, 2, [3])):
        shop.fold(made)
    shop.market.open_day(3)
    found = candidates(shop.memories[0], shop.market, 3, 0)
    ranked = found.items[np.argsort(-found.prior)].tolist()
    assert ranked == [1, 2, 3]
    assert found.prior.max() < 2


def questions(luck: np.random.Generator, number: int) -> list[Question]:
    """Orders in which the candidate with the largest second feature is bought, prior or not."""
    made = []
    for _ in range(number):
        features = luck.normal(size=(30, 3))
        prior = luck.random(30)
        bought = np.argsort(-features[:, 1])[:2]
        from ml.basket.features import Candidates

        made.append(Question(Candidates(np.arange(30), prior, features), bought))
    return made


def test_the_correction_learns_what_the_prior_does_not_say():
    luck = np.random.default_rng(0)
    model = BasketModel.fit(questions(luck, 400), BasketConfig(epochs=5, learning_rate=0.05))
    assert model.weights[1] > 3 * abs(model.weights[[0, 2]]).max()
    hits = [
        question.bought[0] in np.argsort(-model.score(question.candidates))[:2]
        for question in questions(luck, 100)
    ]
    assert np.mean(hits) > 0.8


def test_without_learning_the_order_is_the_priors_and_equal_seeds_learn_equally():
    luck = np.random.default_rng(0)
    made = questions(luck, 20)
    untaught = BasketModel.fit(made, BasketConfig(epochs=0))
    for question in made:
        by_prior = np.argsort(-question.candidates.prior)
        assert np.array_equal(np.argsort(-untaught.score(question.candidates)), by_prior)
    one, two = (BasketModel.fit(made) for _ in range(2))
    assert np.array_equal(one.weights, two.weights)


def test_the_slope_points_from_what_was_bought():
    question = questions(np.random.default_rng(3), 1)[0]
    model = BasketModel(np.zeros(3), np.ones(3), np.zeros(3))
    assert model.slope(question)[1] < 0  # more weight on it makes the ranking better


@given(st.integers(0, 5))
def test_likeness_is_symmetric_and_between_0_and_1(seed: int):
    ones = (np.random.default_rng(seed).random((20, 8)) < 0.3).astype(np.float32)
    like = likeness(sparse.csr_array(ones))
    assert like == pytest.approx(like.T)
    assert (like.diagonal() == 0).all()
    assert like.flags.c_contiguous  # gathering its rows is 60 times slower otherwise
    both, n = ones[:, 0] @ ones[:, 1], ones.sum(axis=0)
    if both:
        expected = both / np.sqrt(n[0] * n[1]) * both / (both + 10)
        assert like[0, 1] == pytest.approx(expected, rel=1e-4)
