"""Workers die again and again while events come in any order, twice and late: no twin is wrong.

``DTOC_FAULTS=whole`` is the whole exercise; the suite runs a short one.
"""

import random
import signal
import subprocess
import sys
import time

import psutil
import pytest
import redis

from tests.faults.latecomers_crew import FOLDED, LAG, begun, ended, number
from tests.faults.site import Site, eventually, site
from tests.faults.size import sized

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3_600)]

EVENTS = sized(3_000, 200_000)
KILLS = sized(3, 50)
STREAMS = EVENTS // 60
FLUSHED_EVERY = 5  # kills
PATIENCE_SECONDS = 300  # a worker that begins loads torch


def kill_somebody(found: Site, draw: random.Random) -> None:
    """SIGKILL for the child that folds, in whose place Celery puts another, or for the worker."""
    children = psutil.Process(found.running["twins"].pid).children(recursive=True)
    if children and draw.random() < 0.8:
        draw.choice(children).send_signal(signal.SIGKILL)
    else:
        found.kill("twins")
        found.start("twins")


def moves_on(found: Site, sender: "subprocess.Popen[str]") -> bool:
    """Waits until a worker has folded something more; False when all is done."""
    before, deadline = number(found, FOLDED), time.monotonic() + PATIENCE_SECONDS
    while number(found, FOLDED) == before:
        if sender.poll() is not None and not number(found, LAG):
            return False
        assert time.monotonic() < deadline, "no worker folds anything"
        time.sleep(0.05)
    return True


def flush(found: Site) -> None:
    """Everything that Redis held is gone: the queue, nudges, caches."""
    with redis.Redis.from_url(found.environment["DTOC_REDIS_URL"]) as client:
        client.flushall()


def test_workers_that_are_killed_all_the_time_leave_every_twin_right():
    draw = random.Random(23)
    kills = flushes = 0
    with site() as found:
        ended(begun(found, "models", "0"))
        found.start("twins", "beat")
        sender = begun(found, "append", str(EVENTS), str(STREAMS), str(EVENTS // 10))
        began = time.monotonic()
        while kills < KILLS and moves_on(found, sender):
            time.sleep(draw.uniform(0, 0.3))  # anywhere inside a transaction
            kill_somebody(found, draw)
            kills += 1
            if kills % FLUSHED_EVERY == 2:
                flush(found)
                flushes += 1
        told = ended(sender)
        eventually(lambda: number(found, LAG) == 0, "no stream lags", 1_800)
        seconds = time.monotonic() - began
        verified = found.manage("verify_twins", "--all").strip()
        counted = ended(begun(found, "count"))
        ended(begun(found, "spoil"))
        with pytest.raises(AssertionError, match=f"1 differences in {STREAMS:,} twins"):
            found.manage("verify_twins", "--all")  # or it would not have noticed
    exercise = f"{told}; {kills} kills, {flushes} times Redis flushed in {seconds:.0f} s"
    sys.stdout.write(f"\n{exercise}\n{counted}\n{verified}\n")
    assert kills >= KILLS
    assert flushes > 0
    assert verified.startswith(f"0 differences in {STREAMS:,} twins")
    assert "lag" not in verified
    assert counted.startswith(f"{EVENTS} events, 0 parked")
    assert "rewound" in counted or "refolded" in counted  # something did come late
