"""The event table refuses every change, whoever asks and wherever."""

from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import ProgrammingError

from customers.models import DataSubjectRequest
from events.errors import ErasureNotOpen
from events.services import append_batch
from events.services.erase import erase_events
from tests.builders import DAY, NOON
from tests.events.builders import PARTITIONS, rows, viewed

pytestmark = pytest.mark.django_db

CHANGES = ["UPDATE {} SET type = 'x'", "DELETE FROM {}", "TRUNCATE {}"]


@pytest.fixture
def streams():
    """So many streams that every partition holds some."""
    streams = [uuid4() for _ in range(400)]
    append_batch(events=[viewed(stream) for stream in streams], at=NOON)
    return streams


def open_request(stream, status="in_progress"):
    return DataSubjectRequest.objects.create(
        pseudonym=stream,
        pseudonym_sha256="0" * 64,
        right="erasure",
        status=status,
        requested_by="test",
        requested_at=NOON,
        due_at=NOON + DAY,
    )


def refused(statement: str) -> bool:
    with (
        pytest.raises(ProgrammingError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    return True


def test_the_test_role_is_a_superuser_so_the_refusals_below_hold_for_superusers():
    assert rows("SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(True,)]


def test_every_partition_holds_rows_that_could_be_changed(streams):
    assert all(rows(f"SELECT count(*) > 0 FROM {name}") == [(True,)] for name in PARTITIONS)


@pytest.mark.parametrize("change", CHANGES)
def test_the_table_refuses(streams, change):
    assert refused(change.format("events_event"))


@pytest.mark.parametrize("change", CHANGES)
def test_every_single_partition_refuses(streams, change):
    assert all(refused(change.format(name)) for name in PARTITIONS)


@pytest.mark.parametrize("change", CHANGES)
def test_a_session_that_calls_itself_a_replica_is_refused_too(streams, change):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")

    assert refused(change.format("events_event"))
    assert refused(change.format(PARTITIONS[3]))


def test_an_erasure_in_progress_removes_its_own_stream_and_no_other(streams):
    mine, others = streams[0], streams[1:]
    request = open_request(mine)

    assert erase_events(mine, request.id) == 1

    left = rows("SELECT count(*) FROM events_event WHERE stream = ANY(%s::uuid[])", [others])
    assert left == [(len(others),)]
    assert rows("SELECT count(*) FROM events_event WHERE stream = %s", [mine]) == [(0,)]


@pytest.mark.parametrize("status", ["pending", "cancelled"])
def test_an_erasure_that_is_not_in_progress_removes_nothing(streams, status):
    request = open_request(streams[0], status)

    with pytest.raises(ErasureNotOpen):
        erase_events(streams[0], request.id)


def test_an_erasure_of_somebody_else_removes_nothing(streams):
    request = open_request(streams[0])

    with pytest.raises(ErasureNotOpen):
        erase_events(streams[1], request.id)


def test_naming_an_open_request_does_not_open_the_rest_of_the_table(streams):
    request = open_request(streams[0])
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('dtoc.erasure_request', %s, true)", [str(request.id)])

    assert refused("DELETE FROM events_event")
    assert refused("UPDATE events_event SET type = 'x'")
    assert refused("TRUNCATE events_event")


def test_after_an_erasure_the_transaction_may_delete_nothing_more(streams):
    erase_events(streams[0], open_request(streams[0]).id)

    assert refused("DELETE FROM events_event")


def test_flushing_the_test_database_leaves_the_event_table_out():
    tables = connection.introspection.django_table_names(only_existing=True)

    assert "events_event" not in tables
    assert "events_stream" in tables


def test_an_event_without_an_epoch_is_refused():
    columns = "stream, version, event_id, type, schema_version, occurred_at, recorded_at"
    values = "gen_random_uuid(), 1, gen_random_uuid(), 'item_viewed', 1, now(), now(), '{}', '{}'"

    with pytest.raises(IntegrityError, match="epoch"), transaction.atomic():
        rows(f"INSERT INTO events_event ({columns}, data, metadata) VALUES ({values})")
