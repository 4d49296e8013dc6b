"""A state survives storage to the bit."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml.states import MEMORY, TwinStates, as_objects, stack

singles = st.floats(width=32, allow_nan=True, allow_infinity=True)
counts = st.integers(-(2**63), 2**63 - 1)


@given(
    arrays(np.float32, (3, 4), elements=singles),
    arrays(np.float32, (3, 4), elements=singles),
    st.lists(counts, min_size=len(MEMORY), max_size=len(MEMORY)),
)
def test_a_state_survives_serialisation_to_the_bit(h, c, numbers):
    columns = {name: np.full(3, value) for name, value in zip(MEMORY, numbers, strict=True)}
    items = [b"", b"a", b"b\x00"]
    states = TwinStates(h=h, c=c, items=as_objects(items), **columns)

    stored = [(*states.row_bytes(i), json.dumps(states.memory(i))) for i in range(3)]
    memories = [json.loads(row[2]) for row in stored]
    back = TwinStates.from_bytes(
        [row[0] for row in stored], [row[1] for row in stored], memories, states.items.tolist()
    )

    assert back.h.tobytes() == h.tobytes()
    assert back.c.tobytes() == c.tobytes()
    assert back.items.tolist() == items
    assert [back.memory(i) for i in range(3)] == [states.memory(i) for i in range(3)]


def test_states_taken_apart_and_stacked_are_the_same_states():
    h = np.arange(12, dtype=np.float32).reshape(4, 3)
    states = TwinStates.fresh(h, -h).replaced(orders=np.arange(4))

    joined = stack([states.take([3, 1]), states.take([0])])

    assert joined.orders.tolist() == [3, 1, 0]
    assert joined.h.tolist() == h[[3, 1, 0]].tolist()


def test_a_taken_state_is_a_copy():
    states = TwinStates.fresh(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32))
    states.take([0, 1]).h[:] = 7
    assert states.h.sum() == 0


def test_no_states_make_an_empty_table():
    assert len(TwinStates.from_bytes([], [], [])) == 0
