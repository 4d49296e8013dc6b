"""The twin under the protocols: it says what it said just before each line."""

import numpy as np
import pytest

from ml.protocols.next_line import NextLine, score
from ml.protocols.twin import TwinStatesOfLines, trained
from tests.ml.protocols.builders import changed_after, day_ms, shop

ROWS = [(f"c{n % 6}", n // 6, f"o{n // 18}-{n % 6}", "abcd"[(n // 6 + n) % 4]) for n in range(360)]
SHOP = shop([*ROWS, ("c0", 58, "late", "new")])
TASK = NextLine.of(SHOP, day_ms(40))


@pytest.fixture(scope="module")
def model():
    return trained(SHOP, cut_off_ms=day_ms(40), validation_ms=day_ms(30), epochs=2)


@pytest.mark.parametrize("told", [False, True])
def test_shares_are_distributions_and_unknown_items_are_misses(model, told: bool):
    predict = TwinStatesOfLines(model, SHOP).item_shares(TASK, told=told)
    assert predict(TASK.targets).sum(axis=1) == pytest.approx(np.ones(len(TASK.targets)), abs=1e-4)
    assert not np.isfinite(score(TASK, predict).nll[~TASK.known]).any()


@pytest.mark.parametrize("told", [False, True])
def test_later_lines_change_no_earlier_share(model, told: bool):
    at = int(TASK.targets[len(TASK.targets) // 2]) - 1
    moved = changed_after(SHOP, at)
    other = NextLine.of(moved, day_ms(40))
    one, two = (
        score(task, TwinStatesOfLines(model, lines).item_shares(task, told=told))
        for task, lines in ((TASK, SHOP), (other, moved))
    )
    until = (TASK.targets <= at) | (SHOP.customer[TASK.targets] != SHOP.customer[at])
    next_share = [
        TwinStatesOfLines(model, lines).item_shares(task, told=told)(np.array([at + 1]))
        for task, lines in ((TASK, SHOP), (other, moved))
    ]
    assert one.nll[until] == pytest.approx(two.nll[until], abs=1e-5, nan_ok=True)
    assert next_share[0] == pytest.approx(next_share[1], abs=1e-6)  # not of what stands there
    assert (TASK.item != other.item).any()


def test_what_comes_after_the_cut_off_is_not_even_shown_to_the_training(model):
    past = SHOP.rows(SHOP.at_ms < day_ms(40))
    again = trained(past, cut_off_ms=day_ms(40), validation_ms=day_ms(30), epochs=2)
    assert "new" not in model.dictionaries.items
    for one, two in zip(model.parameters(), again.parameters(), strict=True):
        assert (one == two).all()
