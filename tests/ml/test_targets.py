"""What a row should have predicted is the next purchase before the cut-off, or that none came."""

import numpy as np
import pytest
import torch

from ml.encoding import encode
from ml.events import EventKind
from ml.targets import targets_of
from tests.ml.histories import DAY, OPENING_MS, Line, small_model, table

DICTIONARIES = small_model().dictionaries
CUT_OFF = OPENING_MS + 10 * DAY


def shop():
    return table(
        [
            [
                Line(OPENING_MS, "item-1", 1),
                Line(OPENING_MS, "item-2", 1, quantity=2),
                Line(OPENING_MS + DAY, "item-2", 9, kind=EventKind.RETURNED),
                Line(OPENING_MS + 4 * DAY, "item-3", 2),
            ],
            [],
            [Line(OPENING_MS + 2 * DAY, "unheard of", 3)],
        ]
    )


def made(scored_from_ms: int | None = None):
    events = shop()
    start = small_model().initial_state(["France"] * 3)
    columns = encode(events, start, DICTIONARIES)
    return events, targets_of(
        events, columns, customers=3, known=20, cut_off_ms=CUT_OFF, scored_from_ms=scored_from_ms
    )


def test_each_row_looks_for_the_next_purchase_of_its_own_customer():
    _, targets = made()
    assert targets.item[targets.has_item].tolist() == [2, 3, 3, 1]
    assert targets.has_item.tolist() == [True, True, True, False, False, True, False, False]


def test_a_line_of_the_same_order_is_told_from_one_that_opens_the_next():
    _, targets = made()
    assert targets.same_order.tolist()[:5] == [1, 0, 0, 0, 0]


def test_the_first_line_after_the_profile_is_a_target_of_its_own():
    _, targets = made()
    starts = targets.rows(torch.arange(5, 8))
    assert starts.item[0] == 1
    assert not starts.has_same_order.any()


def test_line_totals_are_those_of_the_target_line():
    _, targets = made()
    assert np.exp(targets.log_total[0].item()) == pytest.approx(5)


def test_scoring_a_window_leaves_out_what_came_before():
    _, targets = made(scored_from_ms=OPENING_MS + 3 * DAY)
    assert targets.has_item[:5].tolist() == [False, True, True, False, False]
    assert targets.has_same_order[:5].tolist() == [False, False, False, True, False]
