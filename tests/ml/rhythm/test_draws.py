"""Draws of the next order: the law's own distribution, and the same luck in every arm."""

import math

import numpy as np
import pytest
import torch

from ml.rhythm.draws import Hazards, OrderTimes, levels
from ml.rhythm.drift import Drift
from ml.rhythm.law import Own
from ml.timing import DAY_MS, TimeToOrder
from tests.ml.rhythm.laws import MONDAY, a_law

LAW = a_law()
START = (MONDAY + 12) * DAY_MS + DAY_MS // 3
END = START + 60 * DAY_MS
OWN = {
    "shape": 3.7, "scale": 120.0, "level": 0.2, "last_day": MONDAY, "last_day_share": 0.3,
    "gap_days": 14, "gap_before_days": 30,
}  # fmt: skip
PLAIN = TimeToOrder(law=LAW, bought=True, **OWN)


def times(size: int) -> OrderTimes:
    columns = [torch.tensor([float(value)], dtype=torch.float64) for value in OWN.values()]
    columns[3] = torch.tensor([MONDAY])
    own = Own(*columns, torch.ones(1, dtype=torch.float64))
    hazards = Hazards(LAW, own, START // DAY_MS, 61)
    level = torch.ones((size, hazards.days), dtype=torch.float64)
    return hazards.rows(torch.zeros(size, dtype=torch.int64), level)


def even(size: int) -> torch.Tensor:
    """Evenly spaced probabilities: a sample without sampling error."""
    return (torch.arange(size, dtype=torch.float64) + 0.5) / size


def drawn(size: int, window=(END, END), multiplier=1.0, began=START, u=None) -> torch.Tensor:
    edges = tuple(torch.full((size,), int(edge)) for edge in window)
    times_one = torch.full((size,), multiplier, dtype=torch.float64)
    u = even(size) if u is None else u
    return times(size).draw(u, torch.full((size,), began), edges, times_one, end_ms=END)


def test_orders_come_as_often_as_the_closed_form_says():
    due = drawn(40_000)
    for days in (0.5, 1, 7, 20, 55):
        share = float((due < START + int(days * DAY_MS)).double().mean())
        assert share == pytest.approx(PLAIN.probability_within(days, START), abs=2e-4)
    assert float((due == END).double().mean()) == pytest.approx(
        1 - PLAIN.probability_within(60, START), abs=2e-4
    )


def test_having_waited_longer_conditions_the_time_as_a_sample_would():
    later = START + 20 * DAY_MS
    survivors = drawn(60_000)
    survivors = survivors[survivors > later].sort().values
    conditional = drawn(60_000, began=later).sort().values
    for q in (0.02, 0.1, 0.2, 0.3):
        one, other = (int(v[int(q * len(v))]) for v in (survivors, conditional))
        assert abs(one - other) < 0.02 * DAY_MS


@pytest.mark.parametrize("multiplier", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("window", [(9.6, 25.3), (-3.0, 10.0), (40.0, 90.0)])
def test_inside_the_window_and_only_there_the_hazard_is_multiplied(multiplier, window):
    edges = tuple(START + int(day * DAY_MS) for day in window)
    due = drawn(40_000, edges, multiplier)
    for days in (5, 12, 30, 59):
        end = START + days * DAY_MS
        cuts = [min(max(edge, START), end) for edge in edges]
        hazard = PLAIN.cumulative_hazard(START, end)
        inside = PLAIN.cumulative_hazard(cuts[0], cuts[1])
        expected = math.exp(-(hazard + (multiplier - 1) * inside))
        assert float((due >= end).double().mean()) == pytest.approx(expected, abs=3e-4)


def test_a_multiplier_of_one_changes_no_bit_wherever_the_window_lies():
    window = (START + 3 * DAY_MS + 17, START + 21 * DAY_MS + 5)
    assert torch.equal(drawn(10_000), drawn(10_000, window))


def test_a_larger_multiplier_never_delays_an_order():
    window = (START + 3 * DAY_MS, START + 21 * DAY_MS)
    due = [drawn(10_000, window, multiplier) for multiplier in (1.0, 1.2, 1.5)]
    assert bool((due[1] <= due[0]).all())
    assert bool((due[2] <= due[1]).all())


def test_nothing_before_the_window_moves():
    window = (START + 20 * DAY_MS, START + 40 * DAY_MS)
    plain, offered = drawn(10_000), drawn(10_000, window, 1.5)
    early = plain < window[0]
    assert torch.equal(plain[early], offered[early])


def test_one_more_order_on_the_same_day_comes_after_the_last_one():
    began = MONDAY * DAY_MS + 14 * 3_600_000
    share = float(LAW.day_share(np, np.array([began % DAY_MS]))[0])
    own = Own(
        *(torch.tensor([v], dtype=torch.float64) for v in (3.7, 120.0, 0.2)),
        torch.tensor([MONDAY]),
        *(torch.tensor([v], dtype=torch.float64) for v in (share, 14.0, 30.0, 1.0)),
    )
    size = 50_000
    hazards = Hazards(LAW, own, MONDAY, 30)
    rows = hazards.rows(
        torch.zeros(size, dtype=torch.int64), torch.ones((size, 32), dtype=torch.float64)
    )
    far = torch.full((size,), (MONDAY + 30) * DAY_MS)
    due = rows.draw(
        even(size), torch.full((size,), began), (far, far),
        torch.ones(size, dtype=torch.float64), end_ms=(MONDAY + 30) * DAY_MS,
    )  # fmt: skip
    assert bool((due >= began).all())
    midnight = (MONDAY + 1) * DAY_MS
    assert float((due < midnight).double().mean()) == pytest.approx(LAW.same_day, abs=1e-4)


def test_where_a_row_stands_changes_none_of_its_bits():
    luck = even(64)
    whole = drawn(64, u=luck)
    turned = drawn(64, u=luck.flip(0)).flip(0)
    assert torch.equal(whole, turned)


def test_levels_have_mean_one_and_move_with_the_weeks():
    drift = Drift(week=0.2, step=0.1)
    found = levels(drift, 7, 20_000, MONDAY, 60, torch.device("cpu"))
    assert found.mean(0).numpy() == pytest.approx(np.ones(64), abs=0.02)
    assert torch.equal(found[:, 0], found[:, 6])
    logs = torch.log(found)
    for week in (0, 8):
        spread = math.sqrt(0.2**2 + 0.1**2 * (week + 1))
        assert float(logs[:, 7 * week].std()) == pytest.approx(spread, rel=0.03)
    few = levels(drift, 7, 3, MONDAY, 60, torch.device("cpu"))
    assert torch.equal(few, found[:3])


def test_a_level_that_does_not_move_is_one():
    assert bool((levels(Drift.none(), 1, 4, MONDAY, 20, torch.device("cpu")) == 1).all())
