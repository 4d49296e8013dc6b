"""A model is rebuilt, activated and rolled back while events come in and twins are read."""

import json
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from tests.faults.latecomers_crew import LAG, begun, ended, number
from tests.faults.sender import purchase
from tests.faults.site import Site, eventually, site
from tests.faults.size import sized

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

CUSTOMERS = 50  # those whom the sender buys for while it waits to be stopped
READERS = 2
COMPARED = sized(8, 20)  # of each model
BETWEEN_SECONDS = 0.1  # two reads of one reader; a switch takes seconds


class Reader:
    """Reads twins all the time and remembers what each answer said."""

    def __init__(self, found: Site, people: list[str], seed: int) -> None:
        self.found, self.people, self.draw = found, people, random.Random(seed)
        self.token = found.token()
        self.seen: list[dict[str, Any]] = []
        self.wrong: list[int] = []
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self.stop.wait(BETWEEN_SECONDS):
            route = f"/api/v1/twins/{self.draw.choice(self.people)}/"
            answer = self.found.get(route, token=self.token)
            if answer.status == 200:
                self.seen.append(json.loads(answer.body))
            else:
                self.wrong.append(answer.status)

    def models(self) -> list[str]:
        """The models that answered, in their order, repetitions left out."""
        names = [twin["model"]["name"] for twin in self.seen]
        return [name for n, name in enumerate(names) if not n or names[n - 1] != name]


def pseudonyms(found: Site) -> list[str]:
    with closing(psycopg2.connect(found.environment["DTOC_DATABASE_URL"])) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT pseudonym::text FROM customers_customer ORDER BY 1")
        return [pseudonym for (pseudonym,) in cursor]


def all_there(found: Site, people: list[str]) -> bool:
    token = found.token()
    return all(found.get(f"/api/v1/twins/{p}/", token=token).status == 200 for p in people)


def answers(twin: dict[str, Any]) -> dict[str, float]:
    """What follows from a model and a stream version, and from nothing else."""
    items = twin["predictions"]["next_items"]
    shares = {item["sku"]: item["probability"] for item in items}
    return {"lines": twin["memory"]["lines"], **shares}


def replayed(found: Site, twins: list[dict[str, Any]]) -> Iterator[tuple[Any, Any]]:
    """What was read, beside what the version answers under the model that is active now."""
    token = found.token()
    for twin in twins:
        route = f"/api/v1/twins/{twin['pseudonym']}/?version={twin['stream_version']}"
        answer = found.get(route, token=token)
        assert answer.status == 200, answer.body
        yield answers(twin), answers(json.loads(answer.body))


def test_no_reader_sees_a_mixed_model_and_no_event_is_missed():
    with site() as found:
        ended(begun(found, "models", "0", "1"))
        found.start("web", "twins", "beat")
        first = [[purchase(f"load-{n}") for n in range(CUSTOMERS)]]
        stop = found.send(found.token(), [first, []])
        eventually(lambda: len(pseudonyms(found)) == CUSTOMERS, "the customers are known")
        people = pseudonyms(found)
        eventually(lambda: all_there(found, people), "every customer has a twin")
        readers = [Reader(found, people, seed) for seed in range(READERS)]
        for reader in readers:
            reader.thread.start()
        found.manage("activate_model", "model 1", "--reason", "the exercise")
        eventually(lambda: all(len(r.models()) >= 2 for r in readers), "readers saw the second")
        found.manage("activate_model", "model 0", "--reason", "back")
        eventually(
            lambda: all(len(r.models()) >= 3 for r in readers), "readers saw the first again"
        )
        stop.touch()
        for reader in readers:
            reader.stop.set()
            reader.thread.join()
        for sender in found.senders:
            sender.wait(60)
        eventually(lambda: number(found, LAG) == 0, "no stream lags")
        verified = found.manage("verify_twins", "--all").strip()
        acknowledged = sum(len(attempt["ids"]) for attempt in found.answered())
        counted = number(found, "SELECT count(*) FROM events_event")
        compared = 0
        for model in ("model 0", "model 1"):
            seen = [t for r in readers for t in r.seen if t["model"]["name"] == model]
            for was, now_said in replayed(
                found, random.Random(3).sample(seen, min(len(seen), COMPARED))
            ):
                assert was == pytest.approx(now_said, abs=1e-5)
                compared += 1
            if model == "model 0":
                found.manage("activate_model", "model 1", "--reason", "to compare")
    reads = sum(len(reader.seen) for reader in readers)
    sys.stdout.write(
        f"\n{acknowledged} events acknowledged, {reads} twins read, {compared} compared with their "
        f"replay; {verified}\n"
    )
    for reader in readers:
        assert reader.models() == ["model 0", "model 1", "model 0"]
        assert not reader.wrong
        assert len({twin["model"]["sha256"] for twin in reader.seen}) == 2
    assert verified.startswith(f"0 differences in {CUSTOMERS} twins")
    # Registrations come on top of what was sent.
    assert counted == acknowledged + CUSTOMERS
    assert compared == 2 * COMPARED
