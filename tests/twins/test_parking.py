"""Parking: a stream whose fold fails steps aside, the others go on, and it is tried again."""

import sys
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError
from hypothesis import given
from hypothesis import strategies as st

from common.clock import now
from events.models import Event, Stream
from tests.builders import DAY, NOON
from tests.twins.builders import (
    active_model,
    advance_everything,
    both_at_once,
    customer,
    customer_in,
    happen,
    lagging,
    orders,
    purchase,
    stored_model,
    twin,
    verified,
)
from twins import folding, tasks
from twins.errors import ModelArtefactBroken
from twins.metrics import twin_metrics
from twins.models import ModelVersion, ParkedStream, Twin
from twins.selectors import lagging_shards, loaded_model, oldest_lag_seconds
from twins.services import (
    advance,
    advance_stream,
    fresh_twin,
    rebuild_twins,
    retry_parked,
    retry_stream,
)
from twins.services.park import FIRST_PAUSE, LONGEST_PAUSE, pause_after

pytestmark = pytest.mark.django_db
MODULE = sys.modules["twins.services.advance"]
MINUTE = timedelta(minutes=1)


class Poisonous(Exception):
    """What the fold of a poisoned stream raises."""


@pytest.fixture
def poison(monkeypatch) -> set[UUID]:
    """Streams whose fold fails, as long as they are in the set."""
    poisoned: set[UUID] = set()
    fold_order = folding.fold_order

    def ordered(events, *, clock_ms):
        events = list(events)
        if any(event.stream in poisoned for event in events):
            raise Poisonous("an event that nobody can fold")
        return fold_order(events, clock_ms=clock_ms)

    monkeypatch.setattr(folding, "fold_order", ordered)
    return poisoned


def advanced(*pseudonyms: UUID) -> int:
    return Twin.objects.filter(pseudonym__in=pseudonyms).count()


def test_one_poisoned_stream_among_a_hundred_is_parked_and_the_others_advance(model, poison):
    people = [customer_in(shard=5) for _ in range(100)]
    for someone in people:
        happen(someone, *orders(2))
    poison.add(people[37])

    report = advance(shard=5, at=NOON)

    assert (report.streams, report.parked, report.events) == (99, 1, 198)
    parked = ParkedStream.objects.get()
    assert (parked.pseudonym, parked.model_version_id) == (people[37], model.id)
    assert (parked.error, parked.reason) == ("Poisonous", "an event that nobody can fold")
    assert (parked.attempts, parked.first_failed_at, parked.last_failed_at) == (1, NOON, NOON)
    assert advanced(*people) == 99
    assert lagging() == 2
    assert verified(*people).differences == []


def test_a_parked_stream_is_passed_over_until_it_is_due_and_holds_nobody_up(model, poison):
    bad, good = customer_in(shard=5), customer_in(shard=5)
    happen(bad, *orders(2))
    poison.add(bad)
    advance(shard=5, at=NOON)
    happen(bad, purchase("MORE"), start=NOON + DAY)
    happen(good, *orders(2))

    report = advance(shard=5, at=NOON)

    assert (report.streams, report.parked) == (1, 0)
    assert not advance(shard=5, at=NOON)
    assert retry_parked(at=NOON + MINUTE / 2).parked == 0
    assert ParkedStream.objects.get().attempts == 1
    assert lagging_shards() == set()  # no worker is told of work that is not due


def test_a_parked_stream_that_was_mended_is_folded_at_its_next_try_and_free(model, poison):
    bad = customer()
    happen(bad, *orders(2))
    poison.add(bad)
    advance_everything()
    poison.clear()

    report = retry_parked(at=NOON + 2 * MINUTE)

    assert (report.streams, report.parked) == (1, 0)
    assert not ParkedStream.objects.exists()
    assert lagging() == 0
    happen(bad, purchase("NEXT"), start=NOON + DAY)
    advance_everything()
    assert twin(bad).stream_version == 3
    assert verified(bad).differences == []


def test_a_stream_that_fails_again_waits_twice_as_long_each_time(model, poison):
    bad = customer()
    happen(bad, *orders(2))
    poison.add(bad)
    advance_everything()
    pauses = []
    for _ in range(5):
        parked = ParkedStream.objects.get()
        pauses.append(parked.next_try_at - parked.last_failed_at)
        assert retry_parked(at=parked.next_try_at - timedelta(seconds=1)).parked == 0
        assert retry_parked(at=parked.next_try_at).parked == 1

    parked = ParkedStream.objects.get()
    assert parked.attempts == 6
    assert parked.first_failed_at == NOON
    for number, pause in enumerate(pauses):
        assert 0.75 <= pause / (MINUTE * 2**number) <= 1.25


@given(attempts=st.integers(1, 10_000), pseudonym=st.uuids())
def test_no_pause_is_shorter_than_the_first_or_longer_than_a_day_but_for_the_jitter(
    attempts, pseudonym
):
    pause = pause_after(attempts, pseudonym)

    assert FIRST_PAUSE * 0.75 <= pause <= LONGEST_PAUSE * 1.25
    assert pause == pause_after(attempts, pseudonym)


def test_streams_that_failed_together_are_not_tried_again_together():
    assert len({pause_after(3, uuid4()) for _ in range(50)}) > 40


def test_several_poisoned_streams_in_one_batch_are_all_found(model, poison):
    people = [customer_in(shard=5) for _ in range(30)]
    for someone in people:
        happen(someone, *orders(1))
    poison.update(people[::3])

    report = advance(shard=5, at=NOON)

    assert (report.streams, report.parked) == (20, 10)
    assert set(ParkedStream.objects.values_list("pseudonym", flat=True)) == poison


def test_where_every_stream_fails_nobody_is_parked_and_the_error_is_told(model, poison):
    people = [customer_in(shard=5) for _ in range(40)]
    for someone in people:
        happen(someone, *orders(1))
    poison.update(people)

    with pytest.raises(Poisonous):
        advance(shard=5, at=NOON)

    assert not ParkedStream.objects.exists()
    assert lagging() == 40


def test_where_the_few_that_lag_all_fail_they_are_parked(model, poison):
    people = [customer_in(shard=5) for _ in range(12)]
    for someone in people:
        happen(someone, *orders(1))
    poison.update(people)

    assert advance(shard=5, at=NOON).parked == 12


@pytest.mark.parametrize(
    "error",
    [OperationalError("gone"), ModelArtefactBroken(model_id=1, prefix="x", reason="missing")],
)
def test_what_is_wrong_with_the_surroundings_parks_nobody(model, monkeypatch, error):
    happen(customer_in(shard=5), *orders(1))

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(MODULE, "loaded_model", broken)

    with pytest.raises(type(error)):
        advance(shard=5, at=NOON)
    assert not ParkedStream.objects.exists()


def test_an_error_of_the_database_in_one_stream_leaves_the_others_written(model, monkeypatch):
    people = [customer_in(shard=5) for _ in range(8)]
    for someone in people:
        happen(someone, *orders(1))
    write = MODULE.write_heads

    def refused(folded, heads, **more):
        too_large = {people[3]: 2**40}  # for a column of four bytes
        versions = [too_large.get(twin.pseudonym, twin.stream_version) for twin in folded]
        pairs = zip(folded, versions, strict=True)
        write([replace(twin, stream_version=v) for twin, v in pairs], heads, **more)

    monkeypatch.setattr(MODULE, "write_heads", refused)

    report = advance(shard=5, at=NOON)

    assert (report.streams, report.parked) == (7, 1)
    parked = ParkedStream.objects.get()
    assert (parked.pseudonym, parked.error) == (people[3], "DataError")


def test_a_state_that_is_not_a_number_is_never_written(model):
    good, bad = customer_in(shard=5), customer_in(shard=5)
    for someone in (good, bad):
        happen(someone, *orders(1))
    advance_everything()
    broken = b"\x00\x00\xc0\x7f" + bytes(twin(bad).h)[4:]
    Twin.objects.filter(pseudonym=bad).update(h=broken)
    for someone in (good, bad):
        happen(someone, purchase("NEXT"), start=NOON + DAY)

    advance_everything()

    assert ParkedStream.objects.get().error == "FoldNotFinite"
    assert (twin(good).stream_version, twin(bad).stream_version) == (2, 1)


def test_folding_one_stream_in_a_request_parks_it_instead_of_failing(model, poison):
    bad = customer()
    happen(bad, *orders(1))
    poison.add(bad)

    first = advance_stream(pseudonym=bad, at=NOON)
    again = advance_stream(pseudonym=bad, at=NOON)

    assert (first.parked, again.parked) == (1, 0)
    assert ParkedStream.objects.get().attempts == 1


def test_a_parked_stream_is_passed_over_in_a_request_and_answers_its_last_twin(model, poison):
    bad = customer()
    happen(bad, *orders(1))
    advance_everything()
    happen(bad, purchase("NEXT"), start=NOON + DAY)
    poison.add(bad)

    first = fresh_twin(pseudonym=bad, at=NOON)
    poison.clear()
    again = fresh_twin(pseudonym=bad, at=NOON)

    assert first.twin == again.twin == twin(bad)
    assert (twin(bad).stream_version, ParkedStream.objects.get().attempts) == (1, 1)


def test_retrying_at_once_needs_no_due_time_and_a_free_stream_is_left_alone(model, poison):
    bad, good = customer(), customer()
    happen(bad, *orders(1))
    happen(good, *orders(1))
    poison.add(bad)
    advance_everything()
    poison.clear()

    assert not retry_stream(pseudonym=good, at=NOON, now=True)
    assert not retry_stream(pseudonym=bad, at=NOON)
    assert retry_stream(pseudonym=bad, at=NOON, now=True).streams == 1
    assert not ParkedStream.objects.exists()


def test_a_poisoned_stream_does_not_stop_the_rebuild_of_another_model(model, poison):
    people = [customer() for _ in range(12)]
    for someone in people:
        happen(someone, *orders(2))
    advance_everything()
    poison.add(people[4])
    other = stored_model(seed=1)

    *_, report = rebuild_twins(model_id=other.id, at=NOON)

    assert (report.streams, report.parked) == (11, 1)
    assert ParkedStream.objects.get().model_version_id == other.id
    assert Twin.objects.filter(model_version=other).count() == 11
    happen(people[4], purchase("LIVE"), start=NOON + DAY)
    poison.clear()
    advance_everything()  # the live model knows nothing of it
    assert twin(people[4]).stream_version == 3
    for _ in rebuild_twins(model_id=other.id, at=NOON):
        pass
    assert not ParkedStream.objects.exists()
    assert ModelVersion.objects.get(id=other.id).state == "rebuilt"


def test_parked_streams_are_figures_and_do_not_count_as_lag_unless_there_are_many(
    model, poison, monkeypatch
):
    bad = customer()
    happen(bad, *orders(1))
    poison.add(bad)
    advance_everything()

    figures = {m.name: m.samples for m in twin_metrics()}
    (parked,) = figures["dtoc_twin_streams_parked"]
    assert (parked.labels, parked.value) == ({"error": "Poisonous"}, 1)
    assert oldest_lag_seconds(at=now() + DAY) == 0
    monkeypatch.setattr("twins.selectors.MANY_PARKED", 0)
    recorded_at = Event.objects.get().recorded_at
    assert oldest_lag_seconds(at=recorded_at + DAY) == DAY.total_seconds()


def test_the_task_tries_what_is_due(model, poison):
    bad = customer()
    happen(bad, *orders(1))
    poison.add(bad)
    advance_everything()
    poison.clear()

    assert tasks.retry_parked_streams() == 1


def test_the_task_of_a_shard_goes_on_behind_a_batch_that_was_parked_whole(
    model, poison, monkeypatch
):
    people = [customer_in(shard=5) for _ in range(3)]
    for someone in people:
        happen(someone, *orders(1))
    first = Stream.objects.filter(version__gt=0).order_by("?").first().stream
    poison.add(first)
    monkeypatch.setattr(tasks, "advance", lambda **asked: advance(limit=1, **asked))

    assert tasks.advance_shard(5) == 2


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_park_a_poisoned_stream_once_and_advance_the_others(poison):
    loaded_model(active_model())
    people = [customer_in(shard=5) for _ in range(40)]
    for someone in people:
        happen(someone, *orders(2))
    poison.add(people[11])
    reports = []

    def work() -> None:
        while report := advance(shard=5, at=NOON, limit=7):
            reports.append(report)

    both_at_once(work)
    while report := advance(shard=5, at=NOON):  # what one passed over because the other held it
        reports.append(report)

    assert sum(report.streams for report in reports) == 39
    assert ParkedStream.objects.get().pseudonym == people[11]
    assert verified(*people).differences == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_that_retry_at_once_try_a_stream_once(poison):
    loaded_model(active_model())
    bad = customer()
    happen(bad, *orders(1))
    poison.add(bad)
    advance_everything()

    both_at_once(lambda: retry_parked(at=NOON + 2 * MINUTE))

    assert ParkedStream.objects.get().attempts == 2
