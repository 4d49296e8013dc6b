"""The networks of protocol A learn what is there to learn and never look ahead."""

import numpy as np
import pytest
import torch

from ml.protocols.next_line import NextLine, score
from ml.protocols.next_line_methods import parts_of
from ml.protocols.next_line_networks import RECIPES, Inputs, Recipe, learn, scores_of
from tests.ml.protocols.builders import changed_after, day_ms, shop

# a, b, c and d follow each other for ever: one transition from every item
ROWS = [(f"c{n % 5}", n // 5, f"o{n // 20}", "abcd"[(n // 5 + n) % 4]) for n in range(5 * 45)]
SHOP = shop(ROWS)
TASK = NextLine.of(SHOP, day_ms(35))


@pytest.mark.parametrize("name", RECIPES)
def test_a_network_learns_a_shop_of_one_transition(name: str):
    recipe = Recipe(RECIPES[name].make, 120, 1e-2)
    plain, masked = scores_of(TASK, learn(TASK, recipe, seed=0, on_epoch=lambda n: None))
    assert (plain.rank == 1).mean() > 0.9
    assert np.isfinite(masked.nll).all()
    markov = score(TASK, parts_of(TASK)["markov"])
    assert (markov.rank == 1).all()


@pytest.mark.parametrize("name", RECIPES)
def test_later_lines_change_no_earlier_score(name: str):
    network = learn(TASK, Recipe(RECIPES[name].make, 1, 1e-3), seed=0, on_epoch=lambda n: None)
    at = int(TASK.targets[len(TASK.targets) // 2])
    other = NextLine.of(changed_after(SHOP, at), day_ms(35))
    one, two = scores_of(TASK, network)[0], scores_of(other, network)[0]
    same = (TASK.targets <= at) | (SHOP.customer[TASK.targets] != SHOP.customer[at])
    assert one.nll[same] == pytest.approx(two.nll[same], abs=1e-5)
    assert (TASK.item != other.item).any()


def test_a_customer_new_since_the_split_is_the_unknown_one():
    rows = [*ROWS, ("new", 40, "n", "a"), ("new", 41, "n", "b")]
    task = NextLine.of(shop(rows), day_ms(35))
    inputs = Inputs(task)
    assert inputs.user[task.lines.customer == task.lines.customers - 1].tolist() == [0, 0]
    assert int(inputs.user.max()) == inputs.users - 1
    assert torch.isfinite(inputs.numbers).all()
