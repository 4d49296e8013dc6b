"""Replays that meet each other, a discard, or the sender: stored and moved once, or not at all."""

import json
import subprocess
import sys
import threading
from uuid import uuid4

import pytest

from customers.identities import Newcomer
from customers.services import register_customers
from dtoc_project.supervisor import ROOT
from events.api.parsers import item_of
from events.models import QuarantinedEvent
from events.selectors import events_after, intake_counts
from events.services import Policy, ingest
from events.services import replay as replaying
from events.services.replay import replay
from events.services.resolve import discard
from tests.builders import HOUR, NOON
from tests.events.builders import in_other_connection, sent

LATER = NOON + HOUR
MANY = 40


def put(*events: dict) -> None:
    items = [item_of(json.dumps(event, default=str).encode()) for event in events]
    ingest(items=items, policy=Policy(source="shop", at=NOON))


def soon(customer, line: int, **changes) -> dict:
    event_id = None if line % 2 else uuid4()
    data = {"line_no": line}
    moment = "2011-05-02T12:30:00Z"
    return sent(customer, data=data, occurred_at=moment, event_id=event_id, **changes)


def ids() -> list[int]:
    return list(QuarantinedEvent.objects.order_by("id").values_list("id", flat=True))


def replay_counts() -> dict:
    found = {}
    for (source, outcome, reason), count in intake_counts().items():
        if source == "replay:shop":
            found[outcome, reason] = count
    return found


@pytest.fixture
def people(committed):
    """Some customers with events that wait, half of them without an id."""
    newcomers = [Newcomer(kind="crm_id", value=f"race-{uuid4().hex}") for _ in range(4)]
    streams = list(register_customers(newcomers=newcomers, at=NOON).values())
    put(*(soon(streams[n % 4], n) for n in range(1, MANY + 1)))
    return streams


def stored_events(streams) -> int:
    return len(events_after(dict.fromkeys(streams, 1)))


def assert_each_was_stored_and_moved_once(streams) -> None:
    rows = list(QuarantinedEvent.objects.all())
    assert [row.status for row in rows] == ["replayed"] * MANY
    assert {row.attempts for row in rows} == {1}
    assert stored_events(streams) == MANY
    # Whatever was undone on the way was counted nowhere.
    assert replay_counts() == {("received", ""): MANY, ("accepted", ""): MANY}


def test_replays_of_the_same_rows_in_four_threads_store_and_move_each_once(people):
    start, reports = threading.Barrier(4), []

    def work() -> None:
        start.wait(20)
        reports.append(replay(ids=ids(), by="operator", at=LATER))

    threads = [in_other_connection(work) for _ in range(4)]
    for thread in threads:
        thread.join(60)

    assert len(reports) == 4
    assert sum(report.counts()["stored"] for report in reports) == MANY
    assert sum(report.counts()["gone"] for report in reports) == 3 * MANY
    assert_each_was_stored_and_moved_once(people)


PROCESS = f"""
import sys
from datetime import datetime
from events.models import QuarantinedEvent
from events.services.replay import replay
ids = list(QuarantinedEvent.objects.order_by("id").values_list("id", flat=True))
print("ready", flush=True)
sys.stdin.readline()
report = replay(ids=ids, by="p", at=datetime.fromisoformat("{LATER.isoformat()}"))
print(report.counts()["stored"], report.counts()["gone"], flush=True)
"""


@pytest.mark.faults
def test_replays_of_the_same_rows_in_two_processes_store_and_move_each_once(people, environment):
    command = [sys.executable, "manage.py", "shell", "-v", "0", "-c", PROCESS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60)[0].split() for process in processes]

    assert sum(int(stored) for stored, _ in told) == MANY
    assert sum(int(gone) for _, gone in told) == MANY
    assert_each_was_stored_and_moved_once(people)


@pytest.fixture
def between(monkeypatch):
    """``between(act)``: ``act`` happens once, after a replay has read its rows."""
    read = replaying._waiting

    def arrange(act) -> None:
        todo = [act]

        def reading(row_ids):
            rows = read(row_ids)
            if todo:
                todo.pop()()
            return rows

        monkeypatch.setattr(replaying, "_waiting", reading)

    return arrange


@pytest.mark.django_db
def test_what_is_discarded_while_it_is_replayed_is_not_stored(customer, between):
    put(soon(customer, 1), soon(customer, 2))
    first, second = ids()
    between(lambda: discard(ids=[first], by="another", at=LATER))

    report = replay(ids=[first, second], by="operator", at=LATER)

    assert [result.outcome for result in report.results] == ["gone", "stored"]
    assert QuarantinedEvent.objects.get(id=first).status == "discarded"
    assert stored_events([customer]) == 1
    assert replay_counts() == {("received", ""): 1, ("accepted", ""): 1}


@pytest.mark.django_db
def test_a_newer_body_that_comes_in_during_a_replay_is_the_one_that_is_stored(customer, between):
    event_id = uuid4()
    put(sent(customer, event_id=event_id, occurred_at="2011-05-02T12:30:00Z"))
    newer = sent(
        customer, event_id=event_id, occurred_at="2011-05-02T12:40:00Z", data={"quantity": 9}
    )
    between(lambda: put(newer))

    report = replay(ids=ids(), by="operator", at=LATER)

    assert [result.outcome for result in report.results] == ["stored"]
    (event,) = events_after({customer: 1})
    assert event.data.quantity == 9


@pytest.mark.django_db
def test_an_append_that_fails_leaves_the_row_as_it_was(customer, monkeypatch):
    put(soon(customer, 1))
    before = QuarantinedEvent.objects.values().get()

    def fail(**facts) -> None:
        raise RuntimeError("power cut")

    monkeypatch.setattr(replaying, "settle", fail)
    with pytest.raises(RuntimeError, match="power cut"):
        replay(ids=ids(), by="operator", at=LATER)

    assert QuarantinedEvent.objects.values().get() == before
    assert stored_events([customer]) == 0
    assert replay_counts() == {}


@pytest.mark.django_db
def test_the_same_row_read_again_and_again_by_others_is_told_to_be_busy(customer, monkeypatch):
    put(soon(customer, 1))

    def overtaken(**facts) -> None:
        raise replaying.ReplayOvertaken

    monkeypatch.setattr(replaying, "finish_replays", overtaken)

    (result,) = replay(ids=ids(), by="operator", at=LATER).results

    assert (result.outcome, result.reason) == ("waiting", "busy")
    assert stored_events([customer]) == 0


def test_the_same_faulty_batch_sent_by_several_at_once_is_kept_once(committed):
    events = [sent(None, event_id=uuid4()) for _ in range(MANY)]
    start = threading.Barrier(4)

    def work(turn: int) -> None:
        start.wait(20)
        put(*(events if turn % 2 else reversed(events)))

    threads = [in_other_connection(lambda turn=turn: work(turn)) for turn in range(4)]
    for thread in threads:
        thread.join(60)

    counts = {key: n for key, n in intake_counts().items() if key[1] != "received"}
    assert QuarantinedEvent.objects.count() == MANY
    assert counts == {
        ("shop", "quarantined", "no_customer"): MANY,
        ("shop", "duplicate", "quarantined_before"): 3 * MANY,
    }


@pytest.mark.django_db
def test_rows_are_written_in_the_order_of_their_ids_so_that_batches_never_wait_in_a_circle():
    put(*(sent(None, event_id=uuid4()) for _ in range(MANY)))

    written = QuarantinedEvent.objects.order_by("id").values_list("event_id", flat=True)
    assert list(written) == sorted(written)
