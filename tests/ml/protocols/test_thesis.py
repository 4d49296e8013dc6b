"""The thesis' protocol remembers; its controls show that it does nothing else."""

import numpy as np
import pytest

from ml.protocols.thesis import LEARNED, Asked, Windows, learned_and_scored, ranked, runs
from ml.protocols.thesis_network import ThesisNetwork
from ml.protocols.thesis_rules import rules_inside, rules_outside
from tests.ml.protocols.builders import shop

LINES = shop(
    [(c, day, f"{c}{day}", "ab"[day % 2]) for c in ("ann", "bob") for day in range(6)]
    + [("cat", 0, "c", "a")]
)


def small() -> Windows:
    return Windows.of(LINES, customers=2, window=6)


def test_windows_are_the_last_lines_of_the_busiest():
    windows = Windows.of(LINES, customers=2, window=4)
    assert windows.item.tolist() == [[0, 1, 0, 1]] * 2
    assert windows.numbers[0, 0] == pytest.approx(np.log1p([1 + 1 / 1440, 2]))


def test_the_network_has_the_size_that_the_thesis_names():
    network = ThesisNetwork(items=3_665, users=100, countries=37)
    assert sum(weights.numel() for weights in network.parameters()) == 390_877


def test_ties_go_to_the_smaller_number_as_where_one_takes_the_largest():
    scores = iter([np.array([[0.5, 0.5]] * 5)] * 2)
    found = ranked(small(), Asked(1, 6), scores)
    assert found["top_1"] == pytest.approx(2 / 5)  # targets b a b a b: a is named
    assert found["targets"] == 10


def test_rules_know_the_lines_that_they_counted():
    inside = rules_inside(small())
    assert inside["Markov, the customer's transitions"]["top_1"] == 1
    assert inside["Markov, everybody's transitions"]["top_1"] == 1
    assert inside["most frequent overall"]["top_5"] == 1
    assert rules_outside(small(), 4)["Markov, everybody's transitions"]["targets"] == 4


def test_a_network_learns_random_items_by_heart_and_knows_no_others():
    windows = Windows.of(LINES, customers=2, window=6).with_random_items(0)
    wide = Windows(windows.item * 0, windows.numbers, windows.country, 50, windows.countries)
    wide = wide.with_random_items(1)
    inside, _ = learned_and_scored(wide, epochs=150)
    assert inside["top_1"] == 1
    before, outside = learned_and_scored(wide, epochs=150, learned=4)
    assert before["top_1"] == 1
    assert outside is not None
    assert outside["top_1"] <= 0.5


def test_equal_seeds_learn_equally():
    one, two = (learned_and_scored(small(), epochs=3, seed=5)[0] for _ in range(2))
    assert one == two


def test_the_controls_run_beside_the_main_run():
    made = runs(small())
    assert [learned for _, _, learned in made] == [None, LEARNED, None, None]
    assert sorted(made[3][1].item[0]) == sorted(small().item[0])
    assert len(runs(small(), main_only=True)) == 1
