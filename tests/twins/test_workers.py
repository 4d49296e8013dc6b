"""Workers: nudges, sweeps, two at once, and workers that die."""

import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from io import StringIO
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import pytest
import redis
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, connections, transaction

from common.locks import slot_of
from events.models import Stream
from events.services import SHARDS, claim_lagging
from tests.builders import DAY, NOON
from tests.events.builders import in_other_connection
from tests.events.test_feed import waits_for_a_lock
from tests.twins.builders import (
    active_model,
    advance_everything,
    both_at_once,
    customer,
    happen,
    orders,
    stored_model,
    twin,
)
from twins import nudges, tasks
from twins.models import Twin, TwinSnapshot
from twins.selectors import loaded_model
from twins.services import activate_model, advance, fresh_twin


def in_shard(shard: int) -> UUID:
    """A customer whose stream lies in that shard."""
    while True:
        pseudonym = UUID(int=random.getrandbits(128), version=4)
        if slot_of(pseudonym) % SHARDS == shard:
            return customer(pseudonym=pseudonym)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert holds()


@pytest.fixture
def sent(monkeypatch) -> list[int]:
    """The shards that workers were told of."""
    told: list[int] = []
    nudges.messenger.send()  # of tests before
    monkeypatch.setattr(nudges, "ask_now", lambda name, shard: told.append(shard))
    return told


@pytest.mark.django_db
def test_a_flood_of_appends_nudges_each_shard_once_until_a_worker_begins(sent):
    for _ in range(50):
        nudges.nudge_shards({3, 7})
    nudges.begin_shard(3)
    nudges.nudge_shards({3, 7})

    assert sent == [3, 7, 3]


@pytest.mark.django_db
def test_a_nudge_that_was_lost_is_forgotten_after_seconds(sent):
    nudges.nudge_shards({3})

    with redis.Redis.from_url(settings.REDIS_URL) as client:
        left = client.ttl("dtoc:twins:nudged:3")
    assert 0 < left <= nudges.EXPIRY_SECONDS


@pytest.mark.django_db
def test_appends_go_on_at_once_where_redis_is_away(sent, settings, caplog):
    settings.REDIS_URL = "redis://127.0.0.1:1"
    nudges._client.cache_clear()

    nudges.nudge_shards({3})
    nudges.begin_shard(3)

    assert nudges._client().get_retry().get_retries() == 0
    nudges._client.cache_clear()
    assert sent == []
    assert "nudge lost" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_an_append_nudges_the_shard_of_its_stream_after_the_commit(sent):
    someone = in_shard(5)

    with transaction.atomic():
        happen(someone, *orders(2))
        time.sleep(5 * nudges.RESTING_SECONDS)
        assert sent == []

    until(lambda: sent == [5])


@pytest.mark.django_db
def test_the_first_word_goes_out_at_once_and_what_follows_it_together(monkeypatch):
    sent: list[set[int]] = []
    monkeypatch.setattr(nudges, "nudge_shards", sent.append)
    monkeypatch.setattr(nudges, "RESTING_SECONDS", 0.3)
    messenger = nudges.Messenger()

    messenger.tell({1})
    until(lambda: sent == [{1}])
    for shard in (3, 7, 3):
        messenger.tell({shard})
    until(lambda: sent == [{1}, {3, 7}])


@pytest.mark.django_db
def test_the_messenger_goes_on_after_a_message_that_failed(monkeypatch, caplog):
    sent: list[set[int]] = []

    def send(shards: set[int]) -> None:
        if 3 in shards:
            raise ValueError("not this one")
        sent.append(shards)

    monkeypatch.setattr(nudges, "nudge_shards", send)
    messenger = nudges.Messenger()

    messenger.tell({3})
    until(lambda: "nudge lost" in caplog.text)
    messenger.tell({5})

    until(lambda: sent == [{5}])


@pytest.mark.django_db
def test_a_process_that_ends_sends_what_it_was_told_and_leaves_no_thread_behind(monkeypatch):
    sent: list[set[int]] = []

    def slowly(shards: set[int]) -> None:
        time.sleep(0.2)
        sent.append(shards)

    monkeypatch.setattr(nudges, "nudge_shards", slowly)
    messenger = nudges.Messenger()
    messenger.tell({1})
    until(lambda: not messenger._waiting)  # the thread is inside the first message
    messenger.tell({2})
    thread = messenger._thread

    messenger.end()

    assert sent == [{1}, {2}]
    assert not thread.is_alive()


@pytest.mark.django_db
def test_a_process_that_forks_has_a_messenger_in_both(monkeypatch):
    out, back = os.pipe()
    messenger = nudges.Messenger()
    messenger.tell(set())
    monkeypatch.setattr(
        nudges, "nudge_shards", lambda shards: os.write(back, f"{sorted(shards)}".encode())
    )

    if (child := os.fork()) == 0:
        messenger.tell({5})
        time.sleep(10)
        os._exit(1)

    assert select.select([out], [], [], 5)[0], "the child told nobody"
    assert os.read(out, 100) == b"[5]"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    messenger.tell({7})
    assert os.read(out, 100) == b"[7]"


@pytest.mark.django_db
def test_the_task_advances_its_shard_and_the_second_delivery_finds_nothing(model):
    someone, other = in_shard(5), in_shard(6)
    happen(someone, *orders(3))
    happen(other, *orders(3))

    assert tasks.advance_shard(5) == 1
    assert tasks.advance_shard(5) == 0

    assert twin(someone).stream_version == 3
    assert not Twin.objects.filter(pseudonym=other).exists()


@pytest.mark.django_db
def test_a_task_that_has_run_long_enough_asks_for_another(model, sent, monkeypatch):
    happen(in_shard(5), *orders(3))
    nudges.begin_shard(5)
    sent.clear()
    monkeypatch.setattr(tasks, "LONGEST_SECONDS", -1.0)

    tasks.advance_shard(5)

    assert sent == [5]


@pytest.mark.django_db
def test_the_sweep_nudges_the_shards_that_lag_and_no_others(model, sent):
    happen(in_shard(5), *orders(3))
    happen(in_shard(9), *orders(3))
    advance(shard=9, at=NOON)
    for shard in range(SHARDS):
        nudges.begin_shard(shard)
    sent.clear()

    assert tasks.sweep() == 1
    assert sent == [5]


@pytest.mark.django_db
def test_without_an_active_model_the_sweep_sends_nobody(sent):
    happen(in_shard(5), *orders(3))
    sent.clear()

    assert tasks.sweep() == 0
    assert sent == []


@pytest.mark.django_db(transaction=True)
def test_two_advancers_at_once_fold_each_event_once():
    model = active_model()
    people = [in_shard(5) for _ in range(30)]
    for someone in people:
        happen(someone, *orders(4))
    loaded_model(model)
    reports = []

    def work() -> None:
        while (report := advance(shard=5, limit=3, at=NOON)).streams:
            reports.append(report)

    both_at_once(work)
    # One may have ended while the other held the last streams; nothing is left in either case.
    assert advance(shard=5, at=NOON).streams == 0

    assert sum(report.events for report in reports) == 30 * 4
    assert verified() == "0 differences in 30 twins"


@pytest.mark.django_db(transaction=True)
def test_an_advancer_passes_over_streams_that_another_one_holds():
    active_model()
    held = in_shard(5)
    happen(held, *orders(1))
    free, claimed, done = in_shard(5), threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                claim_lagging(shard=5, limit=1)
                claimed.set()
                done.wait(10)
        finally:
            connections.close_all()

    thread = threading.Thread(target=hold)
    thread.start()
    claimed.wait(10)
    happen(free, *orders(1))
    report = advance(shard=5, at=NOON)
    done.set()
    thread.join()

    assert report.streams == 1
    assert twin(free).stream_version == 1
    assert not Twin.objects.filter(pseudonym=held).exists()


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.django_db(transaction=True)
def test_an_activation_waits_for_advancers_so_that_no_event_is_lost_between_models(alone):
    first = active_model()
    second = stored_model(seed=1, nll=5.0)
    someone = in_shard(5)
    happen(someone, *orders(3))
    advanced = threading.Event()

    def move() -> None:
        try:
            activate_model(model_id=second.id, at=NOON)
            assert advanced.is_set()
        finally:
            connections.close_all()

    with transaction.atomic():
        if alone:
            fresh_twin(pseudonym=someone, at=NOON)
        else:
            advance(shard=5, at=NOON)
        thread = threading.Thread(target=move)
        thread.start()
        wait_for_a_lock()
        advanced.set()
    thread.join()

    assert Stream.objects.get().advanced_version == 0
    advance_everything()
    assert {t.model_version_id for t in Twin.objects.all()} == {first.id, second.id}
    assert verified() == "0 differences in 1 twins"


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.django_db(transaction=True)
def test_only_the_commit_of_an_advancer_does_not_wait_for_the_disk(alone):
    active_model()
    someone = in_shard(5)
    happen(someone, *orders(3))

    with transaction.atomic():
        before = waits_for_the_disk()
        if alone:
            fresh_twin(pseudonym=someone, at=NOON)
        else:
            advance(shard=5, at=NOON)
        inside = waits_for_the_disk()

    assert (before, inside, waits_for_the_disk()) == ("on", "off", "on")


def waits_for_the_disk() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        return str(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_who_asks_for_one_twin_waits_for_the_worker_that_folds_it():
    active_model()
    someone = in_shard(5)
    happen(someone, *orders(3))
    answered = []

    with transaction.atomic():
        advance(shard=5, at=NOON)
        asking = in_other_connection(
            lambda: answered.append(fresh_twin(pseudonym=someone, at=NOON))
        )
        waits_for_a_lock("transactionid")
    asking.join()

    assert [(fresh.twin.stream_version, fresh.stream_version) for fresh in answered] == [(3, 3)]


def wait_for_a_lock() -> None:
    """Returns when some other connection waits for an advisory lock."""
    deadline = time.monotonic() + 10
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            )
            if cursor.fetchone()[0]:
                return
    pytest.fail("nobody waited")


def verified() -> str:
    out = StringIO()
    call_command("verify_twins", all=True, stdout=out, stderr=StringIO())
    return out.getvalue().split(" (")[0]


def environment() -> dict[str, str]:
    """For a process of its own on the database of this test."""
    parts = urlsplit(os.environ["DTOC_DATABASE_URL"])
    url = urlunsplit(parts._replace(path=f"/{settings.DATABASES['default']['NAME']}"))
    home = str(settings.DTOC_HOME)
    return {**os.environ, "DTOC_DATABASE_URL": url, "DTOC_HOME": home, "OMP_NUM_THREADS": "1"}


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
def test_workers_killed_again_and_again_lose_nothing_and_fold_nothing_twice(model_storage):
    active_model()
    # The processes read models where the settings say, so the files go there for this test.
    folder = settings.DTOC_HOME / "models"
    for file in model_storage.rglob("*.*"):
        target = folder / file.relative_to(model_storage)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    people = [customer() for _ in range(80)]
    chances = random.Random(7)
    for someone in people:
        happen(someone, *orders(12), start=NOON + DAY)
        if chances.random() < 0.3:
            happen(someone, *orders(2, prefix="LATE"))
    command = [sys.executable, "manage.py", "advance_twins", "--limit", "2"]
    kills, seen = 0, {0}

    for _ in range(6):
        worker = subprocess.Popen(
            command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = Twin.objects.count()
        while worker.poll() is None and Twin.objects.count() < before + 12:
            time.sleep(0.001)
        time.sleep(chances.random() * 0.02)  # anywhere inside a transaction
        if worker.poll() is None:
            worker.send_signal(signal.SIGKILL)
            kills += 1
        worker.wait()
        seen.add(Twin.objects.count())
        if not Stream.objects.exclude(advanced_version=0).count() < len(people):
            break

    assert kills >= 4
    assert len(seen) >= 4  # every worker got some twins done before it died
    call_command("advance_twins", stdout=StringIO(), stderr=StringIO())
    assert verified() == "0 differences in 80 twins"
    assert all(s.lag_events == 0 for s in Stream.objects.all())


@pytest.mark.django_db
def test_verify_names_each_customer_whose_twin_differs_and_fails(model):
    good, bad, worse = (customer() for _ in range(3))
    for someone in (good, bad, worse):
        happen(someone, *orders(3))
    advance_everything()
    Twin.objects.filter(pseudonym=bad).update(memory={**twin(bad).memory, "orders": 4})
    Twin.objects.filter(pseudonym=worse).update(h=bytes(len(twin(worse).h)))
    out = StringIO()

    with pytest.raises(CommandError, match="2 differences in 3 twins"):
        call_command("verify_twins", stdout=out, stderr=StringIO())

    assert f"{bad}: orders 4, rebuilt 3" in out.getvalue()
    assert f"{worse}: state differs by" in out.getvalue()
    assert str(good) not in out.getvalue()


@pytest.mark.django_db
def test_verify_finds_a_wrong_stream_version_and_tells_how_many_twins_lag(model):
    someone, slow = customer(), customer()
    happen(someone, *orders(3))
    advance_everything()
    happen(slow, *orders(2))
    Twin.objects.filter(pseudonym=someone).update(stream_version=9)
    out = StringIO()

    with pytest.raises(CommandError, match="1 differences in 1 twins"):
        call_command("verify_twins", stdout=out, stderr=StringIO())

    assert f"{someone}: stream version 9, rebuilt 3" in out.getvalue()
    assert "1 twins lag: 2 events not folded yet" in out.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize("arguments", [{"sample": 2}, {"sample": 50}])
def test_a_sample_is_verified_on_its_own(model, arguments):
    for _ in range(5):
        happen(customer(), *orders(3))
    advance_everything()
    out = StringIO()

    call_command("verify_twins", stdout=out, stderr=StringIO(), **arguments)

    assert out.getvalue().startswith(f"0 differences in {min(arguments['sample'], 5)} twins")


@pytest.mark.django_db
def test_the_command_advances_everything_and_says_how_fast(model):
    for _ in range(5):
        happen(customer(), *orders(3))
    out = StringIO()

    call_command("advance_twins", stdout=out, stderr=StringIO())

    assert "5 twins advanced over 15 events" in out.getvalue()
    assert TwinSnapshot.objects.count() == 5


@pytest.mark.django_db
def test_the_command_says_what_to_do_without_a_model():
    with pytest.raises(CommandError, match="train_twin --activate"):
        call_command("advance_twins")
