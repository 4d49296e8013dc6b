"""Rewinding: a late event ends in the twin that a rebuild would make, from a snapshot before it."""

import sys
from datetime import timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.builders import DAY, HOUR, NOON
from tests.twins.builders import (
    SKUS,
    advance_everything,
    customer,
    customer_in,
    happen,
    lagging,
    orders,
    purchase,
    registered,
    returned,
    stored_model,
    twin,
    verified,
)
from twins import rewinding, tasks
from twins.bases import newest_bases
from twins.encoding import fold_order
from twins.folding import fold, fold_from_start, whole_histories, work_of
from twins.models import Twin, TwinSnapshot
from twins.selectors import loaded_model
from twins.services import activate_model, mend_twin, mend_twins, rebuild_twins

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


@pytest.fixture
def begun(monkeypatch) -> list[dict[UUID, int]]:
    """After which version each rewind has read its stream."""
    seen: list[dict[UUID, int]] = []
    read = rewinding.events_after

    def reading(after: dict[UUID, int]) -> Any:
        if after:
            seen.append(dict(after))
        return read(after)

    monkeypatch.setattr(rewinding, "events_after", reading)
    return seen


def happen_and_advance(pseudonym: UUID, *moments: timedelta, prefix: str = "O") -> None:
    """One order at each of the moments after noon, each advanced on its own."""
    for number, moment in enumerate(moments):
        happen(pseudonym, purchase(f"{prefix}{number}", 1, SKUS[number % 8]), start=NOON + moment)
        advance_everything()


def snapshot_versions(pseudonym: UUID) -> list[int]:
    rows = TwinSnapshot.objects.filter(pseudonym=pseudonym).order_by("stream_version")
    return list(rows.values_list("stream_version", flat=True))


def test_a_late_event_rewinds_to_the_newest_snapshot_before_it_and_to_no_earlier_one(model, begun):
    someone = customer()
    happen_and_advance(someone, *(n * DAY for n in range(6)))
    assert snapshot_versions(someone) == [1, 2, 3, 4, 5, 6]

    happen_and_advance(someone, 3 * DAY + HOUR, prefix="LATE")

    assert begun == [{someone: 4}]
    assert twin(someone).fold_mode == Twin.FoldMode.REWOUND
    assert verified(someone).differences == []


def test_a_late_event_at_the_very_clock_of_a_snapshot_is_folded_after_it(model, begun):
    someone = customer()
    happen_and_advance(someone, *(n * DAY for n in range(4)))

    happen_and_advance(someone, 1 * DAY, prefix="LATE")

    assert begun == [{someone: 2}]
    assert verified(someone).differences == []


def test_a_late_event_before_every_snapshot_folds_the_stream_from_its_start(model, begun):
    someone = customer()
    happen_and_advance(someone, *(n * DAY for n in range(4)))

    happen_and_advance(someone, -HOUR, prefix="LATE")

    assert begun == [{someone: 0}]
    assert twin(someone).fold_mode == Twin.FoldMode.REFOLDED
    assert verified(someone).differences == []


def test_a_snapshot_that_a_late_event_has_overtaken_stays_and_is_never_rewound_to(model, begun):
    someone = customer()
    happen_and_advance(someone, *(n * DAY for n in range(5)))
    before = list(TwinSnapshot.objects.order_by("stream_version").values())
    happen_and_advance(someone, 1 * DAY + HOUR, prefix="LATE")  # overtakes snapshots 3, 4 and 5

    happen_and_advance(someone, 3 * DAY + HOUR, prefix="LATER")

    assert begun == [{someone: 2}, {someone: 2}]  # not 4, the newest before the second late event
    assert list(TwinSnapshot.objects.order_by("stream_version").values())[:5] == before
    assert verified(someone).differences == []


def test_a_late_event_that_changes_nothing_rewinds_nothing(model, begun):
    someone = customer()
    happen_and_advance(someone, *(n * DAY for n in range(4)))

    happen(someone, purchase("POSTAGE"), start=NOON + HOUR, metadata={"technical": True})
    advance_everything()
    happen_and_advance(someone, 2 * DAY + HOUR, prefix="LATE")

    assert begun == [{someone: 3}]  # nor does it overtake a snapshot
    assert verified(someone).differences == []


def test_rewound_and_advanced_twins_come_out_of_one_batch(model, begun):
    late, in_time, new = (customer() for _ in range(3))
    happen_and_advance(late, *(n * DAY for n in range(4)))
    happen_and_advance(in_time, *(n * DAY for n in range(4)))
    happen(late, purchase("LATE"), start=NOON + 2 * DAY + HOUR)
    happen(in_time, purchase("NEW"), start=NOON + 9 * DAY)
    happen(new, purchase("FIRST"), start=NOON + 9 * DAY)

    advance_everything()

    assert [twin(p).fold_mode for p in (late, in_time, new)] == ["rewound", "advanced", "advanced"]
    assert verified(late, in_time, new).differences == []


def test_what_a_batch_rewinds_is_bounded_by_the_tails_and_not_by_the_streams(model, monkeypatch):
    people = [customer_in(shard=5) for _ in range(6)]
    for someone in people:
        happen_and_advance(someone, *(n * DAY for n in range(6)))
    for someone in people:
        happen(someone, purchase("LATE"), start=NOON + 4 * DAY + HOUR)
    reads: list[int] = []
    read = rewinding.events_after
    monkeypatch.setattr(
        rewinding, "events_after", lambda after: reads.append(len(after)) or read(after)
    )
    monkeypatch.setattr(sys.modules["twins.services.advance"], "EVENTS_PER_BATCH", 4)

    advance_everything()

    assert reads == [2, 2, 2]  # tails of two events each
    assert verified(*people).differences == []


def test_an_event_that_is_appended_while_a_rebuild_rewinds_is_left_for_the_next_fold(
    model, monkeypatch
):
    someone = customer()
    happen_and_advance(someone, *(n * DAY for n in range(6)))
    happen(someone, purchase("LATE"), start=NOON + 4 * DAY + HOUR)
    read = rewinding.events_after

    def appended_meanwhile(after):
        happen(someone, purchase("EARLIER"), start=NOON + HOUR)  # before the base that was chosen
        return read(after)

    monkeypatch.setattr(rewinding, "events_after", appended_meanwhile)
    for _ in rebuild_twins(model_id=model.id, at=NOON):
        pass
    monkeypatch.undo()

    assert twin(someone).stream_version == 7
    assert verified(someone).differences == []
    advance_everything()
    assert twin(someone).stream_version == 8
    assert verified(someone).differences == []


arrivals = st.lists(
    st.tuples(
        st.integers(0, 12 * 12),  # half-hours after noon, over three days: repeats and goes back
        st.sampled_from(["purchase", "return", "technical", "registered"]),
        st.integers(0, 2),
        st.sampled_from(SKUS[:4]),
        st.booleans(),  # advance afterwards
    ),
    min_size=2,
    max_size=18,
)
LAWS = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def arrive(someone: UUID, history: list[tuple[int, str, int, str, bool]]) -> None:
    for number, (half_hours, kind, order, sku, advances) in enumerate(history):
        event = {"return": returned(f"O{order}", number, sku), "registered": registered()}.get(
            kind, purchase(f"O{order}", number, sku)
        )
        marks = {"technical": True} if kind == "technical" else {}
        happen(someone, event, start=NOON + half_hours * 30 * MINUTE, metadata=marks)
        if advances:
            advance_everything()
    advance_everything()


@LAWS
@given(history=arrivals)
def test_however_events_arrive_the_twin_is_that_of_a_rebuild_to_the_bit(model, settings, history):
    settings.DTOC_SNAPSHOT_EVENTS = 1
    someone = customer()
    arrive(someone, history)

    rebuilt = fold_from_start(loaded_model(model), whole_histories([someone]))

    head = twin(someone)
    assert (bytes(head.h), bytes(head.c)) == rebuilt.row_bytes(0)
    assert head.memory == rebuilt.memory(0)


@LAWS
@given(history=arrivals)
def test_the_base_of_every_version_is_the_newest_snapshot_that_begins_the_order_of_its_events(
    model, settings, history
):
    """The rule that ``newest_bases`` asks the database is compared with trying it out."""
    settings.DTOC_SNAPSHOT_EVENTS = 1
    someone = customer()
    arrive(someone, history)
    whole = whole_histories([someone])[someone]
    snapshots = list(TwinSnapshot.objects.filter(pseudonym=someone))

    for until in range(1, whole[-1].version + 1):
        found = newest_bases(model.id, {someone: until})

        events = [event for event in whole if event.version <= until]
        fitting = [s.stream_version for s in snapshots if begins_the_order(s, events)]
        if not any(event.type == "customer_registered" for event in events):
            assert [base.stream_version for base in found.values()] == sorted(fitting)[-1:]
        for base in found.values():
            assert base.stream_version in fitting
            if tail := [event for event in events if event.version > base.stream_version]:
                (onward,) = fold(loaded_model(model), [work_of(someone, tail, base)])
                rebuilt = fold_from_start(loaded_model(model), {someone: events})
                assert (onward.h, onward.c) == rebuilt.row_bytes(0)


def begins_the_order(snapshot: TwinSnapshot, events: list[Any]) -> bool:
    """Whether all that the snapshot has folded comes first in the order of these events."""
    if snapshot.stream_version > events[-1].version:
        return False
    order = fold_order(events, clock_ms=0)
    known = [event for event in events if event.version <= snapshot.stream_version]
    seen = fold_order(known, clock_ms=0)
    return order[: len(seen)] == seen


@LAWS
@given(history=arrivals)
def test_every_snapshot_is_the_fold_of_the_events_that_were_known_then(model, settings, history):
    settings.DTOC_SNAPSHOT_EVENTS = 1
    someone = customer()
    arrive(someone, history)
    events = whole_histories([someone])[someone]

    snapshots = list(TwinSnapshot.objects.filter(pseudonym=someone))

    assume(len(snapshots) > 1)
    for snapshot in snapshots:
        known = [event for event in events if event.version <= snapshot.stream_version]
        rebuilt = fold_from_start(loaded_model(model), {someone: known})
        assert (bytes(snapshot.h), bytes(snapshot.c)) == rebuilt.row_bytes(0)
        assert snapshot.memory == rebuilt.memory(0)


# The budget


@pytest.fixture
def waiting(model) -> UUID:
    """A twin that left out an event of 91 days before its clock."""
    someone = customer()
    happen_and_advance(someone, 0 * DAY, 91 * DAY + HOUR)
    happen(someone, purchase("LATE"), start=NOON + HOUR / 2)
    advance_everything(at=NOON + 100 * DAY)
    return someone


def test_an_event_that_comes_later_than_the_budget_waits_and_is_counted(waiting):
    left = twin(waiting)

    assert (left.waits_since, left.waiting_events) == (NOON + 100 * DAY, 1)
    assert (left.stream_version, left.memory["lines"]) == (3, 2)
    assert lagging() == 0


def test_an_event_within_the_budget_does_not_wait(model):
    someone = customer()
    happen_and_advance(someone, 0 * DAY, 90 * DAY)

    happen_and_advance(someone, 0 * DAY, prefix="LATE")

    assert (twin(someone).waits_since, twin(someone).fold_mode) == (None, "rewound")
    assert verified(someone).differences == []


def test_the_budget_is_a_setting(model, settings):
    settings.DTOC_LATE_EVENT_BUDGET_DAYS = 2
    someone = customer()
    happen_and_advance(someone, 0 * DAY, 3 * DAY)

    happen_and_advance(someone, HOUR, prefix="LATE")

    assert twin(someone).waiting_events == 1


def test_a_twin_that_waits_goes_on_with_events_in_time_and_lets_late_ones_wait_with_the_first(
    waiting, begun
):
    since = twin(waiting).waits_since
    taken = snapshot_versions(waiting)

    happen(waiting, purchase("NEW"), start=NOON + 95 * DAY)
    happen(waiting, purchase("LATE2"), start=NOON + 91 * DAY)  # a day late, within the budget
    advance_everything(at=NOON + 101 * DAY)

    left = twin(waiting)
    assert (left.stream_version, left.memory["lines"]) == (5, 3)
    assert (left.waits_since, left.waiting_events) == (since, 2)
    assert begun == []
    assert snapshot_versions(waiting) == taken  # none is taken of a twin that is not whole


def test_verifying_reports_a_twin_that_waits_as_waiting_and_not_as_different(waiting, capsys):
    fine = customer()
    happen_and_advance(fine, HOUR)

    result = verified(waiting, fine)
    call_command("verify_twins")

    assert (result.differences, result.waiting, result.waiting_events) == ([], 1, 1)
    assert result.twins == 1
    assert "1 twins wait for the nightly rebuild: 1 events" in capsys.readouterr().out


@pytest.mark.parametrize("unseen", [0, 2])
def test_the_nightly_rebuild_folds_in_what_waited_and_what_came_since(waiting, unseen):
    happen(waiting, *orders(unseen, prefix="NEW"), start=NOON + 95 * DAY)

    assert tasks.mend_waiting_twins() == 1
    assert tasks.mend_waiting_twins() == 0

    mended = twin(waiting)
    assert (mended.waits_since, mended.waiting_events) == (None, 0)
    assert (mended.fold_mode, mended.memory["lines"]) == ("rewound", 3 + unseen)
    assert verified(waiting).differences == []
    assert verified(waiting).twins == 1
    assert lagging() == 0


def test_the_nightly_rebuild_goes_on_where_its_time_was_up(model, monkeypatch):
    people = [customer() for _ in range(3)]
    for someone in people:
        happen_and_advance(someone, 0 * DAY, 92 * DAY)
        happen_and_advance(someone, HOUR, prefix="LATE")
    asked: list[str] = []
    monkeypatch.setattr(tasks, "ask_later", lambda name, after: asked.append(after))
    monkeypatch.setattr(tasks, "LONGEST_MENDING_SECONDS", -1.0)

    tasks.mend_waiting_twins()
    assert Twin.objects.filter(waits_since__isnull=False).count() == 2
    while Twin.objects.filter(waits_since__isnull=False).exists():
        tasks.mend_waiting_twins(asked[-1])

    assert asked == [str(p) for p in sorted(people)]
    assert verified(*people).differences == []


def test_a_twin_whose_fold_fails_waits_on_and_the_others_are_mended(model, monkeypatch):
    people = sorted(customer() for _ in range(3))
    for someone in people:
        happen_and_advance(someone, 0 * DAY, 92 * DAY)
        happen_and_advance(someone, HOUR, prefix="LATE")
    read = rewinding.events_after

    def failing(after: dict[UUID, int]) -> Any:
        if people[1] in after:
            raise ValueError("an event that nobody can read")
        return read(after)

    monkeypatch.setattr(rewinding, "events_after", failing)

    tried = list(islice(mend_twins(at=NOON), 10))

    outcomes = [(someone, bool(report)) for someone, report in tried]
    assert outcomes == list(zip(people, [True, False, True], strict=True))  # each of them once
    assert twin(people[1]).waiting_events == 1
    assert verified(*people).differences == []


def test_a_rebuild_by_hand_leaves_no_twin_waiting(waiting, model):
    for _ in rebuild_twins(model_id=model.id, at=NOON):
        pass

    assert twin(waiting).waits_since is None
    assert verified(waiting).differences == []


def test_a_twin_that_has_seen_nothing_but_its_registration_never_waits(model):
    someone = customer()
    happen(someone, registered(), start=NOON + 5_000 * DAY)
    advance_everything()

    happen(someone, *orders(3), step=DAY)
    advance_everything()

    assert twin(someone).waits_since is None
    assert verified(someone).differences == []


def test_mending_a_twin_that_does_not_wait_changes_nothing(model):
    someone = customer()
    happen_and_advance(someone, 0 * DAY, 1 * DAY)
    before = Twin.objects.values().get()

    assert not mend_twin(pseudonym=someone, at=NOON + 9 * DAY)
    assert list(mend_twins(at=NOON)) == []
    assert Twin.objects.values().get() == before


def test_twins_of_another_model_are_mended_when_it_is_active(waiting, model):
    other = stored_model(seed=1)
    activate_model(model_id=other.id, at=NOON, reason="a test")
    advance_everything()
    assert list(mend_twins(at=NOON)) == []

    activate_model(model_id=model.id, at=NOON, reason="a test")
    assert [pseudonym for pseudonym, _ in mend_twins(at=NOON)] == [waiting]
    assert verified(waiting).differences == []
