"""What passes is tried again, a poisoned row stands alone, and nothing is stored twice."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import stamina
from django.core.management import CommandError, call_command
from django.db import InternalError, OperationalError, connection

from common.clock import now
from common.models import Operation, WorkChunk
from common.operations import LEASE, cancel_operation, take_chunk
from events.errors import ImportEnded, ImportOvertaken, ImportRunning
from events.models import Event, QuarantinedEvent
from events.models_imports import Import
from events.selectors import intake_counts
from events.services import import_chunks, importing
from events.services.import_turns import LOCK_CLASS
from tests.events.builders import in_other_connection, rows
from tests.events.imports.builders import csv_file, imported, line, lines, stored

pytestmark = pytest.mark.usefixtures("committed")
BACKENDS = """
SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture(autouse=True)
def _retries_do_not_wait() -> Iterator[None]:
    with stamina.set_testing(True, attempts=8):
        yield


@contextmanager
def trigger(condition: str, act: str) -> Iterator[None]:
    """While it lasts, the store does ``act`` for events that meet the condition."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION fault() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF {condition} THEN {act}; END IF; RETURN NEW; END $$;"
            "CREATE TRIGGER fault BEFORE INSERT ON events_event FOR EACH ROW"
            " EXECUTE FUNCTION fault()"
        )
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER fault ON events_event; DROP FUNCTION fault()")


def once(monkeypatch, error_at: int, harm) -> list[int]:
    """Before the commit of the given chunk ``harm`` happens, the first time."""
    calls: list[int] = []
    move = import_chunks.move_checkpoint

    def moved(*args):
        calls.append(len(calls))
        if len(calls) == error_at:
            harm()
        move(*args)

    monkeypatch.setattr(import_chunks, "move_checkpoint", moved)
    return calls


def kill_this_session() -> None:
    """The server ends the session that the import is using."""
    pid = rows("SELECT pg_backend_pid()")[0][0]
    in_other_connection(lambda: rows("SELECT pg_terminate_backend(%s)", [pid])).join()


def sold() -> int:
    return Event.objects.filter(type="item_purchased").count()


def test_a_session_that_the_server_ends_in_a_chunk_costs_nothing(tmp_path, monkeypatch):
    path = csv_file(tmp_path / "rows.csv", lines(20))
    calls = once(monkeypatch, 3, kill_this_session)

    report = imported(path, chunk_rows=20)

    assert report.counts == {("accepted", ""): 100}
    assert len(calls) == 5 + 1
    assert sold() == 100
    assert intake_counts()["online_retail", "received", ""] == 100


def test_a_commit_whose_answer_was_lost_is_not_repeated(tmp_path, monkeypatch):
    path = csv_file(tmp_path / "rows.csv", lines(8))
    ingest, calls = import_chunks.ingest_isolating, []

    def answers_late(**kwargs):
        report = ingest(**kwargs)
        calls.append(report)
        if len(calls) == 1:
            raise OperationalError("server closed the connection unexpectedly")
        return report

    monkeypatch.setattr(import_chunks, "ingest_isolating", answers_late)
    report = imported(path, chunk_rows=20)

    assert report.counts == {("accepted", ""): 40}  # not a duplicate among them
    assert len(calls) == 2
    assert intake_counts()["online_retail", "received", ""] == 40


@pytest.mark.parametrize("code", ["40P01", "40001", "57014"])
def test_deadlocks_serialization_failures_and_timeouts_are_tried_again(tmp_path, code):
    path = csv_file(tmp_path / "rows.csv", lines(8))
    sequence = "nextval('tries')"
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE tries")
    try:
        act = f"RAISE EXCEPTION 'in passing' USING ERRCODE = '{code}'"
        with trigger(f"NEW.type = 'item_purchased' AND {sequence} <= 3", act):
            report = imported(path, chunk_rows=20)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP SEQUENCE tries")

    assert report.counts == {("accepted", ""): 40}


def test_what_does_not_pass_ends_with_a_message_and_goes_on_later(tmp_path):
    path = csv_file(tmp_path / "rows.csv", lines(8))
    act = "RAISE EXCEPTION 'still away' USING ERRCODE = '57P03'"
    with trigger("NEW.data->>'order_id' = '600005'", act), pytest.raises(CommandError) as error:
        call_command("import_events", str(path), mapping="online_retail", chunk_rows=10)

    assert "the database went away; the chunks before are stored: run the command again" in str(
        error.value
    )
    assert sold() == 20
    report = imported(path, chunk_rows=10)
    assert (report.resumed_from, report.counts) == (20, {("accepted", ""): 40})


def test_the_patience_is_bounded(tmp_path, monkeypatch):
    asked = {}

    def context(**options):
        asked.update(options)
        return stamina.retry_context(**{**options, "attempts": 2})

    monkeypatch.setattr(import_chunks, "stamina", type("Stamina", (), {"retry_context": context}))
    imported(csv_file(tmp_path / "rows.csv", lines(2)))

    assert asked["timeout"] == timedelta(minutes=2)
    assert asked["wait_jitter"] > 0
    assert asked["wait_max"] <= 10


def test_what_passes_is_told_from_what_does_not():
    assert import_chunks.is_passing(OperationalError())
    assert not import_chunks.is_passing(ValueError())
    ended = InternalError()
    ended.__cause__ = type("Ended", (Exception,), {"pgcode": "25P03"})()
    assert import_chunks.is_passing(ended)
    assert not import_chunks.is_passing(InternalError())


@pytest.mark.parametrize("poisoned", [{"600003"}, {"600000", "600019"}, {"600007", "600008"}])
def test_poisoned_rows_go_to_quarantine_and_all_others_in(tmp_path, poisoned):
    path = csv_file(tmp_path / "rows.csv", lines(20, per_order=1))
    orders = ", ".join(f"'{order}'" for order in poisoned)
    act = "RAISE EXCEPTION 'no' USING ERRCODE = '22023'"  # a data error
    with trigger(f"NEW.data->>'order_id' IN ({orders})", act):
        report = imported(path, chunk_rows=50)

    assert report.counts == {
        ("accepted", ""): 20 - len(poisoned),
        ("quarantined", "poisoned"): len(poisoned),
    }
    assert sold() == 20 - len(poisoned)
    kept = QuarantinedEvent.objects.all()
    assert {q.detail for q in kept} == {"storing it fails: DataError"}
    assert all(q.stream is not None and q.event_id is not None for q in kept)
    gaps = "SELECT 1 FROM events_event GROUP BY stream HAVING max(version) <> count(*)"
    assert rows(gaps) == []
    counted = intake_counts()
    assert counted["online_retail", "received", ""] == 20
    assert counted["online_retail", "quarantined", "poisoned"] == len(poisoned)


def test_a_row_whose_cleaning_fails_unexpectedly_is_poisoned_too(tmp_path, monkeypatch):
    from events.services import intake

    typed = intake.typed

    def fails(envelope, *more):
        if envelope.data["sku"] == "20003":
            raise ZeroDivisionError("a bug")
        return typed(envelope, *more)

    monkeypatch.setattr(intake, "typed", fails)
    report = imported(csv_file(tmp_path / "rows.csv", lines(4, per_order=4)))

    assert report.counts == {("accepted", ""): 12, ("quarantined", "poisoned"): 4}


def test_a_fault_of_the_store_poisons_no_rows(tmp_path):
    path = csv_file(tmp_path / "rows.csv", lines(300, per_order=1))
    act = "RAISE EXCEPTION 'broken' USING ERRCODE = '42501'"
    with trigger("NEW.type = 'item_purchased'", act), pytest.raises(Exception, match="broken"):
        imported(path)

    assert not QuarantinedEvent.objects.exists()
    assert imported(path).counts == {("accepted", ""): 300}


def test_where_most_rows_fail_it_is_no_fault_of_the_rows(tmp_path):
    path = csv_file(tmp_path / "rows.csv", lines(10, per_order=1))
    with (
        trigger("NEW.data->>'order_id' < '600006'", "RAISE EXCEPTION 'broken'"),
        pytest.raises(Exception, match="broken"),
    ):
        imported(path)

    assert not QuarantinedEvent.objects.exists()
    assert sold() == 0


def test_mended_the_poisoned_rows_import_as_any_others(tmp_path):
    path = csv_file(tmp_path / "rows.csv", lines(3, per_order=1))
    with trigger("NEW.data->>'order_id' = '600001'", "RAISE EXCEPTION 'no'"):
        imported(path)

    assert imported(path).counts == {("accepted", ""): 1, ("duplicate", ""): 2}


def test_an_import_that_was_stopped_goes_on_behind_its_checkpoint(tmp_path, monkeypatch):
    path = csv_file(
        tmp_path / "rows.csv", ["too,few", *lines(20), "too,few", *lines(20), "too,few"]
    )
    whole = csv_file(tmp_path / "copy.csv", [])
    whole.write_bytes(path.read_bytes())
    undisturbed = imported(whole, chunk_rows=30)
    expected = stored()
    _forget()
    once(monkeypatch, 4, _stop)

    with pytest.raises(KeyboardInterrupt):
        imported(path, chunk_rows=30)
    report = imported(path)  # keeps the chunks that it was begun with

    assert report.resumed_from == 90
    assert report.counts == undisturbed.counts
    assert stored() == expected
    assert Import.objects.get().chunk_rows == 30


def _stop() -> None:
    raise KeyboardInterrupt


def _forget() -> None:
    from tests.events.builders import empty_event_store

    call_command("flush", verbosity=0, interactive=False)
    empty_event_store()


def test_another_mapping_limit_or_file_is_another_import(tmp_path, monkeypatch):
    path = csv_file(tmp_path / "rows.csv", lines(4))
    once(monkeypatch, 2, _stop)
    with pytest.raises(KeyboardInterrupt):
        imported(path, chunk_rows=10)

    limited = imported(path, limit=15)
    other = imported(csv_file(tmp_path / "other.csv", lines(5)))
    again = imported(path)

    assert [r.resumed_from for r in (limited, other, again)] == [0, 0, 10]
    assert Import.objects.count() == 3


def test_from_the_start_leaves_the_checkpoint_and_cancels_what_was_begun(tmp_path, monkeypatch):
    path = csv_file(tmp_path / "rows.csv", lines(4))
    once(monkeypatch, 2, _stop)
    with pytest.raises(KeyboardInterrupt):
        imported(path, chunk_rows=10)

    report = imported(path, from_start=True)

    assert report.counts == {("duplicate", ""): 10, ("accepted", ""): 10}
    assert sorted(Operation.objects.values_list("status", flat=True)) == ["cancelled", "succeeded"]


def test_a_finished_import_run_again_is_a_new_one_of_duplicates_only(tmp_path):
    path = csv_file(tmp_path / "rows.csv", lines(4))
    imported(path)

    assert imported(path).counts == {("duplicate", ""): 20}
    assert Import.objects.count() == 2


def test_two_processes_do_not_import_one_file_at_once(tmp_path, monkeypatch):
    path = csv_file(tmp_path / "rows.csv", lines(4))
    monkeypatch.setattr(importing, "LOCK_ATTEMPTS", 1)
    monkeypatch.setattr(importing, "LOCK_PAUSE_SECONDS", 0)
    problems = []

    def second() -> None:
        try:
            imported(path)
        except ImportRunning as error:
            problems.append(str(error))

    once(monkeypatch, 1, lambda: in_other_connection(second).join())
    report = imported(path)

    assert report.counts == {("accepted", ""): 20}
    assert "is being imported by another process" in problems[0]
    assert rows("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s",
                [LOCK_CLASS]) == [(0,)]  # fmt: skip


def test_whoever_was_overtaken_commits_nothing(tmp_path, monkeypatch):
    path = csv_file(tmp_path / "rows.csv", lines(4))

    def take_over() -> None:
        operation = Operation.objects.get()
        take_chunk(operation_id=operation.id, holder="another", at=now())

    fence, calls = import_chunks.Turn.fence, []

    def overtaken(self):
        calls.append(1)
        if len(calls) == 2:
            in_other_connection(take_over).join()
        fence(self)

    monkeypatch.setattr(import_chunks.Turn, "fence", overtaken)
    with pytest.raises(ImportOvertaken):
        imported(path, chunk_rows=10)

    assert sold() == Import.objects.get().rows == 10
    assert sum(Import.objects.get().counts["accepted"].values()) == 10
    assert intake_counts()["online_retail", "received", ""] == 10


def test_a_cancelled_import_stops_at_the_next_chunk(tmp_path, monkeypatch):
    path = csv_file(tmp_path / "rows.csv", lines(4))
    fence, calls = import_chunks.Turn.fence, []

    def cancelled(self):
        calls.append(1)
        if len(calls) == 2:
            operation = Operation.objects.get()
            in_other_connection(
                lambda: cancel_operation(operation_id=operation.id, at=now())
            ).join()
        fence(self)

    monkeypatch.setattr(import_chunks.Turn, "fence", cancelled)
    with pytest.raises(ImportEnded, match="has ended \\(cancelled\\)"):
        imported(path, chunk_rows=10)

    assert sold() == 10


def test_the_lease_is_renewed_while_rows_are_read_over(tmp_path, monkeypatch):
    path = csv_file(tmp_path / "rows.csv", lines(20))
    once(monkeypatch, 8, _stop)
    with pytest.raises(KeyboardInterrupt):
        imported(path, chunk_rows=10)
    monkeypatch.undo()
    until = []

    def ticking(at):
        clock = iter(range(10_000))
        return lambda: at + timedelta(seconds=10 * next(clock))

    def see(report, done) -> None:
        until.append(WorkChunk.objects.get().lease_until)

    monkeypatch.setattr(importing, "running_from", ticking)
    report = imported(path, on_chunk=see)

    assert report.resumed_from == 70
    assert until[1] - until[0] > LEASE  # seven chunks of ten seconds lay between


def test_the_recent_imports_are_listed(tmp_path, capsys):
    imported(csv_file(tmp_path / "first.csv", lines(1)))
    imported(csv_file(tmp_path / "bob@example.com.csv", [line(7)]))

    call_command("import_events", list=True)

    told = capsys.readouterr().out.splitlines()
    assert len(told) == 2
    assert "succeeded             5 rows  online_retail       first.csv" in told[1]
    assert told[0].endswith("(a file).csv")  # a name may be somebody's address


def test_the_lock_of_a_killed_process_is_waited_for(tmp_path, monkeypatch):
    path = csv_file(tmp_path / "rows.csv", lines(2))
    taken, go = threading.Event(), threading.Event()

    def dying() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, slot) FROM (SELECT %s AS slot) s",
                           [LOCK_CLASS, _slot(path)])  # fmt: skip
        taken.set()
        assert go.wait(10)

    thread = in_other_connection(dying)
    assert taken.wait(10)
    monkeypatch.setattr(importing.time, "sleep", lambda seconds: (go.set(), thread.join()))
    report = imported(path)

    assert report.counts == {("accepted", ""): 10}


def _slot(path) -> int:
    from events.mapping import load_mapping, mapping_sha256
    from events.services.import_turns import FileLock

    digest = importing.sha256_of_file(path)
    key = f"{digest}:{mapping_sha256(load_mapping('online_retail'))}:None"
    return FileLock(key, "").slot
