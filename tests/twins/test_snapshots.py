"""Snapshots: which are taken, which are thinned, and who may delete them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.db.utils import ProgrammingError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import DAY, HOUR, NOON
from tests.twins.builders import advance_everything, customer, happen, orders, purchase, twin
from twins import tasks
from twins.bases import newest_bases
from twins.erasure import SNAPSHOTS
from twins.models import TwinSnapshot
from twins.services import thin_snapshots

pytestmark = pytest.mark.django_db

NEW_YEAR = datetime(2013, 1, 1, 12, tzinfo=UTC)


def history(*moments: datetime) -> UUID:
    """A customer with an order at each moment, advanced then: a snapshot for each new day."""
    someone = customer()
    for number, moment in enumerate(moments):
        happen(someone, purchase(f"O{number}"), start=moment, at=moment)
        advance_everything(at=moment)
    return someone


def taken(pseudonym: UUID) -> list[datetime]:
    rows = TwinSnapshot.objects.filter(pseudonym=pseudonym).order_by("stream_version")
    return list(rows.values_list("taken_at", flat=True))


def test_a_snapshot_is_due_after_as_many_events_as_the_setting_says(model, settings):
    settings.DTOC_SNAPSHOT_EVENTS = 3
    someone = customer()
    for number in range(7):
        happen(someone, purchase(f"O{number}"), start=NOON + number * timedelta(minutes=1))
        advance_everything()

    versions = TwinSnapshot.objects.filter(pseudonym=someone).values_list("stream_version")
    assert [version for (version,) in versions.order_by("stream_version")] == [1, 4, 7]


def test_thinning_keeps_all_then_the_last_of_each_day_then_of_each_month(model, settings):
    settings.DTOC_SNAPSHOT_EVENTS = 1
    old = [datetime(2011, 5, day, 12, tzinfo=UTC) for day in (2, 9, 30)]
    old += [datetime(2011, 6, day, 12, tzinfo=UTC) for day in (1, 15)]
    daily = [datetime(2012, 6, 3, hour, tzinfo=UTC) for hour in (8, 9, 23)]
    daily += [datetime(2012, 6, 4, hour, tzinfo=UTC) for hour in (0, 5)]
    fresh = [NEW_YEAR - 29 * DAY + number * HOUR for number in range(3)]
    someone = history(*old, *daily, *fresh)

    gone = thin_snapshots(at=NEW_YEAR)

    assert taken(someone) == [old[2], old[4], daily[2], daily[4], *fresh]
    assert gone == 6
    assert thin_snapshots(at=NEW_YEAR) == 0


def test_how_long_snapshots_are_kept_is_a_setting(model, settings):
    settings.DTOC_SNAPSHOT_EVENTS = 1
    settings.DTOC_SNAPSHOT_DAYS_ALL, settings.DTOC_SNAPSHOT_DAYS_DAILY = 1, 2
    moments = [NOON, NOON + DAY, NOON + 28 * DAY, NOON + 28 * DAY + HOUR, NOON + 29 * DAY]
    someone = history(*moments)

    thin_snapshots(at=NOON + 30 * DAY)

    assert taken(someone) == [NOON, *moments[3:]]  # the first is the base of the budget


def test_the_base_of_the_budget_window_is_never_thinned(model, settings):
    """The first one holds a whole imported history; all that follows lies in one month."""
    settings.DTOC_SNAPSHOT_EVENTS = 1
    first = datetime(2011, 5, 1, 9, tzinfo=UTC)
    someone = history(first, *(first + n * DAY for n in range(1, 20)))

    thin_snapshots(at=NEW_YEAR)

    assert taken(someone) == [first, first + 19 * DAY]


def test_where_a_base_lies_before_the_window_the_newest_of_those_is_the_one_that_stays(
    model, settings
):
    settings.DTOC_SNAPSHOT_EVENTS, settings.DTOC_LATE_EVENT_BUDGET_DAYS = 1, 5
    first = datetime(2011, 5, 1, 9, tzinfo=UTC)
    someone = history(*(first + n * DAY for n in range(20)))

    thin_snapshots(at=NEW_YEAR)

    assert taken(someone) == [first + 14 * DAY, first + 19 * DAY]


def test_a_snapshot_that_was_overtaken_is_no_base_that_stays(model, settings):
    settings.DTOC_SNAPSHOT_EVENTS = 1
    first = datetime(2011, 5, 1, 9, tzinfo=UTC)
    someone = history(*(first + n * DAY for n in range(1, 10)))
    happen(someone, purchase("LATE"), start=first + 2 * DAY + HOUR)
    advance_everything(at=first + 10 * DAY)
    happen(someone, purchase("EARLY"), start=first)
    advance_everything(at=first + 11 * DAY)  # overtakes all but those that know of it

    thin_snapshots(at=NEW_YEAR)

    assert taken(someone) == [first + 11 * DAY]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    days=st.lists(st.integers(0, 900), min_size=2, max_size=12, unique=True),
    late=st.lists(st.integers(0, 900), max_size=2),
    budget=st.sampled_from([3, 90, 400]),
)
def test_whatever_is_thinned_an_event_at_the_end_of_the_budget_finds_the_base_it_had(
    model, settings, days, late, budget
):
    settings.DTOC_SNAPSHOT_EVENTS, settings.DTOC_LATE_EVENT_BUDGET_DAYS = 1, budget
    someone = history(*(NOON + day * DAY for day in (*sorted(days), *late)))
    clock = twin(someone).clock_at
    edge = {someone: max(clock - budget * DAY, NOON)}
    until = {someone: twin(someone).stream_version}
    before = newest_bases(model.id, until, edge)
    any_before = newest_bases(model.id, until)

    thin_snapshots(at=NOON + 2_000 * DAY)

    assert newest_bases(model.id, until, edge) == before
    assert bool(newest_bases(model.id, until)) == bool(any_before)


def test_the_task_thins(model, settings):
    settings.DTOC_SNAPSHOT_EVENTS = 1
    history(*(datetime(2011, 5, day, 12, tzinfo=UTC) for day in (1, 2, 3, 4)))

    assert tasks.thin() == 2


def test_nobody_else_deletes_a_snapshot(model):
    someone = history(NOON)

    with pytest.raises(ProgrammingError, match="a snapshot stays"), transaction.atomic():
        TwinSnapshot.objects.filter(pseudonym=someone).delete()
    with pytest.raises(ProgrammingError, match="a snapshot stays"), transaction.atomic():
        SNAPSHOTS.erase(someone, uuid4())  # no erasure of that id is in progress
    thin_snapshots(at=NEW_YEAR)
    with pytest.raises(ProgrammingError, match="a snapshot stays"), transaction.atomic():
        TwinSnapshot.objects.filter(pseudonym=someone).delete()  # thinning leaves no door open

    assert SNAPSHOTS.count(someone) == 1


def test_a_session_that_calls_itself_a_replica_deletes_none_either(model):
    someone = history(NOON)

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
    with pytest.raises(ProgrammingError, match="a snapshot stays"), transaction.atomic():
        TwinSnapshot.objects.filter(pseudonym=someone).delete()

    assert SNAPSHOTS.count(someone) == 1


def test_the_first_snapshot_of_a_stream_of_views_has_no_clock_and_fits_everything(model):
    someone = customer()
    happen(someone, *orders(1), metadata={"technical": True})
    advance_everything()
    happen(someone, *orders(2), start=NOON - 9 * DAY)
    advance_everything()

    assert TwinSnapshot.objects.order_by("id").first().clock_at is None
    found = newest_bases(model.id, {someone: 3}, {someone: NOON - 99 * DAY})
    assert found[someone].stream_version == 1
