"""Connections that are kept between requests."""

import pytest
from django.db import OperationalError, connection

from tests.events.builders import in_other_connection

pytestmark = pytest.mark.django_db(transaction=True)


def end_session() -> None:
    """Another session ends ours, as an operator or a shutdown does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()

    def terminate() -> None:
        from django.db import connection as other

        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    in_other_connection(terminate).join()


def test_a_session_at_rest_is_usable():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")

    assert connection.is_usable()


def test_a_session_that_the_server_ended_is_not():
    end_session()

    assert not connection.is_usable()
    connection.close()


def test_a_request_after_the_server_ended_the_session_gets_a_new_one():
    end_session()
    connection.health_check_done = False
    connection.health_check_enabled = True

    connection.close_if_health_check_failed()  # what a request begins with

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_without_the_look_it_would_have_failed():
    end_session()

    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connection.close()
