"""Protocol B: which orders are asked for, how lists are judged, and what the rules rank."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ml.basket.model import BasketModel
from ml.mixture.frame import Frame, MixtureConfig
from ml.mixture.gate import Gate, GateConfig
from ml.mixture.model import Mixture
from ml.next_basket import fit_beside
from ml.protocols.data import Lines
from ml.protocols.next_basket import (
    Baskets,
    NextBasket,
    bootstrap_of,
    figures,
    first_ten,
    gains,
    values,
)
from ml.protocols.next_basket_methods import METHODS, Counters, Tifu, TifuScores, group_weights
from ml.protocols.run_next_basket import rank_by_twins, run
from ml.timing import DAY_MS
from tests.ml.histories import small_model
from tests.ml.protocols import builders
from tests.ml.protocols.builders import day_ms, shops

SHOP = Baskets.of(
    builders.baskets(
        [
            ("ann", 0, "ab"),
            ("ann", 5, "aac"),  # a twice in one order counts once
            ("bob", 9, "cd"),
            ("bob", 20, "d"),
            ("ann", 40, "az"),  # asked; nobody bought z before
            ("cat", 41, "d"),  # her first: not asked
            ("cat", 42, "dc"),  # asked, new
        ]
    )
)
TASK = NextBasket.of(SHOP, day_ms(30))


def learned(lines: Lines, split: int) -> tuple[Mixture, BasketModel | None]:
    """What a training learns of the next basket before a day; its gates know nothing."""
    events, countries = lines.events(), lines.customer_countries()
    past = events.rows(events.occurred_at_ms < day_ms(split))
    frame = Frame.of(past, countries, MixtureConfig())
    market = frame.market(frame.lines(past)).before(day_ms(split) // DAY_MS)
    gates = [Gate(1, 1, GateConfig()) for _ in range(2)]
    mixture = Mixture(frame=frame, gate=gates[0], told_gate=gates[1], market=market)
    return mixture, fit_beside(mixture, events, countries, until_ms=day_ms(split))


def top(name: str, length: int = 4) -> list[str]:
    """What a rule puts first, one text per target."""
    names = [SHOP.item_names[item] for item in TASK.vocabulary]
    ranked = first_ten(METHODS[name](Counters(TASK)))
    return ["".join(names[c] for c in row[:length] if c >= 0) for row in ranked]


def test_targets_are_orders_of_customers_with_an_earlier_one():
    assert len(SHOP) == 7
    assert TASK.targets.tolist() == [2, 6]
    assert TASK.sizes.tolist() == [2, 2]
    assert [SHOP.item_names[i] for i in TASK.vocabulary] == list("abcd")
    strata = {name: where.tolist() for name, where in TASK.strata().items()}
    assert strata["new_customers"] == [False, True]
    assert strata["second_order"] == [False, True]
    assert strata["third_or_fourth"] == [True, False]


def test_only_products_are_kept():
    lines = builders.shop([("a", 0, "1", "10001"), ("a", 0, "1", "POST"), ("a", 1, "2", "10001B")])
    assert [len(items) for items in Baskets.of(lines, r"\d{5}[A-Za-z]*").items] == [1, 1]


def test_rules_rank_as_they_say():
    assert top("global top") == ["acdb", "acdb"]  # ties by code
    assert top("personal top, ties by code, no fill") == ["abc", "d"]
    assert top("personal top, ties and fill by global") == ["acbd", "dacb"]
    # ann: of 28 days before, bob's d alone; cat: ann's a and her own d
    assert top("personal top, ties and fill by the last 28 days") == ["abcd", "dabc"]
    assert top("top of the last 28 days")[0][0] == "d"
    assert top("item-kNN from history")[1][0] == "c"  # d stood with c


def test_a_list_is_worth_what_the_definitions_say():
    column = {SHOP.item_names[item]: n for n, item in enumerate(TASK.vocabulary)}
    ranked = np.full((2, 10), -1)
    ranked[0, :3] = [column["b"], column["a"], column["c"]]
    ranked[1, :2] = [column["c"], column["d"]]
    found = values(TASK, ranked)
    assert found["recall_10"].tolist() == [0.5, 1.0]  # z stays in the basket
    assert found["ndcg_10"] == pytest.approx([(1 / np.log2(3)) / (1 + 1 / np.log2(3)), 1])
    assert found["hit_10"].tolist() == [1, 1]
    assert found["precision_10"].tolist() == [0.1, 0.2]
    assert found["capped_recall_10"].tolist() == [0.5, 1.0]


def test_a_basket_larger_than_the_list_limits_recall_but_not_its_capped_form():
    twelve = "abcdefghijkl"
    lines = builders.baskets([("ann", 0, twelve), ("ann", 40, twelve)])
    task = NextBasket.of(Baskets.of(lines), day_ms(30))
    found = values(task, np.arange(10)[None, :])
    assert found["recall_10"].tolist() == [10 / 12]
    assert found["capped_recall_10"].tolist() == found["ndcg_10"].tolist() == [1]


def test_a_list_of_nothing_is_worth_nothing():
    found = values(TASK, np.full((2, 10), -1))
    assert all((column == 0).all() for column in found.values())


@given(st.integers(1, 40), st.floats(0.1, 1), st.floats(0.1, 1))
def test_group_weights_fade_with_age_and_sum_to_one_without_decay(orders, within, between):
    fading = group_weights(orders, Tifu(within=within, between=between))
    assert len(fading) == orders
    assert (fading > 0).all()
    even = group_weights(orders, Tifu(within=1.0, between=1.0))
    assert even.sum() == pytest.approx(1)


def test_tifu_mixes_the_customer_with_neighbours_who_are_not_the_customer():
    scores = TifuScores(TASK)(Tifu(neighbours=1, own=0.5))
    assert scores[0].argmax() == 0  # ann's own a
    assert scores[0][3] > 0  # d comes from bob, the only other customer at the split


@settings(max_examples=20, deadline=None)
@given(shops(), st.integers(0, 3))
def test_what_comes_later_changes_no_earlier_ranking(lines, seed):
    whole = NextBasket.of(Baskets.of(lines), day_ms(30))
    until = int(whole.baskets.at_ms[whole.targets].min()) + 1
    short = NextBasket.of(Baskets.of(lines.rows(lines.at_ms < until)), day_ms(30))
    asked = int(np.argmin(whole.baskets.at_ms[whole.targets]))
    known = [int(whole.baskets.item_names.index(n)) for n in short.baskets.item_names]
    assert set(short.vocabulary.tolist()) <= set(range(len(known)))
    for name, method in METHODS.items():
        one = method(Counters(whole))[asked]
        two = method(Counters(short))[0]
        assert np.array_equal(one, two), name
    early = lines.rows(lines.at_ms < until)
    mixture, model = learned(lines, 30)
    assume(model is not None)
    again = learned(early, 30)[1]
    assert again.as_dict() == model.as_dict()
    ranked = rank_by_twins(whole, lines, mixture, model)[asked]
    assert np.array_equal(ranked, rank_by_twins(short, early, mixture, model)[0])


def test_gains_are_paired():
    zeros = {name: np.zeros(2) for name in values(TASK, np.full((2, 10), -1))}
    ones = {name: np.ones(2) for name in zeros}
    found = gains(ones, zeros, bootstrap_of(TASK, draws=50))
    assert found["ndcg_10"] == {"value": 1, "low": 1, "high": 1, "n": 2}


def test_twins_put_first_what_a_customer_always_buys():
    own = "abcdefghijklmnopqrstuvwxyz"
    lines = builders.baskets([(item, day, item) for item in own for day in range(0, 90, 9)])
    task = NextBasket.of(Baskets.of(lines), day_ms(80))
    ranked = rank_by_twins(task, lines, *learned(lines, 70))
    wanted = [task.baskets.items[m][0] for m in task.targets]
    assert task.vocabulary[ranked[:, 0]].tolist() == wanted


def test_twins_are_asked_for_products_alone_but_remember_the_rest():
    rows = [
        (customer, day, f"{customer}{day}", item)
        for customer in "uvwxyz"
        for day in range(0, 90, 9)
        for item in ("10001" if customer < "x" else "10002", "POST")
    ]
    lines = builders.shop([*rows, ("solo", 0, "s1", "POST"), ("solo", 85, "s2", "10001")])
    task = NextBasket.of(Baskets.of(lines, r"\d{5}"), day_ms(80))
    names = [task.baskets.item_names[item] for item in task.vocabulary]
    assert names == ["10001", "10002"]
    ranked = rank_by_twins(task, lines, *learned(lines, 70))
    wanted = [task.baskets.items[m][0] for m in task.targets]
    assert task.vocabulary[ranked[:, 0]].tolist() == wanted
    assert set(np.unique(ranked)) == {-1, 0, 1}


def test_a_run_reports_every_rule_and_the_model_beside_them():
    lines = builders.baskets(
        [
            (c, day + n, "ab" if n % 2 else "cd")
            for n, c in enumerate("uvwxyz")
            for day in range(0, 90, 9)
        ]
    )
    twin = small_model()
    mixture, twin.next_basket = learned(lines, 70)
    twin.adopt(mixture)
    window = {"split_ms": day_ms(80), "validation_ms": day_ms(70), "draws": 20}
    report = run(lines, model=twin, **window)
    assert {*METHODS, "TIFU-kNN, defaults", "TIFU-kNN, tuned"} < set(report.methods)
    model = report.methods["the twin"]
    assert model["hit_10"]["value"] == 1
    assert "gain.ndcg_10" in model
    assert report.tables()[0].headings[1] == "nDCG@10"
    twin.next_basket = None
    for without in (None, twin):
        assert "the twin" not in run(lines, model=without, **window).methods


def test_figures_come_for_every_stratum():
    found = figures(TASK, values(TASK, np.full((2, 10), -1)), bootstrap_of(TASK, draws=10))
    assert found["all_orders"]["hit_10"]["n"] == 2
    assert found["later"]["hit_10"] == {"n": 0}
