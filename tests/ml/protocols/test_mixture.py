"""The mixture under the protocols: one score for each target, from what came before it."""

import numpy as np
import pytest

from ml.mixture.model import fit
from ml.protocols.mixture import MixtureOfLines
from ml.protocols.next_line import NextLine
from tests.ml.protocols.builders import changed_after, day_ms, shop

ROWS = [(f"c{n % 6}", n // 6, f"o{n // 18}-{n % 6}", "abcd"[(n // 6 + n) % 4]) for n in range(360)]
SHOP = shop([*ROWS, ("fresh", 55, "first", "a"), ("c0", 58, "late", "new")])
TASK = NextLine.of(SHOP, day_ms(40))


def fitted(task: NextLine) -> MixtureOfLines:
    lines = task.lines
    return MixtureOfLines(fit(lines.events(), lines.customer_countries(), cut_off_ms=task.split_ms))


def nothing(lines: int) -> None:
    """Nobody looks at the progress."""


def test_every_target_is_scored_and_unknown_items_are_misses():
    found = fitted(TASK)
    for scores in (found.untold(TASK, nothing), found.told(TASK, nothing)):
        assert len(scores.nll) == len(TASK.targets)
        assert (np.isfinite(scores.nll) == TASK.known).all()
        assert (scores.rank[~TASK.known] > TASK.vocabulary).all()


def test_both_rows_are_of_one_fit_that_is_worked_out_once():
    told: list[int] = []
    found = fitted(TASK)
    found.untold(TASK, told.append)
    found.told(TASK, told.append)
    assert sum(told) == len(TASK.targets)


def test_later_lines_change_no_earlier_score():
    at = int(TASK.targets[len(TASK.targets) // 2]) - 1
    moved = changed_after(SHOP, at)
    other = NextLine.of(moved, day_ms(40))
    one, two = fitted(TASK).untold(TASK, nothing), fitted(other).untold(other, nothing)
    earlier = (SHOP.customer == SHOP.customer[at]) & (np.arange(len(SHOP)) <= at)
    until = earlier[TASK.targets] & TASK.known & other.known
    assert until.any()
    assert one.nll[until] == pytest.approx(two.nll[until], abs=1e-6)
    assert (TASK.item != other.item).any()
