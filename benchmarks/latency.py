"""From one event to the new prediction over HTTP, and reading a twin, one request after another.

The event is posted with ``Prefer: return=representation``: it is stored, folded and forecast in one
call, and the answer is the new twin. The limit does the bare work of that in one process: INSERT
and commit of such an event by psycopg2, one step and one forecast of the model, UPDATE and commit
of the twin's row. Reading has the limit of selecting that row by its key.
"""

import json
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from benchmarks.advancing import prepare
from benchmarks.ingesting import Server, web_server
from benchmarks.result import Result, Round, from_rounds

CUSTOMERS = 300
EVENTS = 300  # of a round
SCOPES = "events:write events:read identities:write twins:read"


def run(folder: Path, rounds: int) -> list[Result]:
    """Requests a second of one client that waits for each answer, with latencies."""
    prepare(folder, CUSTOMERS)
    pseudonyms = advanced_twins(CUSTOMERS)
    with web_server(folder, SCOPES) as server:
        post, read = _client(server)
        for number in range(40):  # every process of the server has loaded the model
            post(pseudonyms[number % len(pseudonyms)])
        return [
            _measured("event", "events/s", "bare INSERT, step, forecast and UPDATE", rounds,
                      post, _bare_event(pseudonyms[0]), pseudonyms),
            _measured("read twin", "reads/s", "SELECT of the row by psycopg2", rounds,
                      read, _bare_read, pseudonyms),
        ]  # fmt: skip


def advanced_twins(most: int) -> list[UUID]:
    """Every twin has seen all its events; whose they are, so many at most."""
    from itertools import repeat

    from common.clock import now
    from events.selectors import streams
    from twins.services import advance_all

    for _ in advance_all(clock=repeat(now())):
        pass
    return [head.stream for head in streams(None, most)]


def _measured(
    name: str,
    unit: str,
    limit_is: str,
    rounds: int,
    path: Callable[[UUID], None],
    limit: Callable[[UUID], None],
    pseudonyms: Sequence[UUID],
) -> Result:
    asked = [pseudonyms[number % len(pseudonyms)] for number in range(EVENTS)]
    latencies: list[float] = []
    found = []
    for _ in range(rounds):
        took = [_milliseconds(path, one) for one in asked]
        bare = [_milliseconds(limit, one) for one in asked]
        latencies += took
        found.append(Round(1000 * len(took) / sum(took), 1000 * len(bare) / sum(bare)))
    return from_rounds(
        name=name, unit=unit, limit_is=limit_is, rounds=found, latencies_ms=latencies
    )


def _milliseconds(act: Callable[[UUID], None], pseudonym: UUID) -> float:
    begun = time.perf_counter()
    act(pseudonym)
    return (time.perf_counter() - begun) * 1000


def _client(server: Server) -> tuple[Callable[[UUID], None], Callable[[UUID], None]]:
    connection = HTTPConnection(server.address, timeout=60)
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}

    def answered(method: str, path: str, body: bytes | None = None, **more: str) -> None:
        connection.request(method, path, body, {**headers, **more})
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:  # 201 would be the event alone, without its twin
            raise RuntimeError(f"{method} {path}: {answer.status} {said[:300]!r}")

    def post(pseudonym: UUID) -> None:
        body = json.dumps(_event(pseudonym)).encode()
        answered("POST", "/api/v1/events/", body, Prefer="return=representation")

    def read(pseudonym: UUID) -> None:
        answered("GET", f"/api/v1/twins/{pseudonym}/")

    return post, read


def _event(pseudonym: UUID) -> dict[str, Any]:
    from common.canonical_json import iso
    from common.clock import now

    return {
        "customer": str(pseudonym),
        "event_id": str(uuid4()),
        "type": "item_purchased",
        "occurred_at": iso(now() - timedelta(milliseconds=1)),
        "data": {
            "order_id": str(uuid4()),
            "line_no": 1,
            "sku": "S00001",
            "quantity": 2,
            "unit_price": "4.25",
            "currency": "GBP",
            "country": "GB",
        },
        "context": {"source": "latency", "channel": "web"},
    }


def _bare_event(pseudonym: UUID) -> Callable[[UUID], None]:
    """What one event costs without HTTP, checks and bookkeeping."""
    from django.db import connection, transaction

    from benchmarks.bare import insert, make_table, stored_rows
    from events.selectors import events_after
    from twins.encoding import event_table
    from twins.folding import TOP_ITEMS
    from twins.selectors import active_model, loaded_model

    make_table()
    (row, *_) = stored_rows("latency")
    model = loaded_model(active_model())
    (event, *_) = events_after({pseudonym: 0})
    table, state = event_table([[event]]), model.initial_state([""])
    version = 0

    def bare(one: UUID) -> None:
        nonlocal version
        version += 1
        with transaction.atomic(), connection.cursor() as cursor:
            insert(cursor.cursor, [(one, version, uuid4(), *row[3:])])
        model.forecast(model.advance(state, table), TOP_ITEMS)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE twins_twin SET updated_at = updated_at WHERE pseudonym = %s", [one]
            )

    return bare


def _bare_read(pseudonym: UUID) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT stream_version, clock_at, memory, forecast FROM twins_twin "
            "WHERE pseudonym = %s",
            [pseudonym],
        )
        cursor.fetchall()
