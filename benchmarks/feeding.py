"""The feed over HTTP, page by page, against the same rows read from the table by psycopg2."""

import http.client
import json
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.ground import shop_file
from benchmarks.ingesting import Server, web_server
from benchmarks.result import Result, Round, from_rounds

CUSTOMERS = 400
PAGE = 500
BARE = """
SELECT epoch, txid::text::bigint, position, stream, version, event_id, type, schema_version,
    occurred_at, recorded_at, data::text, metadata::text
FROM events_event WHERE (epoch, txid, position) > (%s, %s::text::xid8, %s)
ORDER BY epoch, txid, position LIMIT %s
"""


def run(folder: Path, rounds: int) -> Result:
    """Events per second for a reader that follows the cursor from the first event to the last."""
    from common.clock import now
    from events.mapping import load_mapping
    from events.services.importing import import_file

    file = shop_file(folder, CUSTOMERS)
    import_file(path=file, mapping=load_mapping("synthetic_shop"), at=now())
    latencies: list[float] = []
    with web_server(folder) as server:
        _read(server, [])
        found = [Round(_read(server, latencies), _bare()) for _ in range(rounds)]
    return from_rounds(
        name="feed",
        unit="events/s",
        limit_is=f"the same rows by psycopg2, {PAGE} a query",
        rounds=found,
        latencies_ms=latencies,
    )


def _read(server: Server, latencies: list[float]) -> float:
    connection = http.client.HTTPConnection(server.address, timeout=60)
    headers = {"Authorization": f"Bearer {server.token}"}
    url, events = f"/api/v1/events/?limit={PAGE}", 0
    begun = time.perf_counter()
    while True:
        asked = time.perf_counter()
        connection.request("GET", url, headers=headers)
        page = json.loads(connection.getresponse().read())
        latencies.append((time.perf_counter() - asked) * 1000)
        events += len(page["results"])
        if len(page["results"]) < PAGE:
            connection.close()
            return events / (time.perf_counter() - begun)
        parts = urlsplit(page["next"])
        url = f"{parts.path}?{parts.query}"


def _bare() -> float:
    import psycopg2

    with psycopg2.connect(os.environ["DTOC_DATABASE_URL"]) as connection:
        events, last = 0, (0, "0", 0)
        begun = time.perf_counter()
        while True:
            with connection.cursor() as cursor:
                cursor.execute(BARE, [*last, PAGE])
                rows = cursor.fetchall()
            events += len(rows)
            if len(rows) < PAGE:
                return events / (time.perf_counter() - begun)
            last = (rows[-1][0], str(rows[-1][1]), rows[-1][2])
