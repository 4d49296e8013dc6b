"""PostgreSQL is away for twenty seconds while clients keep sending."""

import json
import time
from typing import Any

import psutil
import pytest
from django.db import connection

from tests.conftest import Api
from tests.events.builders import rows
from tests.faults.ground import connected_to
from tests.faults.sender import purchase
from tests.faults.site import Answer, Site, eventually, site
from tests.faults.size import sized

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]
OUTAGE_SECONDS = sized(8, 20)
SENDERS = 3
WORKERS = ("web", "twins", "ingest", "beat")
STORED = "SELECT event_id::text FROM events_event WHERE type = 'item_purchased'"
MARK = "SELECT max(complete_txid) FROM events_feedepoch"


def is_problem(answer: Answer) -> bool:
    body = json.loads(answer.body)
    kind = answer.headers["Content-Type"] == "application/problem+json"
    return answer.status == 503 == body["status"] and kind and is_whole(answer.headers)


def is_whole(headers: Any) -> bool:
    return str(headers["Retry-After"]).isdigit()


def processes(found: Site) -> set[tuple[str, int]]:
    """The processes that must live through it; the children of workers with them."""
    family = set()
    for name, process in found.running.items():
        assert process.poll() is None, f"{name} has ended"
        children = psutil.Process(process.pid).children(recursive=True)
        family |= {(name, pid) for pid in (process.pid, *(child.pid for child in children))}
    return family


def all_at_work(found: Site) -> bool:
    """Every server has forked the children that work for it; beat has none."""
    names = [name for name, _ in processes(found)]
    return all(names.count(name) > 1 for name in WORKERS if name != "beat")


def outage(found: Site, token: str) -> tuple[int, list[Answer]]:
    """What /readyz said meanwhile, and what routes of every kind did."""
    routes = ["/api/v1/events/", "/api/v1/operations/0b1c2d3e-4f50-4a61-8b72-93a4b5c6d7e8/"]
    begun = time.monotonic()
    found.cluster.kill()
    ready = found.get("/readyz").status
    answers = [found.get(route, token=token) for route in routes]
    answers += [found.get("/metrics"), found.get("/oauth/token/", b"grant_type=client_credentials")]
    answers.append(found.get("/api/v1/events/", token="somebody-elses"))
    time.sleep(max(0, OUTAGE_SECONDS - (time.monotonic() - begun)))
    return ready, answers


@pytest.mark.timeout(900)
def test_clients_are_told_to_wait_and_nothing_that_was_acknowledged_is_lost():
    with site() as found:
        found.start(*WORKERS)
        token = found.token()
        stop = found.send(token, [[] for _ in range(SENDERS)])
        eventually(lambda: len(found.answered()) > 30, "there is load")
        eventually(lambda: all_at_work(found), "the workers have begun")
        before = processes(found)

        ready_meanwhile, answers = outage(found, token)
        found.cluster.start()
        eventually(lambda: found.get("/readyz").status == 200, "it is ready again")
        acknowledged_until_now = len(found.answered())
        eventually(lambda: len(found.answered()) > acknowledged_until_now + 30, "load goes on")
        stop.touch()
        eventually(lambda: all(s.poll() == 0 for s in found.senders), "the last answer is there")

        attempts, counts = found.attempts(), found.counts()
        with connected_to(found.cluster.url):
            stored = [event_id for (event_id,) in rows(STORED)]
            mark = rows(MARK)
            eventually(lambda: rows(MARK) > mark, "beat and a worker do their work again")
        assert processes(found) == before  # nobody was restarted

    acknowledged = [i for a in attempts if a["status"] in (200, 207) for i in a["ids"]]
    refused = [a for a in attempts if a["status"] not in (200, 207)]
    assert ready_meanwhile == 503
    assert [answer.body for answer in answers if not is_problem(answer)] == []
    assert len(refused) > SENDERS * 5
    assert {a["status"] for a in refused} == {503}
    assert {a["content_type"] for a in refused} == {"application/problem+json"}
    assert all(a["retry_after"].isdigit() for a in refused)
    assert max(a["seconds"] for a in attempts) < OUTAGE_SECONDS  # nobody is kept until it is over
    assert sorted(stored) == sorted(set(acknowledged))  # all of them, each once, and no others
    assert counts.pop("received") == sum(counts.values())


def test_a_server_that_is_still_a_replica_counts_as_away(committed: None, api: Api):
    client = api("events:write", "identities:write")
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    try:
        refused = client.post("/api/v1/events/", [purchase("anybody")])
    finally:
        connection.close()

    assert (refused.status_code, refused["Retry-After"]) == (503, "2")
    assert client.post("/api/v1/events/", [purchase("anybody")]).json()["accepted"] == 1
