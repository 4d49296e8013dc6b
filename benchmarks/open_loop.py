"""A client that posts at fixed moments, whoever has answered by then or not.

``python -m benchmarks.open_loop HOST:PORT TOKEN PATH FILE RATE`` waits for a line on standard
input, posts each line of FILE when it is due, and prints the latencies in milliseconds, one a line.
They count from the moment at which a request was due: a server that falls behind shows it.
"""

import http.client
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

THREADS = 16
CREATED = 201


def posted(connection: http.client.HTTPConnection, token: str, path: str, body: bytes) -> None:
    """One body was posted and something created.

    Raises:
        RuntimeError: the answer was another one.
    """
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != CREATED:
        raise RuntimeError(f"{answer.status} {said[:300]!r}")


def main() -> int:
    address, token, path, file, rate = sys.argv[1:]
    bodies, own = Path(file).read_bytes().splitlines(), local()
    print("ready", flush=True)
    sys.stdin.readline()
    begun = time.perf_counter()

    def send(number: int) -> float:
        due = begun + number / float(rate)
        time.sleep(max(due - time.perf_counter(), 0.0))
        if not hasattr(own, "connection"):
            own.connection = http.client.HTTPConnection(address, timeout=60)
        posted(own.connection, token, path, bodies[number])
        return (time.perf_counter() - due) * 1000

    with ThreadPoolExecutor(THREADS) as threads:
        for latency in threads.map(send, range(len(bodies))):
            print(f"{latency:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
