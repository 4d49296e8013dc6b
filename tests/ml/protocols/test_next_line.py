"""Protocol A: who is asked for what, and how ranks, strata and intervals are counted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import NothingToPredict
from ml.metrics import Bootstrap, ItemScores
from ml.protocols.next_line import LEAST, MISS, NextLine, figures, score, values
from ml.protocols.next_line_methods import damped, em, fit_weights, parts_of, score_all
from tests.ml.protocols.builders import changed_after, day_ms, shop, shops

SHOP = shop(
    [
        ("ann", 0, "1", "a"),
        ("ann", 0, "1", "b"),
        ("ann", 1, "2", "a"),
        ("bob", 3, "3", "a"),
        ("ann", 31, "4", "b"),  # asked: first of an order
        ("ann", 31, "4", "z"),  # asked, but nobody bought it before
        ("cat", 32, "5", "a"),  # cat's first line ever: not asked
        ("cat", 33, "6", "b"),  # asked, new customer
    ]
)
TASK = NextLine.of(SHOP, day_ms(30))
WEIGHTS = {
    "global popularity": {"popularity": 1.0},
    "mix of six": {
        "knn": 0.2,
        "recent": 0.2,
        "markov": 0.2,
        "own": 0.2,
        "own_markov": 0.1,
        "popularity": 0.1,
    },
}


def share(name: str) -> dict[int, dict[str, float]]:
    """What a part says at each target, by item."""
    rows = parts_of(TASK)[name](TASK.targets)
    return {
        int(n): dict(zip(TASK.items, np.round(row.tolist(), 6), strict=True))
        for n, row in zip(TASK.targets, rows, strict=True)
    }


def test_targets_are_later_lines_of_customers_with_an_earlier_one():
    assert TASK.targets.tolist() == [3, 4, 7]
    assert TASK.items == ("a", "b")
    assert TASK.known.tolist() == [True, False, True]
    strata = {name: where.tolist() for name, where in TASK.strata().items()}
    assert strata["first_of_order"] == [True, False, True]
    assert strata["later_lines"] == [False, True, False]
    assert strata["new_customers"] == [False, False, True]


def test_a_split_that_leaves_nothing_is_refused():
    for day in (-1, 100):
        with pytest.raises(NothingToPredict):
            NextLine.of(SHOP, day_ms(day))


def test_popularity_counts_the_lines_before_the_split():
    assert share("popularity")[3] == pytest.approx({"a": 3.1 / 4.2, "b": 1.1 / 4.2}, abs=1e-5)


def test_recent_popularity_forgets_and_does_not_see_its_own_day():
    row = {int(n): n for n in TASK.targets}
    assert share("recent")[row[3]] == pytest.approx({"a": 1.1 / 1.2, "b": 0.1 / 1.2}, abs=1e-5)
    assert share("recent")[row[7]] == pytest.approx({"a": 1.1 / 2.2, "b": 1.1 / 2.2}, abs=1e-5)


def test_own_frequency_counts_every_earlier_line_of_the_customer():
    own = share("own")
    assert own[3] == pytest.approx({"a": 2 / 3, "b": 1 / 3}, abs=1e-5)
    assert own[4] == pytest.approx({"a": 0.5, "b": 0.5}, abs=1e-5)
    assert own[7] == {"a": 1.0, "b": 0.0}


def test_transitions_are_of_everybody_before_the_split_and_of_the_customer_up_to_now():
    assert share("markov")[3] == {"a": 0.0, "b": 1.0}  # after a, ann bought b; bob nothing
    assert share("markov")[4] == {"a": 1.0, "b": 0.0}  # after b
    assert share("own_markov")[3] == {"a": 0.0, "b": 1.0}
    assert share("own_markov")[7] == share("popularity")[7]  # cat has no transition yet


def test_neighbours_are_those_of_the_open_order_and_damping_makes_its_items_rarer():
    assert share("knn")[7] == {"a": 0.0, "b": 1.0}  # a stood with b once; cat's open order is a
    even = lambda rows: np.full((len(rows), 2), 0.5, np.float32)  # noqa: E731
    assert damped(even, TASK)(TASK.targets)[2] == pytest.approx([0.05 / 1.05, 1 / 1.05], abs=1e-5)


def test_ties_stand_against_the_method_and_an_unknown_item_is_a_miss():
    even = score(TASK, lambda rows: np.full((len(rows), 2), 0.5))
    assert even.rank.tolist() == [2, MISS, 2]
    assert even.nll[[0, 2]] == pytest.approx(np.log([2, 2]))
    assert np.isnan(even.nll[1])


def test_what_was_ruled_out_costs_a_lot_and_stays_in_the_mean():
    sure = score(TASK, lambda rows: np.tile([1.0, 0.0], (len(rows), 1)))
    assert sure.nll[0] == pytest.approx(-np.log(LEAST))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_metrics_grow_with_the_list_and_shrink_with_the_rank(ranks: list[int]):
    found = values(ItemScores(np.array(ranks), np.zeros(len(ranks))))
    assert (found["top_1"] <= found["top_5"]).all()
    assert (found["top_5"] <= found["top_10"]).all()
    assert (found["top_10"] <= found["top_20"]).all()
    assert (found["mrr_20"] <= found["top_20"]).all()
    worse = values(ItemScores(np.array(ranks) + 1, np.zeros(len(ranks))))
    assert all((worse[name] <= found[name]).all() for name in found)


@given(st.integers(2, 8), st.data())
def test_the_more_items_tie_the_worse_the_rank(size: int, data: st.DataObject):
    scores = np.array(data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    wanted = data.draw(st.integers(0, size - 1))
    from ml.protocols.next_line import fill

    made = ItemScores(np.full(1, MISS), np.full(1, np.nan))
    fill(made, slice(0, 1), (scores / max(scores.sum(), 1))[None, :], np.array([wanted]))
    assert made.rank[0] == sum(score >= scores[wanted] for score in scores)


@settings(max_examples=25)
@given(shops())
def test_every_part_is_a_distribution_in_any_block(lines):
    task = NextLine.of(lines, day_ms(30))
    for part in parts_of(task).values():
        whole = part(task.targets)
        assert whole.sum(axis=1) == pytest.approx(np.ones(len(whole)), abs=1e-4)
        one_by_one = np.concatenate([part(task.targets[n : n + 1]) for n in range(len(whole))])
        assert one_by_one == pytest.approx(whole, abs=1e-6)


@settings(max_examples=25)
@given(shops(), st.integers(0, 5), st.data())
def test_nobody_looks_ahead(lines, seed, data):
    """What a customer does later changes nothing that was said before."""
    task = NextLine.of(lines, day_ms(30))
    at = data.draw(st.sampled_from(task.targets.tolist()))
    other = NextLine.of(changed_after(lines, at, seed), day_ms(30))
    if not np.array_equal(task.item, other.item):
        assert task.vocabulary == other.vocabulary
    asked = task.targets[task.lines.at_ms[task.targets] <= task.lines.at_ms[at]]
    asked = asked[(asked <= at) | (task.lines.customer[asked] != task.lines.customer[at])]
    parts, others = parts_of(task), parts_of(other)
    for name in parts:
        same_day = asked if name != "recent" else asked[task.lines.day[asked] <= task.lines.day[at]]
        assert np.array_equal(parts[name](same_day), others[name](same_day)), name


@settings(max_examples=20)
@given(shops())
def test_methods_score_the_same_together_as_alone(lines):
    task = NextLine.of(lines, day_ms(30))
    both = score_all(task, WEIGHTS)
    alone = score_all(task, {"mix of six": WEIGHTS["mix of six"]})
    assert np.array_equal(both["mix of six"].rank, alone["mix of six"].rank)


def test_em_finds_the_weights_that_made_the_data():
    luck = np.random.default_rng(0)
    which = luck.random(20_000) < 0.3
    likelihoods = np.where(which[:, None], [0.8, 0.2], [0.1, 0.5])
    first, second = em(likelihoods)
    assert first + second == pytest.approx(1)
    assert first < 0.5 < second


def test_weights_are_found_before_the_split():
    followed = [("ann", n // 9, f"o{n // 3}", "abcde"[n % 5]) for n in range(200)]
    found = fit_weights(shop(followed), validation_ms=day_ms(11), split_ms=day_ms(18))
    assert sum(found["mix of six"].values()) == pytest.approx(1)
    assert found["Markov + popularity"]["markov"] > 0.9
    turned = followed[:162] + [(*row[:3], "a") for row in followed[162:]]
    again = fit_weights(shop(turned), validation_ms=day_ms(11), split_ms=day_ms(18))
    assert again == found


@settings(max_examples=25)
@given(st.permutations(range(6)), st.integers(0, 3))
def test_numbering_the_customers_anew_changes_no_figure(order, seed):
    luck = np.random.default_rng(seed)
    customer = np.repeat(np.arange(6), 5)
    rank = luck.integers(1, 30, 30)
    scores = ItemScores(rank, luck.random(30))
    one = Bootstrap(customer, draws=200, seed=0).figures(values(scores))
    moved = np.array(order)[customer]
    two = Bootstrap(moved, draws=200, seed=0).figures(values(scores))
    for name in one:
        assert one[name]["value"] == two[name]["value"]
        assert one[name]["n"] == two[name]["n"]


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    luck = np.random.default_rng(1)
    held = 0
    for trial in range(200):
        level = luck.beta(2, 2, 40)  # each customer has a level of its own; their mean is .5
        values_ = (luck.random((40, 10)) < level[:, None]).astype(float).ravel()
        figure = Bootstrap(np.repeat(np.arange(40), 10), draws=200, seed=trial).figure(values_)
        held += figure["low"] <= 0.5 <= figure["high"]
    assert 175 <= held <= 199


def test_figures_come_for_every_stratum():
    found = figures(TASK, score(TASK, lambda rows: np.full((len(rows), 2), 0.5)), draws=20)
    assert found["all_lines"]["top_5"]["n"] == 3
    assert found["all_lines"]["nll"]["n"] == 2
    assert found["all_lines"]["top_5"]["value"] == pytest.approx(2 / 3)
    assert found["new_customers"]["top_5"]["value"] == 1
