"""One client process of the ingest benchmark: sends prepared bodies over one kept connection.

``python -m benchmarks.http_load HOST:PORT TOKEN FILE`` waits for a line on standard input, posts
each line of FILE as one body, and prints the latencies in milliseconds, one a line.
"""

import http.client
import sys
import time
from pathlib import Path

PATH = "/api/v1/events/"
ACCEPTED = (200, 201)


def main() -> int:
    address, token, file = sys.argv[1:]
    bodies = Path(file).read_bytes().splitlines()
    connection = http.client.HTTPConnection(address, timeout=120)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.connect()
    print("ready", flush=True)
    sys.stdin.readline()
    latencies = []
    for body in bodies:
        begun = time.perf_counter()
        connection.request("POST", PATH, body, headers)
        answer = connection.getresponse()
        said = answer.read()
        latencies.append((time.perf_counter() - begun) * 1000)
        if answer.status not in ACCEPTED:
            print(f"{answer.status} {said[:300]!r}", file=sys.stderr)
            return 1
    print("\n".join(f"{latency:.3f}" for latency in latencies))
    return 0


if __name__ == "__main__":
    sys.exit(main())
