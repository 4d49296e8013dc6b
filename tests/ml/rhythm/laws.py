"""Laws and customers for the tests of the rhythm."""

import numpy as np
from hypothesis import strategies as st

from ml.rhythm.law import OWN_COLUMNS, WAITED_COLUMNS, Law
from ml.timing import TimeToOrder

MONDAY = 14_977  # 2011-01-03


def a_law(seed: int = 3) -> Law:
    """A law with weights that make a difference, and no business on Saturdays."""
    luck = np.random.default_rng(seed)
    weekday = (1.1, 1.2, 1.3, 1.5, 1.0, 0.001, 0.899)
    hours = [0.001] * 7 + luck.uniform(0.02, 0.2, 13).tolist() + [0.001] * 4
    return Law(
        weekday=weekday, shape=0.7, scale=55.0, level=0.1,
        own=tuple(luck.normal(0, 0.1, OWN_COLUMNS).tolist()),
        waited=tuple(luck.normal(0, 0.1, WAITED_COLUMNS).tolist()),
        longest_days=150, typical_log_spend=5.0, same_day=0.08, hours=tuple(hours),
    )  # fmt: skip


@st.composite
def times(draw: st.DrawFn) -> TimeToOrder:
    """Return the time to the next order of a customer, or of one who has bought nothing."""
    bought = draw(st.booleans())
    gap = draw(st.integers(1, 200)) if bought and draw(st.booleans()) else 0
    return TimeToOrder(
        law=a_law(draw(st.integers(0, 5))),
        shape=draw(st.floats(0.4, 30)), scale=draw(st.floats(5, 400)),
        level=draw(st.floats(-2, 2)) if bought else 0.0,
        last_day=MONDAY if bought or draw(st.booleans()) else None,
        last_day_share=draw(st.floats(0, 0.99)) if bought else 0.0,
        gap_days=gap, gap_before_days=draw(st.integers(1, 90)) if gap else 0, bought=bought,
    )  # fmt: skip
