"""Twins of the core that looks back: what is promised of the fold holds for their stored states."""

import pytest

from tests.builders import DAY, HOUR, NOON
from tests.twins.builders import (
    advance_everything,
    customer,
    happen,
    orders,
    purchase,
    stored_model,
    twin,
    verified,
    viewed,
)
from twins.models import ModelVersion, Twin, TwinSnapshot
from twins.selectors import loaded_model
from twins.services import activate_model, rebuild_twins

pytestmark = pytest.mark.django_db
FIELDS = ("h", "c", "memory", "forecast", "clock_at", "fold_mode")


@pytest.fixture
def model(db: None) -> ModelVersion:
    return activate_model(model_id=stored_model(core="transformer").id, at=NOON)


def test_a_state_holds_what_the_core_asks_for(model):
    someone = customer()
    happen(someone, *orders(3))
    advance_everything()

    core = loaded_model(model).core
    assert len(bytes(twin(someone).h)) == 4 * core.hidden
    assert len(bytes(twin(someone).c)) == 4 * core.carried > 4 * core.hidden


@pytest.mark.parametrize("mark", ["technical", "outlier"])
def test_events_that_do_not_change_twins_change_none_of_these(model, mark):
    someone = customer()
    happen(someone, *orders(3))
    advance_everything()
    before = Twin.objects.values(*FIELDS).get()

    happen(someone, purchase("POSTAGE", 9, "POST"), start=NOON + 9 * DAY, metadata={mark: True})
    happen(someone, viewed(), start=NOON + 10 * DAY)
    advance_everything()

    assert twin(someone).stream_version == 5
    assert Twin.objects.values(*FIELDS).get() == before
    assert verified(someone).differences == []


def test_a_late_event_rewinds_to_a_snapshot_and_ends_where_a_rebuild_ends(model):
    late, in_time = customer(), customer()
    days = [purchase(f"O{n}", sku=f"SKU{n}") for n in range(6)]
    for one in days[:4]:
        happen(late, one, start=NOON + days.index(one) * DAY)
        advance_everything()
    happen(late, days[5], start=NOON + 5 * DAY)
    advance_everything()
    happen(late, days[4], start=NOON + 4 * DAY)
    happen(in_time, *days, step=DAY)
    advance_everything()

    assert twin(late).fold_mode == Twin.FoldMode.REWOUND
    assert TwinSnapshot.objects.filter(pseudonym=late).count() > 1
    found = verified(late, in_time)
    assert (found.twins, found.differences) == (2, [])
    assert bytes(twin(late).c) == bytes(twin(in_time).c)


def test_one_by_one_and_all_at_once_end_in_the_same_bytes(model):
    slow, fast = customer(), customer()
    for number, one in enumerate(orders(9)):
        happen(slow, one, start=NOON + number * HOUR)
        advance_everything()
    happen(fast, *orders(9))
    advance_everything()

    assert bytes(twin(slow).h) == bytes(twin(fast).h)
    assert bytes(twin(slow).c) == bytes(twin(fast).c)


def test_a_model_with_another_core_is_rebuilt_beside_and_takes_over(model):
    someone = customer()
    happen(someone, *orders(4))
    advance_everything()
    other = stored_model(seed=1, nll=5.0, name="an lstm")

    for _ in rebuild_twins(model_id=other.id, at=NOON):
        pass
    activate_model(model_id=other.id, at=NOON)

    assert len(bytes(twin(someone).c)) == 4 * loaded_model(other).core.carried
    assert verified(someone).differences == []
