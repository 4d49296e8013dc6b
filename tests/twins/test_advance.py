"""Advancing: twins see every event once, in the order in which things happened."""

import sys
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.locks import slot_of
from events.models import Stream
from events.services import SHARDS
from events.services.advance import CLAIM
from tests.builders import DAY, HOUR, NOON
from tests.twins.builders import (
    SKUS,
    advance_everything,
    customer,
    customer_in,
    happen,
    lagging,
    orders,
    picture,
    purchase,
    registered,
    returned,
    stored_model,
    twin,
    verified,
    viewed,
)
from twins import heads
from twins.folding import Folded
from twins.models import ModelVersion, Twin, TwinSnapshot
from twins.selectors import OLDEST_LAG
from twins.services import activate_model, advance

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
MODULE = sys.modules["twins.services.advance"]  # the package names the function of that name


def shard_of(pseudonym: UUID) -> int:
    return slot_of(pseudonym) % SHARDS


def test_a_registered_customer_without_purchases_has_a_twin_made_of_the_profile(model):
    british, other = customer("GB"), customer("DE")
    happen(british, registered("GB"))
    happen(other, registered("DE"))

    advance_everything()

    assert twin(british).memory["orders"] == 0
    assert twin(british).clock_at == NOON
    assert twin(british).h != twin(other).h
    assert len(twin(british).forecast["top_items"]) == len(SKUS)


def test_a_twin_remembers_orders_lines_and_money_exactly(model):
    someone = customer()
    happen(
        someone,
        purchase("O1", 1),
        purchase("O1", 2),
        returned("O1", 1),
        purchase("O2", 1),
        step=DAY,
    )

    advance_everything()

    memory = twin(someone).memory
    assert (memory["orders"], memory["lines"], memory["returns"]) == (2, 3, 1)
    assert memory["spend_cents"] == 3 * 510
    assert twin(someone).clock_at == NOON + 3 * DAY
    assert twin(someone).stream_version == 4


def test_advancing_again_does_nothing(model):
    someone = customer()
    happen(someone, *orders(5))
    advance_everything()
    before = Twin.objects.values().get()

    again = advance(shard=shard_of(someone), at=NOON + DAY)

    assert (again.streams, again.events) == (0, 0)
    assert Twin.objects.values().get() == before


def test_an_advance_that_is_delivered_again_with_its_mark_lost_folds_nothing_twice(model):
    someone = customer()
    happen(someone, *orders(5))
    advance_everything()
    before = picture([someone])
    Stream.objects.update(advanced_version=0)

    folded = advance_everything(at=NOON + DAY)

    assert folded == 0
    assert picture([someone]) == before
    assert lagging() == 0


def test_a_crash_before_the_commit_leaves_nothing(model, monkeypatch):
    someone = customer()
    happen(someone, *orders(5))

    def power_cut(**_: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr(MODULE, "mark_advanced", power_cut)
        with pytest.raises(RuntimeError, match="power cut"):
            advance(shard=shard_of(someone), at=NOON)

    assert not Twin.objects.exists()
    assert not TwinSnapshot.objects.exists()
    assert lagging() == 5
    advance_everything()
    assert verified(someone).differences == []


@pytest.mark.parametrize("mark", ["technical", "outlier"])
def test_a_technical_or_outlier_event_changes_nothing_but_the_stream_version(model, mark):
    someone = customer()
    happen(someone, *orders(3))
    advance_everything()
    before = Twin.objects.values("h", "c", "memory", "forecast", "clock_at", "fold_mode").get()

    happen(someone, purchase("POSTAGE", 9, "POST"), start=NOON + 9 * DAY, metadata={mark: True})
    happen(someone, viewed(), start=NOON + 10 * DAY)
    advance_everything()

    assert twin(someone).stream_version == 5
    after = Twin.objects.values("h", "c", "memory", "forecast", "clock_at", "fold_mode").get()
    assert after == before
    assert verified(someone).differences == []


def test_a_late_event_folds_the_stream_again_in_the_order_in_which_things_happened(model):
    late, in_time = customer(), customer()
    first, second, third = purchase("A", sku="SKU1"), purchase("B", sku="SKU2"), purchase("C")
    happen(late, first, third, step=2 * DAY)
    happen(in_time, first, second, third, step=DAY)
    advance_everything()

    happen(late, second, start=NOON + DAY)
    advance_everything()

    assert twin(late).fold_mode == Twin.FoldMode.REFOLDED
    assert twin(in_time).fold_mode == Twin.FoldMode.ADVANCED
    assert twin(late).memory == twin(in_time).memory
    assert verified(late, in_time).differences == []


def test_an_import_that_follows_the_registration_is_folded_as_if_it_had_come_first(model):
    imported, plain = customer(), customer()
    happen(imported, registered(), start=NOON + 5_000 * DAY)
    advance_everything()
    happen(imported, *orders(3), step=DAY)
    happen(plain, *orders(3), step=DAY)

    advance_everything()

    assert twin(imported).clock_at == NOON + 2 * DAY
    assert twin(imported).memory == twin(plain).memory
    assert verified(imported, plain).differences == []


def test_events_of_the_same_millisecond_are_folded_in_the_order_of_their_versions(model):
    someone = customer()
    for number in range(4):
        happen(someone, purchase(f"O{number % 2}", number), start=NOON)
        advance_everything()

    assert twin(someone).memory["orders"] == 4
    assert twin(someone).fold_mode == Twin.FoldMode.ADVANCED
    assert verified(someone).differences == []


histories = st.lists(
    st.tuples(
        st.integers(0, 2),  # who
        st.integers(0, 60),  # hours after noon: repeats and goes back
        st.sampled_from(["purchase", "return", "view", "technical", "outlier", "registered"]),
        st.integers(0, 3),  # which order
        st.sampled_from(SKUS),
        st.booleans(),  # advance afterwards
    ),
    min_size=1,
    max_size=25,
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=histories, limit=st.sampled_from([1, 2, 512]))
def test_an_advanced_twin_equals_a_rebuilt_one_however_its_events_came(model, history, limit):
    people = [customer("GB"), customer("DE"), customer("")]
    for number, (who, hours, kind, order, sku, advances) in enumerate(history):
        event = {
            "return": returned(f"O{order}", number, sku),
            "view": viewed(sku),
            "registered": registered(),
        }.get(kind, purchase(f"O{order}", number, sku))
        marks = {kind: True} if kind in ("technical", "outlier") else {}
        happen(people[who], event, start=NOON + hours * HOUR, metadata=marks)
        if advances:
            advance_everything(limit=limit)
    advance_everything(limit=limit)

    result = verified(*people)

    assert result.differences == []
    assert result.lagging == 0
    assert result.twins == len({who for who, *_ in history})


def test_a_batch_stops_at_its_limit_of_events_but_takes_one_stream_whole(model, monkeypatch):
    people = [customer() for _ in range(12)]
    for someone in people:
        happen(someone, *orders(6))
    monkeypatch.setattr(MODULE, "EVENTS_PER_BATCH", 5)

    reports = []
    for shard in range(SHARDS):
        while (report := advance(shard=shard, at=NOON)).streams:
            reports.append((report.streams, report.events))

    assert reports == [(1, 6)] * len(people)
    assert verified(*people).differences == []


def test_a_batch_asks_the_database_as_often_for_many_streams_as_for_one(model):
    one, many = customer_in(shard=3), [customer_in(shard=4) for _ in range(60)]
    for someone in (one, *many):
        happen(someone, *orders(4))
    advance_everything()
    for someone in (one, *many):
        happen(someone, purchase("NEW"), start=NOON + DAY)
    asked = []
    for shard in (3, 4):
        with CaptureQueriesContext(connection) as queries:
            advance(shard=shard, at=NOON)
        asked.append([query["sql"].split()[0] for query in queries.captured_queries])

    assert asked[0] == asked[1]
    assert len([word for word in asked[1] if word != "SAVEPOINT" and word != "RELEASE"]) <= 9


def test_late_streams_beyond_the_limit_of_a_batch_wait_for_the_next(model, monkeypatch):
    people = [customer() for _ in range(40)]
    for someone in people:
        happen(someone, *orders(4), start=NOON + DAY)
    advance_everything()
    for someone in people:
        happen(someone, purchase("LATE"))
    monkeypatch.setattr(MODULE, "EVENTS_PER_BATCH", 5)

    advance_everything()

    assert lagging() == 0
    assert verified(*people).differences == []
    assert {t.fold_mode for t in Twin.objects.all()} == {"refolded"}


def test_snapshots_are_taken_first_then_every_fifty_events_or_when_a_new_day_begins(model):
    someone = customer()

    def versions_after(count: int, start, step=MINUTE) -> list[int]:
        number = Stream.objects.filter(stream=someone).values_list("version", flat=True).first()
        happen(someone, *orders(count, prefix=f"{number}-"), start=start, step=step)
        advance_everything()
        taken = TwinSnapshot.objects.filter(pseudonym=someone).order_by("stream_version")
        return list(taken.values_list("stream_version", flat=True))

    assert versions_after(3, NOON) == [3]
    assert versions_after(49, NOON + HOUR) == [3]
    assert versions_after(1, NOON + 2 * HOUR) == [3, 53]
    assert versions_after(1, NOON + DAY) == [3, 53, 54]
    assert twin(someone).snapshot_version == 54


def test_a_snapshot_is_the_twin_at_that_version_and_refuses_to_be_changed(model):
    someone = customer()
    happen(someone, *orders(3))
    advance_everything()

    snapshot = TwinSnapshot.objects.get()
    head = twin(someone)
    assert (snapshot.h, snapshot.c, snapshot.memory) == (head.h, head.c, head.memory)
    assert snapshot.forecast == head.forecast
    with pytest.raises(Exception, match="immutable"):
        TwinSnapshot.objects.update(stream_version=1)


def test_without_an_active_model_nothing_is_claimed(db):
    someone = customer()
    happen(someone, *orders(2))

    assert advance(shard=shard_of(someone), at=NOON).streams == 0
    assert lagging() == 2


def test_an_older_result_never_replaces_a_newer_twin(model: ModelVersion):
    someone = customer()
    happen(someone, *orders(2))
    advance_everything()
    old = heads.read_heads(model.id, [someone])
    old_row = Twin.objects.values().get()
    happen(someone, purchase("NEW"), start=NOON + DAY)
    advance_everything()
    newer = Twin.objects.values().get()

    stale = Folded(
        pseudonym=someone,
        stream_version=old[someone].stream_version,
        h=old[someone].h,
        c=old[someone].c,
        items=old[someone].items,
        memory=old[someone].memory,
        forecast=old_row["forecast"],
        mode=Twin.FoldMode.ADVANCED,
    )
    heads.write_heads([stale], old, model_id=model.id, at=NOON + 2 * DAY)

    assert Twin.objects.values().get() == newer


EXPLAINED = [
    CLAIM.replace("%s::uuid[]", "'{}'::uuid[]").replace("%s", "1"),
    OLDEST_LAG.replace("%s", "false"),
]


@pytest.mark.parametrize("query", EXPLAINED)
def test_the_queries_for_work_use_the_partial_index(db, query):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + query)
        plan = "\n".join(line for (line,) in cursor.fetchall())

    assert "events_stream_lagging" in plan


def test_a_second_model_does_not_move_the_first_ones_twins(model):
    someone = customer()
    happen(someone, *orders(3))
    advance_everything()
    first = Twin.objects.values().get()

    activate_model(model_id=stored_model(seed=1, nll=5.0).id, at=NOON)
    advance_everything()

    assert Twin.objects.filter(model_version=model).values().get() == first
    assert Twin.objects.count() == 2
