"""Events over HTTP with full validation, against bare INSERTs of the same rows.

Two client processes post to the web server as ``make up`` starts it, in batches of 1, 100 and
1,000. In the same round the stored rows go into an identical table (same partitions, indexes and
constraints) by psycopg2: as single-row INSERTs that commit one by one for single events, as
multi-row INSERTs of the same size for batches. The limit is what one connection can do; beside it
stand what two at once do, and COPY by two.
"""

import os
import pickle
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import msgspec

from benchmarks.bare import Row, make_table, stored_rows
from benchmarks.clients import Race, race
from benchmarks.result import Result, Round, from_rounds

CLIENTS = 2
CUSTOMERS = 2_000
SIZES = {1: 3_000, 100: 40_000, 1_000: 80_000}  # events of a round, by size of the batch
ITEMS = 3_000
SCOPES = "events:write events:read identities:write"
BEGUN = datetime.now(UTC) - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Server:
    """The web server of the benchmark, and a token for it."""

    address: str
    token: str


def run(folder: Path, rounds: int) -> list[Result]:
    """Events per second for each size of a batch, with latencies."""
    with web_server(folder) as server:
        _warm_up(server, folder)
        return [_measured(server, folder, size, rounds) for size in SIZES]


@contextmanager
def web_server(folder: Path, scopes: str = SCOPES) -> Iterator[Server]:
    """The web process of the stack runs, alone: no worker competes for the cores."""
    from dtoc_project import ports
    from dtoc_project.supervisor import ROOT, commands

    port = ports.first_free(19_000)
    if port is None:
        raise RuntimeError("no port from 19,000 to 19,049 is free: stop what listens there")
    command = commands(port=port, flower_port=port + 1)["web"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    log = (folder / "web.log").open("wb")
    web = subprocess.Popen(  # noqa: S603 - our own command line
        shlex.split(command), env=environment, cwd=ROOT, stdout=log, stderr=log
    )
    try:
        _await(f"http://127.0.0.1:{port}/livez", web)
        yield Server(f"127.0.0.1:{port}", _token(scopes))
    finally:
        web.terminate()
        web.wait(30)
        log.close()


def _await(url: str, web: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and web.poll() is None:
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - our own server
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the web server did not start: see web.log")


def _token(scopes: str) -> str:
    from datetime import timedelta

    from oauth2_provider.models import get_access_token_model

    from access.models import ApiClient
    from common.clock import now

    client = ApiClient.objects.create(
        name="bench",
        client_type="confidential",
        authorization_grant_type="client-credentials",
        allowed_scopes=scopes,
    )
    token = get_access_token_model().objects.create(
        application=client, token=uuid4().hex, scope=scopes, expires=now() + timedelta(days=1)
    )
    return str(token.token)


def _warm_up(server: Server, folder: Path) -> None:
    """All customers are registered, and every process has met the route."""
    bodies = [_body(_events("warm", start, 500)) for start in range(0, CUSTOMERS, 500)]
    _posted(server, folder, [*bodies, *bodies])


def _measured(server: Server, folder: Path, size: int, rounds: int) -> Result:
    total = SIZES[size]
    found: list[Round] = []
    latencies: list[float] = []
    for number in range(rounds):
        series = f"{size}-{number}"
        posted = _posted(
            server, folder, [_body(_events(series, s, size)) for s in range(0, total, size)]
        )
        latencies += posted.latencies_ms
        rows = stored_rows(series)
        if len(rows) != total:
            raise RuntimeError(f"{len(rows)} of {total} events were stored")
        inserted = _bare(folder, rows, "insert", size, clients=1)
        beside = {
            "INSERT by two at once": _bare(folder, rows, "insert", size, clients=CLIENTS),
            "COPY by two": _bare(folder, rows, "copy", size, clients=CLIENTS),
        }
        found.append(Round(total / posted.seconds, inserted, beside))
    return from_rounds(
        name=f"ingest {size:,}",
        unit="events/s",
        limit_is="single-row INSERT commits" if size == 1 else "multi-row INSERT by psycopg2",
        rounds=found,
        latencies_ms=latencies,
    )


def _events(series: str, start: int, count: int) -> list[dict[str, Any]]:
    return [_event(series, number) for number in range(start, start + count)]


def _event(series: str, number: int) -> dict[str, Any]:
    """A purchase; neighbours belong to different customers, as they do in a shop's traffic."""
    return {
        "customer": {"kind": "crm_id", "value": f"C{number * 7919 % CUSTOMERS}"},
        "type": "item_purchased",
        "occurred_at": f"{BEGUN:%Y-%m-%d}T{number % 24:02}:{number % 60:02}:00Z",
        "data": {
            "order_id": f"{series}:{number}",
            "line_no": 1,
            "sku": f"S{number * 31 % ITEMS:05}",
            "quantity": number % 9 + 1,
            "unit_price": f"{number % 50 + 1}.25",
            "currency": "GBP",
            "country": "GB",
        },
        "context": {"source": series, "channel": "web"},
    }


def _body(events: Sequence[dict[str, Any]]) -> bytes:
    return msgspec.json.encode(events[0] if len(events) == 1 else events)


def _posted(server: Server, folder: Path, bodies: Sequence[bytes]) -> Race:
    """All bodies were sent, each client had every second one."""
    files = [folder / f"bodies-{client}" for client in range(CLIENTS)]
    for client, file in enumerate(files):
        file.write_bytes(b"\n".join(bodies[client::CLIENTS]))
    command = [sys.executable, "-m", "benchmarks.http_load", server.address, server.token]
    return race([[*command, str(file)] for file in files])


def _bare(folder: Path, rows: Sequence[Row], way: str, size: int, clients: int = CLIENTS) -> float:
    """Rows a second into the bare table, from as many processes."""
    make_table()
    files = [folder / f"rows-{client}" for client in range(clients)]
    half = -(-len(rows) // clients)
    for client, file in enumerate(files):
        file.write_bytes(pickle.dumps(rows[client * half : (client + 1) * half]))
    command = [sys.executable, "-m", "benchmarks.bare", os.environ["DTOC_DATABASE_URL"], way]
    return len(rows) / race([[*command, str(size), str(file)] for file in files]).seconds
