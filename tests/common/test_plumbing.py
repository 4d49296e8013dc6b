"""Canonical JSON, ids, locks and embedded servers' small parts."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from common import canonical_json
from common.clock import truncated
from common.ids import derived_id
from common.locks import SLOTS, lock_streams, slot_of
from dtoc_project.urls_of_servers import broker_url, database_settings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=st.dictionaries(st.text(), JSON))
def test_the_order_of_keys_does_not_change_canonical_json(value):
    backwards = dict(reversed(value.items()))

    assert canonical_json.dumps(value) == canonical_json.dumps(backwards)


def test_canonical_json_writes_ids_amounts_and_times_as_text():
    value = {"at": datetime(2011, 1, 2, tzinfo=UTC), "id": UUID(int=1), "sum": Decimal("1.10")}

    text = canonical_json.dumps(value).decode()

    assert '"at":"2011-01-02T00:00:00.000Z"' in text
    assert '"sum":"1.10"' in text


def test_canonical_json_refuses_numbers_that_json_does_not_know():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json.dumps({"x": float("nan")})


def test_a_time_without_zone_is_refused_rather_than_guessed():
    with pytest.raises(ValueError, match="no time zone"):
        truncated(datetime(2011, 1, 1))  # noqa: DTZ001 - the point of the test


@given(a=st.text(), b=st.text())
def test_derived_ids_keep_their_parts_apart(a, b):
    if b:
        assert derived_id(a + b, "") != derived_id(a, b) or "\x1f" in a + b
    assert derived_id(a, b) == derived_id(a, b)


@pytest.mark.django_db(transaction=True)
def test_locks_outside_a_transaction_are_refused():
    with pytest.raises(RuntimeError, match="needs a transaction"):
        lock_streams([uuid4()])


@pytest.mark.django_db(transaction=True)
def test_locks_are_taken_in_ascending_order_and_draw_no_transaction_id():
    streams = [uuid4() for _ in range(50)]

    with transaction.atomic(), connection.cursor() as cursor:
        lock_streams(streams)
        cursor.execute("SELECT pg_current_xact_id_if_assigned()")
        (drawn,) = cursor.fetchone()
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        )
        (held,) = cursor.fetchone()

    assert drawn is None
    assert held == len({slot_of(stream) for stream in streams})


@given(stream=st.uuids())
def test_every_stream_has_a_slot(stream):
    assert 0 <= slot_of(stream) < SLOTS


def test_a_database_url_with_a_socket_names_its_folder():
    found = database_settings("postgresql://postgres@/dtoc?host=/run/pg")

    assert (found["NAME"], found["HOST"], found["USER"]) == ("dtoc", "/run/pg", "postgres")


def test_a_database_url_may_hold_escaped_characters():
    found = database_settings("postgresql://me:p%40ss@db.example:5433/shop?sslmode=require")

    assert (found["PASSWORD"], found["HOST"], found["PORT"]) == ("p@ss", "db.example", "5433")
    assert found["OPTIONS"]["sslmode"] == "require"


@pytest.mark.parametrize("url", ["mysql://host/db", "postgresql://host", "nonsense"])
def test_a_wrong_database_url_is_explained(url):
    with pytest.raises(ImproperlyConfigured, match="expected postgresql://"):
        database_settings(url)


def test_celery_gets_its_own_spelling_of_a_redis_socket():
    assert broker_url("unix:///run/redis.sock") == "redis+socket:///run/redis.sock"
    assert broker_url("redis://:pw@host:6379/0") == "redis://:pw@host:6379/0"
