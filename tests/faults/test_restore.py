"""A dump is restored into another cluster, where transaction ids start anew."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection

from events.feed import feed
from events.services import append_batch, mark_feed, raise_feed_epoch
from tests.builders import NOON
from tests.conftest import Api
from tests.events.builders import OpenAppend, rows, viewed
from tests.faults.ground import Cluster, connected_to, url_of_this_database

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("committed")]
URL = "/api/v1/events/"


@pytest.fixture
def ids_far_ahead() -> None:
    """So many transactions have run here that a new cluster is far behind."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DO $$ BEGIN FOR i IN 1..20000 LOOP"
            " PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
        )


def dump(folder: Path, cluster: Cluster) -> Path:
    file = folder / "store.dump"
    cluster.program("pg_dump", "--format=custom", f"--file={file}", url_of_this_database())
    return file


def restore(file: Path, cluster: Cluster) -> None:
    cluster.program(
        "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={cluster.url}", str(file)
    )


def stored(count: int, stream=None) -> list:
    events = [viewed(stream or uuid4()) for _ in range(count)]
    for event in events:
        append_batch(events=[event], at=NOON)
    return [event.event_id for event in events]


def everything_after(client, cursor: str) -> list[str]:
    found, page = [], client.get(URL, {"after": cursor, "limit": 7}).json()
    while page["results"]:
        found += [event["event_id"] for event in page["results"]]
        page = client.get(page["next"]).json()
    return found


def the_feed() -> list:
    return [event.event_id for event in feed(None, 1_000)]


def test_a_restored_store_is_not_used_before_its_epoch_is_raised(
    ids_far_ahead, other_cluster: Cluster, tmp_path: Path, api: Api
):
    client = api("events:read", "events:write")
    stored(3)
    restore(dump(tmp_path, other_cluster), other_cluster)

    with connected_to(other_cluster.url):
        ready = client.get("/readyz")
        read = client.get(URL)
        with pytest.raises(OperationalError, match="another cluster"):
            stored(1)

        call_command("raise_feed_epoch")
        checks = client.get("/readyz").json()["checks"]

    assert ready.status_code == 503
    assert "raise_feed_epoch" in ready.json()["checks"]["feed"]["detail"]
    assert (read.status_code, read["Retry-After"]) == (503, "2")
    assert checks["feed"]["ok"]


def test_migrating_raises_the_epoch_of_a_restored_store_and_of_no_other(
    ids_far_ahead, other_cluster: Cluster, tmp_path: Path
):
    before = stored(3)
    call_command("migrate", verbosity=0)
    epochs = rows("SELECT epoch FROM events_feedepoch")
    restore(dump(tmp_path, other_cluster), other_cluster)

    with connected_to(other_cluster.url):
        call_command("migrate", verbosity=0)
        call_command("migrate", verbosity=0)
        after = stored(2)

        assert len(rows("SELECT epoch FROM events_feedepoch")) == len(epochs) + 1
        assert rows("SELECT max(txid) FROM events_event WHERE epoch = %s", epochs[-1]) > rows(
            "SELECT max(txid) FROM events_event"
            " WHERE epoch = (SELECT max(epoch) FROM events_feedepoch)"
        )  # or this test would show nothing
        assert the_feed() == before + after


def test_streams_go_on_in_a_restored_store_and_the_feed_keeps_their_order(
    ids_far_ahead, other_cluster: Cluster, tmp_path: Path
):
    stream = uuid4()
    before = stored(4, stream)
    restore(dump(tmp_path, other_cluster), other_cluster)

    with connected_to(other_cluster.url):
        call_command("raise_feed_epoch")
        after = stored(3, stream)

        assert [event.version for event in feed(None, 9)] == [1, 2, 3, 4, 5, 6, 7]
        assert the_feed() == before + after


def test_a_cursor_of_an_older_epoch_goes_on_where_all_that_it_saw_is_still_there(
    ids_far_ahead, other_cluster: Cluster, tmp_path: Path, api: Api
):
    client = api("events:read")
    seen = stored(5)
    mark_feed(at=NOON)
    cursor = client.get(URL, {"limit": 5}).json()["cursor"]
    unseen = stored(2)
    restore(dump(tmp_path, other_cluster), other_cluster)

    with connected_to(other_cluster.url):
        call_command("raise_feed_epoch")
        unseen += stored(3)

        assert everything_after(client, cursor) == [str(event_id) for event_id in unseen]
        assert the_feed() == seen + unseen


def test_a_cursor_that_saw_what_the_restore_has_lost_is_told_so_and_from_where_to_go_on(
    ids_far_ahead, other_cluster: Cluster, tmp_path: Path, api: Api
):
    client = api("events:read")
    certain = stored(3)
    mark_feed(at=NOON)
    slow = OpenAppend(viewed(uuid4(), "SLOW"))
    quick = stored(1)  # committed before the dump, although it comes later in the feed
    file = dump(tmp_path, other_cluster)
    slow.commit()
    seen = client.get(URL).json()
    restore(file, other_cluster)

    with connected_to(other_cluster.url):
        call_command("raise_feed_epoch")
        new = stored(1)
        told = client.get(URL, {"after": seen["cursor"]})
        problem = told.json()
        again = everything_after(client, problem["resume_after"])

    assert len(seen["results"]) == 5
    assert told.status_code == 410
    assert problem["type"] == "/problems/feed-restored"
    assert again == [str(event_id) for event_id in quick + new]
    assert seen["results"][3]["event_id"] not in again  # SLOW is lost, and the reader can tell
    assert [event["event_id"] for event in seen["results"][:3]] == [str(e) for e in certain]


def test_the_answers_of_feed_and_stream_name_the_epoch(api: Api, customer: UUID):
    client = api("events:read")
    before = client.get(URL).json()["epoch"]
    raised = raise_feed_epoch(at=NOON)

    assert raised > before
    assert client.get(URL).json()["epoch"] == raised
    assert client.get(f"/api/v1/customers/{customer}/events/").json()["epoch"] == raised
