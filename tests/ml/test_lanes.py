"""Parallel lanes read every history once, in order, window by window."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ml.encoding import look_up
from ml.fold import pack
from ml.lanes import lane_batches
from ml.reader import LaneReader
from ml.split import Material, Split
from tests.ml.histories import DAY, OPENING_MS, habits, small_model


@given(
    st.lists(st.integers(1, 70), min_size=1, max_size=20),
    st.integers(1, 9),
    st.integers(1, 6),
    st.integers(0, 99),
)
def test_every_row_is_read_once_in_order_and_only_a_beginning_is_fresh(
    lengths, window, lanes, seed
):
    size = np.array(lengths)
    starts = np.cumsum(size) - size
    done = np.zeros(len(size), dtype=int)
    owner = {}
    rng = np.random.default_rng(seed)
    for batch in lane_batches(starts, size, window=window, lanes=lanes, rng=rng):
        assert len(set(batch.lane.tolist())) == len(batch.lane) <= lanes
        columns = (batch.lane, batch.history, batch.starts, batch.lengths, batch.fresh)
        for lane, history, start, length, fresh in zip(*columns, strict=True):
            assert start == starts[history] + done[history]
            assert fresh == (done[history] == 0)
            assert fresh or owner[history] == lane
            assert 1 <= length <= window
            owner[history] = lane
            done[history] += length
    assert done.tolist() == lengths


@given(st.lists(st.integers(1, 12), min_size=1, max_size=9))
def test_packing_orders_rows_by_step_and_loses_none(lengths):
    size = np.array(lengths)
    starts = np.cumsum(size) - size
    packing = pack(starts, size)
    expected = [
        starts[s] + step for step in range(max(lengths)) for s in packing.order if size[s] > step
    ]
    assert packing.rows.tolist() == expected
    assert packing.steps.tolist() == [
        sum(n > step for n in lengths) for step in range(max(lengths))
    ]


def test_a_state_carried_from_window_to_window_ends_where_the_fold_ends():
    events, countries = habits(customers=9)
    model, late = small_model(), int(events.occurred_at_ms.max()) + DAY
    split = Split(events, events, countries, model.dictionaries, 20, late, late)
    material = Material(events, split, known=20, cut_off_ms=late)
    country = torch.from_numpy(look_up(model.dictionaries.country_index(), countries))
    reader = LaneReader(model, material, country, lanes=3, item_dropout=0.0)
    folded = model.advance(model.initial_state(countries), events)

    rng = np.random.default_rng(0)
    for batch in lane_batches(material.starts, material.lengths, window=7, lanes=3, rng=rng):
        reader.losses(batch)
        ends = batch.starts + batch.lengths == (material.starts + material.lengths)[batch.history]
        for lane, customer in zip(batch.lane[ends], batch.history[ends], strict=True):
            np.testing.assert_allclose(reader.h[lane], folded.h[customer], atol=1e-5)
    assert folded.clock_ms.min() > OPENING_MS
